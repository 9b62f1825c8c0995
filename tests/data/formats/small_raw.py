"""A small set of one format: its card, its pictures, and what the conversion makes of it."""

import json

import numpy as np
import pytest
from PIL import Image

from defectbench.base.cards import DatasetCard
from defectbench.base.errors import DefectBenchError
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert

SIZE = (40, 30)  # width and height of a picture


class Raw:
    """A folder ``home`` with ``images`` and ``labels``, and the card of a format."""

    def __init__(self, home, form, **layout):
        self.home, self.out = home / "set", home / "out"
        self.layout = {"images": ["images"], "labels": ["labels"], "format": form, **layout}

    def image(self, name, size=SIZE):
        """Draw a picture that no other name has."""
        path = self.home / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = np.random.default_rng(list(name.encode()))
        Image.fromarray(drawn.integers(0, 255, (size[1], size[0]), np.uint8)).save(path)
        return path

    def label(self, name, content):
        """Write a label: bytes, a text, or a value as JSON."""
        path = self.home / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def card(self, **fields):
        """The card; fields join or replace the usual ones."""
        content = {
            "name": "set",
            "title": "set",
            "surface": "steel",
            "classes": ["pit", "scratch"],
            "aliases": {"Pit": "pit"},
            "source": {"kind": "archive", "place_here": "ask"},
            "layout": self.layout,
            "licence": "own",
        }
        return DatasetCard.model_validate(content | fields)

    def convert(self, **fields):
        """Acquire and convert: class and corners of each box by image, and the report."""
        card = self.card(**fields)
        acquire(card, self.out, self.home)
        convert(card, self.out / "raw", self.out)
        coco = json.loads((self.out / "annotations.json").read_text())
        boxes_of = {image["file_name"]: [] for image in coco["images"]}
        names = {image["id"]: image["file_name"] for image in coco["images"]}
        for box in coco["annotations"]:
            x, y, width, height = box["bbox"]
            corners = (x, y, x + width, y + height)
            mark = ("ignored",) if box["iscrowd"] else ()
            boxes_of[names[box["image_id"]]].append(
                (card.classes[box["category_id"]], *corners, *mark)
            )
        return boxes_of, json.loads((self.out / "conversion.json").read_text())

    def refused(self, *words, **fields):
        """Check that the conversion ends in one named error that says these words."""
        with pytest.raises(DefectBenchError) as caught:
            self.convert(**fields)
        for word in words:
            assert word in str(caught.value)
