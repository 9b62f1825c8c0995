"""A folder like NEU-DET with each of its quirks, made by hand, and its card."""

import hashlib

import numpy as np
from PIL import Image

from defectbench.base.cards import DatasetCard

CLASSES = ["crazing", "inclusion", "rolled-in_scale"]
SIZE = (40, 30)  # width, height


def card(**changes):
    content = {
        "name": "steel-like",
        "title": "steel like",
        "surface": "steel",
        "classes": CLASSES,
        "aliases": {"rolled_in_scale": "rolled-in_scale"},
        "source": {"kind": "archive"},
        "layout": {"images": ["IMAGES"], "labels": ["ANNOTATIONS"]},
        "licence": "none",
    }
    return DatasetCard.model_validate({**content, **changes})


def voc(*boxes, filename="x.jpg", size=(*SIZE, 1)):
    """VOC text; a box is a name and 1-based inclusive corners."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in boxes
    )
    keys = zip(("width", "height", "depth"), size, strict=True)
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in keys)
    return f"<annotation><filename>{filename}</filename><size>{inside}</size>{objects}</annotation>"


def write_image(path, seed=0, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), np.uint8)
    Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(path)
    return path


def write_pair(raw, stem, *boxes, suffix=".jpg", seed=0, **voc_options):
    """One image and its label."""
    image = write_image(raw / "IMAGES" / f"{stem}{suffix}", seed)
    label = raw / "ANNOTATIONS" / f"{stem}.xml"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text(voc(*boxes, **{"filename": image.name, **voc_options}))
    return image, label


def write_steel_like(raw):
    """Four images, eight labelled boxes; see ``tests/data/test_convert.py`` for what comes out."""
    # The filename lacks its suffix; one box twice; corners at both ends of the image.
    once = ("crazing", 1, 1, 40, 30)
    write_pair(raw, "crazing_2", once, ("inclusion", 3, 4, 3, 4), once, filename="crazing_2")
    # Sorted after crazing_2; another class than the name says; the alias of a class.
    boxes = [("inclusion", 5, 6, 10, 12), ("rolled_in_scale", 2, 2, 9, 9)]
    write_pair(raw, "crazing_10", *boxes, seed=1)
    # Size fields that are wrong; a box over the edge; the same bytes as crazing_10.
    edge = ("inclusion", 30, 20, 45, 29)
    write_pair(raw, "inclusion_1", edge, seed=1, size=(200, 100, 3))
    # The same box with two classes is no duplicate; the label's name has other capitals.
    boxes = [("rolled-in_scale", 2, 3, 4, 5), ("crazing", 2, 3, 4, 5)]
    _, label = write_pair(raw, "rolled-in_scale_1", *boxes, seed=2)
    label.rename(label.with_name("Rolled-In_Scale_1.XML"))
    (raw / "IMAGES" / "Thumbs.db").write_bytes(b"junk")
    (raw / "IMAGES" / "._crazing_2.jpg").write_bytes(b"junk")
    return raw


def files_of(folder):
    """SHA-256 by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
