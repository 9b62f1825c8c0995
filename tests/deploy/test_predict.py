"""Predictions from a pack: original pixels, checked fit, no silent NaN."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from defectbench.base.errors import ArtifactError, PackError
from defectbench.base.files import read_json, sha256_file
from defectbench.base.records import read_record
from defectbench.data.letterbox import letterbox
from defectbench.data.pack import write_pack
from defectbench.deploy.nms import nms
from defectbench.deploy.predict import coco_results, predict, to_original
from defectbench.deploy.runtime import OnnxDetector, prepare


def make_pack(path, size=32, classes='["pit", "scratch"]', images=5):
    """Images of 64 x 32 px, letterboxed: scale 0.5, 8 px above."""
    random = np.random.default_rng(0)
    tensors = {
        "images": torch.from_numpy(random.integers(0, 256, (images, 3, size, size), np.uint8)),
        "boxes": torch.zeros(images, 1, 4),
        "labels": torch.full((images, 1), -1),
        "image_ids": torch.arange(images) + 11,
        "scale": torch.full((images,), 0.5),
        "pad": torch.tensor([[0.0, 8.0]]).repeat(images, 1),
        "original_size": torch.tensor([[64, 32]]).repeat(images, 1),
    }
    write_pack(path, tensors, {"classes": classes, "part": "test"})
    return path


def test_boxes_that_need_no_suppression_are_all_kept(artifact, tmp_path):
    pack, said = make_pack(tmp_path / "test@32.safetensors"), tmp_path / "model.onnx"
    model = onnx.load(str(artifact))
    model.metadata_props.add(key="suppression", value="none")
    onnx.save_model(model, str(said))
    results = predict(said, pack, tmp_path / "predictions.json")
    kept = predict(artifact, pack, tmp_path / "suppressed.json")
    per_image = [sum(row["image_id"] == n for row in results) for n in range(11, 16)]
    assert all(60 < count <= 100 for count in per_image)  # some of the best have no area
    assert len(kept) < len(results)
    rows = [(row["image_id"], row["category_id"], row["score"], *row["bbox"]) for row in results]
    assert {(r["image_id"], r["category_id"], r["score"], *r["bbox"]) for r in kept[:5]} <= set(
        rows
    )


def test_results_are_those_of_engine_and_nms_in_original_pixels(artifact, tmp_path):
    pack = make_pack(tmp_path / "test@32.safetensors")
    results = predict(artifact, pack, tmp_path / "predictions.json")
    assert read_json(tmp_path / "predictions.json") == results
    record = read_record(tmp_path / "predictions.record.json", "predictions")
    assert record["figures"] == {"n_images": 5, "n_detections": len(results)}
    files = {"model": artifact, "pack": pack, "predictions": tmp_path / "predictions.json"}
    hashes = {name: sha256_file(file) for name, file in files.items()}
    assert {name: seen["sha256"] for name, seen in record["inputs"].items()} == hashes
    assert {row["image_id"] for row in results} == set(range(11, 16))
    for row in results:
        x, y, w, h = row["bbox"]
        assert 0 <= x < x + w <= 64.001
        assert 0 <= y < y + h <= 32.001
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (5, 3, 32, 32), np.uint8)[2].astype(np.float32) / 255
    boxes, scores = OnnxDetector(artifact)(image[None])
    kept, ranked, labels = nms(boxes[0], scores[0], 0.001)
    kept = np.clip((kept - [0, 8, 0, 8]) / 0.5, 0, [64, 32, 64, 32])
    full = (kept[:, 2:] > kept[:, :2]).all(axis=1)
    mine = [row for row in results if row["image_id"] == 13]
    assert [row["category_id"] for row in mine] == labels[full].tolist()
    np.testing.assert_allclose([row["score"] for row in mine], ranked[full], atol=1e-5)
    corners = [[*row["bbox"][:2]] for row in mine]
    np.testing.assert_allclose(corners, kept[full][:, :2], atol=2e-3)


def test_scoring_a_model_loads_no_training_framework(artifact, tmp_path):
    pack = make_pack(tmp_path / "val@32.safetensors")
    code = (
        "import sys\n"
        "from defectbench.deploy.predict import predict\n"
        "from defectbench.measure.operating_point import choose_operating_point\n"
        "model, pack, folder = sys.argv[1:]\n"
        "predict(model, pack, folder + '/predictions.json')\n"
        "choose_operating_point(model, pack, folder + '/operating_point.json')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, artifact, pack, tmp_path], check=True)


def test_boxes_map_back_and_are_clipped():
    boxes = np.array([[0.0, 8.0, 16.0, 24.0], [-4.0, 0.0, 40.0, 40.0]])
    found = to_original(boxes, 0.5, np.array([0.0, 8.0]), np.array([64, 32]))
    assert found.tolist() == [[0, 0, 32, 32], [0, 0, 64, 32]]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"size": 64}, "size: got 64"), ({"classes": '["scratch", "pit"]'}, "classes: got")],
)
def test_a_pack_that_does_not_fit_is_refused(artifact, tmp_path, change, message):
    pack = make_pack(tmp_path / "test.safetensors", **change)
    with pytest.raises(PackError, match=message):
        predict(artifact, pack, tmp_path / "predictions.json")
    assert not (tmp_path / "predictions.json").exists()


def test_diverged_weights_are_named(artifact, tmp_path):
    model = onnx.load(str(artifact))
    bias = next(t for t in model.graph.initializer if t.name == "second.bias")
    broken = np.full(bias.dims, np.nan, np.float32)
    bias.CopyFrom(numpy_helper.from_array(broken, bias.name))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    pack = make_pack(tmp_path / "test.safetensors")
    with pytest.raises(ArtifactError, match="output for image 11: got 'not finite'"):
        predict(tmp_path / "model.onnx", pack, tmp_path / "predictions.json")


@pytest.mark.parametrize("shape", [(200, 200), (100, 300), (301, 97), (64, 64), (1, 500)])
@pytest.mark.parametrize("size", [64, 192])
def test_preparation_equals_the_packs_letterbox(shape, size):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = letterbox(image, size)[0].transpose(2, 0, 1)[None].astype(np.float32) / 255
    np.testing.assert_allclose(prepare(image, size), expected, atol=1e-7)


def test_answers_that_are_one_when_rounded_are_written_once():
    """Without suppression two queries may take one box to the same digits; the scorer refuses a result twice."""
    boxes = np.array([[0.0, 0.0, 10.0, 8.0], [0.0001, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 8.0]])
    scores = np.array([0.50000012, 0.50000008, 0.4])
    rows = coco_results(7, boxes, scores, np.array([1, 1, 1]))
    assert [row["score"] for row in rows] == [0.5, 0.4]
    assert rows[0] == {"image_id": 7, "category_id": 1, "bbox": [0.0, 0.0, 10.0, 8.0], "score": 0.5}
