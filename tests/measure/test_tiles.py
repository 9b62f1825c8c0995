"""Scores, thresholds and times of images in tiles: of whole images, with the tiles' beside them."""

import json

import numpy as np
import pytest
from measure_cases import make_truth
from race_cases import PROVENANCE, write_detector

from defectbench.base.files import atomic_write_json, read_json
from defectbench.base.records import read_record
from defectbench.base.studies import LatencySettings
from defectbench.base.tiling import Tiling
from defectbench.data.mapped import write_streamed
from defectbench.data.pack import load_arrays
from defectbench.data.tiling import assign_boxes, cut_to, tile_windows
from defectbench.deploy.nms import NMS
from defectbench.deploy.predict import predict, predict_pack
from defectbench.measure.accuracy import evaluate
from defectbench.measure.evaluator import score
from defectbench.measure.operating_point import choose_operating_point, pack_truth
from defectbench.measure.race import entries_of, race

CLASSES = ["pit", "scratch"]
LAYOUT = [  # neighbours of one class, and boxes across four tiles and more
    [(0, [50, 40, 80, 70]), (0, [135, 40, 60, 70]), (0, [50, 112, 100, 40]), (1, [60, 50, 90, 60])],
    [(1, [0, 0, 200, 30]), (1, [0, 32, 200, 30]), (0, [90, 90, 10, 10])],
    [],
]
ALL = 1e-9  # least visible share: each tile has whatever it shows


class PerfectEngine:
    """Says the truth of each tile, in the order in which tiles are asked for."""

    name, metadata, suppression = "perfect", {}, NMS

    def __init__(self, pack):
        self.classes, self.size, self.pack, self.row = pack.classes, pack.size, pack, 0

    def __call__(self, images):
        rows = slice(self.row, self.row + len(images))
        self.row += len(images)
        labels = self.pack.labels[rows]
        return self.pack.boxes[rows], np.eye(len(self.classes))[labels] * (labels >= 0)[..., None]


def write_tiles(path, tiling, size, layout=LAYOUT):
    """A pack of the tiles of images of 200 x 200 px with random pixels, and their truth."""
    truth = make_truth(layout)
    ids = [image["id"] for image in truth["images"]]
    most = max(map(len, layout))
    boxes, labels = np.zeros((len(ids), most, 4)), np.full((len(ids), most), -1)
    for row, of_image in enumerate(layout):
        for column, (label, (x, y, w, h)) in enumerate(of_image):
            boxes[row, column], labels[row, column] = (x, y, x + w, y + h), label
    windows = tile_windows(200, 200, tiling)
    count = len(windows)
    cut, names = (
        np.zeros((len(ids) * count, most, 4), np.float32),
        np.full((len(ids) * count, most), -1),
    )
    for image, of_image in enumerate(layout):
        real = slice(0, len(of_image))
        has = assign_boxes(boxes[image, real], windows, tiling)
        for tile, window in enumerate(windows):
            row = image * count + tile
            parts = cut_to(boxes[image, real], window) * size / tiling.side
            cut[row, real] = parts * has[:, tile, None]
            names[row, real] = np.where(has[:, tile], labels[image, real], -1)
    rows = len(cut)
    tensors = {
        "boxes": cut,
        "labels": names,
        "image_ids": np.repeat(ids, count),
        "original_size": np.full((rows, 2), tiling.side),
        "scale": np.full(rows, size / tiling.side, np.float32),
        "pad": np.zeros((rows, 2), np.float32),
        "windows": np.tile(windows, (len(ids), 1)),
        "whole_ids": np.array(ids),
        "whole_size": np.full((len(ids), 2), 200),
        "whole_boxes": boxes,
        "whole_labels": labels,
    }
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (rows, 3, size, size), dtype=np.uint8)
    metadata = {"classes": json.dumps(CLASSES), "tiles": tiling.model_dump_json(), "part": "test"}
    write_streamed(path, tensors, "images", pixels.shape, pixels, metadata)
    return path, truth


@pytest.mark.parametrize("overlap", [8, 24, 40])
def test_a_perfect_detector_of_tiles_scores_one_on_whole_images(tmp_path, overlap):
    tiling = Tiling(side=64, overlap=overlap, least_visible=ALL)
    path, truth = write_tiles(tmp_path / "test.safetensors", tiling, 32)
    pack = load_arrays(path)
    results = [row for rows in predict_pack(PerfectEngine(pack), pack, path) for row in rows]
    assert score(truth, results).map50_95 == pytest.approx(1.0)
    assert len(results) == len(truth["annotations"])
    assert len(list(predict_pack(PerfectEngine(pack), pack, path))) == len(LAYOUT)


def test_the_truth_of_a_pack_of_tiles_is_that_of_its_images(tmp_path):
    path, truth = write_tiles(tmp_path / "val.safetensors", Tiling(side=64, overlap=8), 32)
    told = pack_truth(load_arrays(path))
    assert [box["bbox"] for box in told["annotations"]] == [
        box["bbox"] for box in truth["annotations"]
    ]
    assert [(i["id"], i["width"], i["height"]) for i in told["images"]] == [
        (n, 200, 200) for n in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A cell whose model file was measured on tiles of 64 px, seen at 16 px."""
    root = tmp_path_factory.mktemp("tiled")
    folder = root / PROVENANCE["dataset"] / "pixels" / "seed0"
    write_detector(folder / "model.onnx")
    path, truth = write_tiles(root / "test.safetensors", Tiling(side=64, overlap=16), 16)
    atomic_write_json(root / "annotations.json", truth)
    names = [image["file_name"] for image in truth["images"]]
    (root / "test.txt").write_text("".join(f"{name}\n" for name in names))
    rows = "".join(f"{n},{name},{n}\n" for n, name in enumerate(names))
    (root / "groups.csv").write_text("image_id,file_name,group\n" + rows)
    choose_operating_point(folder / "model.onnx", path, folder / "operating_point.json")
    predict(folder / "model.onnx", path, folder / "predictions.json")
    files = (root / "annotations.json", folder / "predictions.json", root / "test.txt")
    evaluate(*files, root / "groups.csv", folder / "accuracy.json")
    short = LatencySettings(processes=2, rounds=10, block_calls=2, warmup=1, burst_calls=0)
    race(entries_of([folder]), short)
    return folder


TOLD = Tiling(side=64, overlap=16).model_dump()


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("operating_point.json", "operating_point"),
        ("predictions.record.json", "predictions"),
        ("accuracy.json", "accuracy"),
        ("latency/onnxruntime.json", "latency"),
    ],
)
def test_every_record_says_how_images_were_cut(cell, file, kind):
    assert read_record(cell / file, kind)["tiles"] == TOLD


def test_counts_and_rates_are_of_whole_images(cell):
    predicted = read_record(cell / "predictions.record.json", "predictions")["figures"]
    assert (predicted["n_images"], predicted["n_tiles"]) == (3, 48)
    results = read_json(cell / "predictions.json")
    assert {row["image_id"] for row in results} <= {1, 2, 3}
    assert max(row["bbox"][0] + row["bbox"][2] for row in results) > 64
    point = read_record(cell / "operating_point.json", "operating_point")["figures"]
    assert (point["n_images"], point["on_validation"]["n_overkill_base"]) == (3, 3)
    assert point["on_validation"]["n_defective_images"] == 2
    accuracy = read_record(cell / "accuracy.json", "accuracy")["figures"]
    assert (accuracy["n_images"], accuracy["n_boxes"]) == (3, 7)


def test_an_image_costs_its_tiles_and_the_merging(cell):
    figures = read_record(cell / "latency" / "onnxruntime.json", "latency")["figures"]
    assert (figures["tiles_per_image"], figures["n_merges"]) == (16, 2 * 3)
    assert figures["merge_ms_p50"] > 0
    for end in ("", "_low", "_high"):
        tiles = 16 * figures[f"latency_ms_p50{end}"]
        whole = figures[f"image_latency_ms_p50{end}"]
        assert whole == pytest.approx(tiles + figures["merge_ms_p50"])
    assert figures["image_fps"] == pytest.approx(1000 / figures["image_latency_ms_p50"])
