"""A small set as a user owns it, drawn in a moment: plates with a dark box, and their labels."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from defectbench.base.cards import load_dataset_card
from defectbench.data.acquire import acquire
from defectbench.data.certificate import certify
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.split import split


@dataclass
class Plant:
    """A folder of a user: what lies in it, the card that describes it, and the stages of the data."""

    home: Path

    def draw(
        self,
        folder="plates",
        count=6,
        side=48,
        pattern="plate_{i}.png",
        classes=("pit", "scratch"),
        images="IMAGES",
        labels="ANNOTATIONS",
        empty=(),
    ):
        """Draw images and Pascal VOC labels; image ``i`` shows class ``i % len(classes)``, or nothing if in `empty`."""
        out = self.home / folder
        for kind in (images, labels):
            (out / kind).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            draws = np.random.default_rng(1000 + i)
            pixels = draws.integers(60, 180, (side, side)).astype(np.uint8)
            x, y = map(int, draws.integers(4, side // 2, 2))
            w, h = map(int, draws.integers(side // 6, side // 3, 2))
            pixels[y : y + h, x : x + w] = 20
            name = pattern.format(i=i)
            Image.fromarray(pixels).save(out / images / name)
            corners = {"xmin": x + 1, "ymin": y + 1, "xmax": x + w, "ymax": y + h}
            objects = [] if i in empty else [(classes[i % len(classes)], corners)]
            label = (out / labels / name).with_suffix(".xml")
            label.write_text(voc(name, side, objects), encoding="utf-8")
        return out

    def card(self, classes=("pit", "scratch"), **fields):
        """Write the card ``datasets/my-steel.yaml``; fields replace or join the usual ones."""
        content = {
            "name": "my-steel",
            "title": "My steel",
            "surface": "test plates",
            "classes": list(classes),
            "source": {"kind": "archive", "place_here": "ask the plant"},
            "layout": {"images": ["IMAGES"], "labels": ["ANNOTATIONS"], "format": "voc"},
            "allow_empty": True,
            "licence": "own",
        }
        path = self.home / "datasets" / "my-steel.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**content, **fields}, allow_unicode=True), encoding="utf-8")
        return path

    def convert(self, mirror, **fields):
        """Acquire and convert what lies in a mirror; returns ``results/data/my-steel``."""
        card = load_dataset_card(self.card(**fields))
        data = self.home / "results" / "data" / "my-steel"
        acquire(card, data, self.home / mirror)
        convert(card, data / "raw", data)
        return data

    def split(self, mirror, protocol="clean", **fields):
        """All stages up to the certificate; returns ``results/data/my-steel``."""
        data = self.convert(mirror, **fields)
        find_overlaps(data)
        group_images(data)
        split(data, protocol)
        certify(data, protocol)
        return data


def voc(name, side, objects):
    """A Pascal VOC label of objects, each a class name and its corners."""
    boxes = "".join(
        f"<object><name>{label}</name><bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
        + "</bndbox></object>"
        for label, corners in objects
    )
    size = f"<size><width>{side}</width><height>{side}</height><depth>1</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{boxes}</annotation>"


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


@pytest.fixture
def said():
    """Reads a JSON file that a stage wrote."""
    return lambda path: json.loads(Path(path).read_text(encoding="utf-8"))
