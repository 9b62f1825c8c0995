"""New pictures: what is found is what the model says, drawn and listed; every fault is named."""

import csv

import numpy as np
import onnx
import pytest
from PIL import Image
from tests.data.small_sets import texture, write_dataset, write_overlaps
from tests.hand_made import write_detector

from defectbench.base.errors import ConfigError
from defectbench.base.files import read_json
from defectbench.base.records import write_record
from defectbench.base.tiling import Tiling
from defectbench.cli import main
from defectbench.data.certificate import certify
from defectbench.data.groups import group_images
from defectbench.data.tile_pack import pack_tiles
from defectbench.deploy.nms import nms
from defectbench.deploy.pictures import predict_pictures, threshold_of
from defectbench.deploy.predict import predict, to_original
from defectbench.deploy.runtime import OnnxDetector, prepare


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one in a folder of its own."""
    random = np.random.default_rng(0)
    for name, shape in (("a.png", (32, 64, 3)), ("line 2/b.JPG", (48, 40, 3)), ("c.bmp", (32, 32))):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)
    return tmp_path / "new"


@pytest.fixture
def model(tmp_path):
    return write_detector(tmp_path / "model.onnx")


def test_boxes_are_those_of_engine_and_nms_in_pixels_of_the_picture(model, folder, tmp_path):
    done = predict_pictures(model, folder, tmp_path / "out", threshold=0.4)
    images = read_json(tmp_path / "out" / "images.json")["images"]
    assert [image["file_name"] for image in images] == ["a.png", "c.bmp", "line 2/b.JPG"]
    assert (images[0]["width"], images[0]["height"]) == (64, 32)
    engine = OnnxDetector(model)
    boxes, scores = engine(prepare(np.asarray(Image.open(folder / "a.png")), 32))
    kept, ranked, _ = nms(boxes[0], scores[0], 0.4)
    corners = to_original(kept, 0.5, np.array([0, 8]), np.array([64, 32]))
    results = read_json(tmp_path / "out" / "predictions.json")
    mine = [row for row in results if row["image_id"] == 1]
    assert len(mine) == len(ranked) > 0
    np.testing.assert_allclose([row["score"] for row in mine], ranked, atol=1e-6)
    np.testing.assert_allclose([row["bbox"][:2] for row in mine], corners[:, :2], atol=1e-3)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(results) == done.rows
    assert {row["class"] for row in rows} <= {"pit", "scratch"}
    assert float(rows[0]["x1"]) == pytest.approx(corners[0, 2], abs=2e-3)


def test_pictures_are_drawn_where_something_is_found(model, folder, tmp_path):
    done = predict_pictures(model, folder, tmp_path / "out", threshold=0.4)
    drawn = tmp_path / "out" / "drawn"
    assert done.marked == len([path for path in drawn.rglob("*") if path.is_file()]) == 3
    before, after = (np.asarray(Image.open(path / "a.png")) for path in (folder, drawn))
    assert before.shape == after.shape
    assert (before != after).any()
    nothing = predict_pictures(model, folder, tmp_path / "out", threshold=0.9999)
    assert (nothing.rows, nothing.marked) == (0, 0)
    assert not drawn.exists()
    predict_pictures(model, folder, tmp_path / "out", threshold=0.9999, draw="all")
    assert (np.asarray(Image.open(drawn / "a.png")) == before).all()


def test_the_threshold_is_that_of_the_operating_point_beside_the_model(model, tmp_path):
    assert threshold_of(model)[0] == 0.25
    point = tmp_path / "operating_point.json"
    write_record(point, "operating_point", {"threshold": 0.61}, {"model": model})
    assert threshold_of(model) == (0.61, f"of {point.as_posix()}")
    (tmp_path / "other").write_bytes(b"x")
    write_record(point, "operating_point", {"threshold": 0.61}, {"model": tmp_path / "other"})
    with pytest.raises(ConfigError, match="another model file"):
        threshold_of(model)


def test_unreadable_pictures_are_named_and_the_others_done(model, folder, tmp_path, capsys):
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:90])
    (folder / "text.jpg").write_text("no picture")
    deep = np.zeros((8, 8), np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    call = ["predict", str(folder), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main(call) == 1
    said = capsys.readouterr().out
    for name in ("broken.png", "text.jpg", "deep.png"):
        assert f"{name}: " in said
    assert "of 3 pictures" in said
    assert len((tmp_path / "out" / "faults.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "name a folder that holds pictures"),
        (["empty"], "put pictures there"),
        (["new", "--out", "new/found"], "name a folder beside the pictures"),
        (["new", "--threshold", "1.5"], "from 0 to below 1"),
        (["new", "--pack", "p"], "name a folder of pictures, or --pack"),
        ([], "name a folder of pictures, or --pack"),
        (["--pack", "p"], "name the file to write"),
        (["--pack", "p", "--out", "o", "--draw", "all"], "it is for a folder of pictures"),
    ],
)
def test_what_is_wrong_is_one_line(model, folder, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    assert main(["predict", *arguments, "--model", str(model)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.fixture
def tiled(tmp_path):
    """A set of images larger than the tiles of 64 pixels that a model sees at 32, one of them smaller; their pack."""
    images = {
        f"pit_{k}.png": texture(k, *((50, 40), (100, 140), (90, 100))[k % 3]) for k in range(4)
    }
    for pixels in images.values():
        pixels[20:70, 25:75] //= 8
    boxes = {name: [(0, [5.0, 6.0, 20.0, 10.0])] for name in images}
    data = write_dataset(tmp_path / "set", images, boxes, ("pit", "scratch"))
    write_overlaps(data, [])
    group_images(data)
    parts = data / "random" / "split0"
    parts.mkdir(parents=True)
    for part, names in {
        "train": ["pit_3.png"],
        "val": ["pit_2.png"],
        "test": ["pit_0.png", "pit_1.png"],
    }.items():
        (parts / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    certify(data, "random")
    tiling = Tiling(side=64, overlap=16)
    pack = tmp_path / "test.safetensors"
    pack_tiles(data, "random", "test", 32, pack, tiling)
    model = write_detector(tmp_path / "tiled.onnx")
    written = onnx.load(model)
    written.metadata_props.add(key="tiles", value=tiling.model_dump_json())
    onnx.save(written, model)
    return model, data / "images", pack


def test_a_model_of_tiles_says_of_a_picture_what_was_scored_of_its_tiles(tiled, tmp_path):
    model, images, pack = tiled
    scored = predict(model, pack, tmp_path / "predictions.json")
    shown = tmp_path / "shown"
    shown.mkdir()
    for name in ("pit_0.png", "pit_1.png"):
        (shown / name).write_bytes((images / name).read_bytes())
    predict_pictures(model, shown, tmp_path / "out", threshold=0.3)
    said = read_json(tmp_path / "out" / "predictions.json")
    assert {row["image_id"] for row in said} == {1, 2}
    # joined over tiles: one has boxes of 24 pixels
    assert any(max(row["bbox"][2:]) > 24 for row in said)
    kept = [row for row in scored if row["score"] > 0.3]
    for key, bound in {"image_id": 0, "category_id": 0, "score": 1e-5, "bbox": 1e-3}.items():
        values = [[row[key] for row in rows] for rows in (said, kept)]
        np.testing.assert_allclose(*values, rtol=0, atol=bound)


def test_a_picture_of_too_many_tiles_is_named_and_the_others_are_done(tiled, tmp_path, monkeypatch):
    model, images, _ = tiled
    monkeypatch.setattr("defectbench.deploy.pictures.MOST_TILES", 1)
    done = predict_pictures(model, images, tmp_path / "out", threshold=0.3)
    assert (done.read, len(done.faults)) == (2, 2)
    assert all("tiles: got" in fault and "in parts" in fault for fault in done.faults)


def test_tiles_that_cannot_be_cut_are_named(tiled, tmp_path):
    model, images, _ = tiled
    written = onnx.load(model)
    written.metadata_props[-1].value = '{"side": 64}'
    onnx.save(written, model)
    with pytest.raises(ConfigError, match="metadata tiles"):
        predict_pictures(model, images, tmp_path / "out")
