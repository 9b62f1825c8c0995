"""A cell with all its records, of a small network on a small set, and the cards beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.data.small_sets import texture, write_dataset, write_overlaps
from tests.small_models import SIDE, write_steady

from defectbench.advice.deploying import Shelves
from defectbench.data.certificate import certify
from defectbench.data.groups import group_images
from defectbench.data.pack import pack
from defectbench.data.tile_pack import pack_tiles
from defectbench.deploy.predict import predict
from defectbench.measure.cell import Truth, evaluate_predictions
from defectbench.measure.operating_point import choose_operating_point

PROTOCOL = "random"
TEST, VAL, TRAIN = range(12), range(12, 18), range(18, 24)
DATASET = """
name: steel
title: Small steel
surface: steel
classes: [pit, scratch]
source: {kind: archive, place_here: nowhere}
layout: {images: [images], labels: [labels], format: voc}
allow_empty: true
licence: a licence of its own
allows: {redistribution: REDISTRIBUTION}
"""
METHOD = """
name: four
title: Four convolutions
family: engine
paper: none
licence: Apache-2.0 (a network of the tests)
golden: {params: 1}
"""


@dataclass(frozen=True)
class Small:
    """The cell and what is around it.

    Attributes:
        cell: Its folder.
        data: The dataset's folder.
        parts: The folder of the split, with its packs.
        shelves: Where the cards lie.
        truth: What its predictions are held against.
    """

    cell: Path
    data: Path
    parts: Path
    shelves: Shelves
    truth: Truth

    @property
    def model(self):
        return self.cell / "model.onnx"

    def pack(self, part):
        return self.parts / f"{part}.safetensors"


def plate(number):
    """Pixels of a plate in one of four sizes, some to be shrunk and some to be enlarged; a dark place in each."""
    height, width = ((48, 64), (90, 70), (20, 28), (32, 32))[number % 4]
    pixels = texture(number, height, width)
    pixels[4:14, 5:19] //= 8
    return np.stack([pixels, pixels[::-1], 255 - pixels], -1)


def write_cards(root, redistribution="not stated"):
    """Cards of the set and of the method."""
    card, folder = root / "datasets" / "steel.yaml", root / "models" / "four"
    for parent in (card.parent, folder):
        parent.mkdir(parents=True, exist_ok=True)
    card.write_text(DATASET.replace("REDISTRIBUTION", redistribution))
    (folder / "card.yaml").write_text(METHOD)
    return Shelves(card.parent, folder.parent)


def write_small(root, tiling=None):
    """Make it below a folder; with a tiling the model learnt from tiles."""
    images = {f"plate_{k:02d}.png": plate(k) for k in range(24)}
    boxes = {
        name: [(0, [5.0, 4.0, 14.0, 10.0])] if number % 2 else []
        for number, name in enumerate(images)
    }
    data = write_dataset(root / "data" / "steel", images, boxes, ("pit", "scratch"))
    write_overlaps(data, [])
    group_images(data)
    parts = data / PROTOCOL / "split0"
    parts.mkdir(parents=True)
    for part, numbers in {"test": TEST, "val": VAL, "train": TRAIN}.items():
        (parts / f"{part}.txt").write_text("".join(f"plate_{k:02d}.png\n" for k in numbers))
    certify(data, PROTOCOL)
    for part in ("test", "val", "train"):
        out = parts / f"{part}.safetensors"
        if tiling is None:
            pack(data, PROTOCOL, part, SIDE, out)
        else:
            pack_tiles(data, PROTOCOL, part, SIDE, out, tiling)
    cell = root / "runs" / "steel" / PROTOCOL / "four" / "seed0"
    cell.mkdir(parents=True)
    told = {} if tiling is None else {"tiles": tiling.model_dump_json()}
    write_steady(cell / "model.onnx", told)
    truth = Truth(data / "annotations.json", parts / "test.txt", data / "groups.csv")
    small = Small(cell, data, parts, write_cards(root), truth)
    choose_operating_point(small.model, small.pack("val"), cell / "operating_point.json")
    predict(small.model, small.pack("test"), cell / "predictions.json")
    evaluate_predictions(cell / "predictions.json", truth, cell / "accuracy.json")
    return small


def write_latency(path, inputs, **figures):
    """A record of latency as a race writes it."""
    from defectbench.base.records import write_record

    told = {
        "ratio_to_reference": 2.5,
        "ratio_to_reference_low": 2.4,
        "ratio_to_reference_high": 2.6,
    }
    told |= {"latency_ms_p50": 8.25, "latency_ms_p50_low": 8.0, "latency_ms_p50_high": 8.5}
    told |= {"threads": 1, "valid": True, "invalid_because": []}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, "latency", {**told, **figures}, inputs)


def told(path):
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
