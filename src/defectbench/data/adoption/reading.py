"""Boxes of one picture from a label of any format that ``data.formats`` reads, without a card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ...base.errors import ConversionError
from ...base.layouts import Mask
from ..damage import damage_named
from ..formats.deeppcb import read_corners
from ..formats.label import Label
from ..formats.labelme import read_labelme
from ..formats.masks import read_mask
from ..formats.voc import read_voc
from ..formats.yolo import read_yolo
from ..pairing import Decoded
from .kinds import MOST_COLOURS

DEEPPCB = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
DEFECT = "defect"  # class of a mask of two values
MOST_CLASSES = 1000
WHITE = 255

Names = Sequence[str]
Reader = Callable[[Path, Decoded, Names], Label]


def numbered(names: Names, first: int, word: str) -> dict[int, str]:
    """Class by number; numbers that no list names are called by themselves.

    Example:
        >>> numbered(["pit"], 0, "class")[1]
        'class_1'
    """
    listed = dict(enumerate(names, first))
    return {n: listed.get(n, f"{word}_{n}") for n in range(first, first + MOST_CLASSES)}


def _voc(path: Path, size: Decoded, names: Names) -> Label:
    return read_voc(path)


def _yolo(path: Path, size: Decoded, names: Names) -> Label:
    return read_yolo(path, size, numbered(names, 0, "class"))


def _labelme(path: Path, size: Decoded, names: Names) -> Label:
    return read_labelme(path)


def _deeppcb(path: Path, size: Decoded, names: Names) -> Label:
    return read_corners(path, numbered(names or DEEPPCB, 1, "type"))


def _mask(path: Path, size: Decoded, names: Names) -> Label:
    values = _values_of(path, names)
    return read_mask(path, size, Mask(values=values)) if values else Label(path.name, [])


def _values_of(path: Path, names: Names) -> dict[str, int | tuple[int, int, int]]:
    """Value by class of a mask, as its own pixels have them; black is the background."""
    with damage_named(path, ConversionError, "mask", "get a whole copy"), Image.open(path) as image:
        is_indexed = image.mode in ("1", "L", "P", "I", "I;16")
        pixels = np.asarray(image if is_indexed else image.convert("RGB"))
    rows = np.unique(pixels.reshape(-1, 1 if is_indexed else 3), axis=0).tolist()
    if len(rows) > MOST_COLOURS:
        fix = f"a mask has {MOST_COLOURS} values at most; save it without loss, as PNG"
        raise ConversionError(path, "values", len(rows), fix)
    if all(len(set(row)) == 1 for row in rows):
        levels = [int(row[0]) for row in rows if row[0]]
        return {_name_of_level(level, names): level for level in levels}
    colours = [(int(r), int(g), int(b)) for r, g, b in rows if (r, g, b) != (0, 0, 0)]
    return {"colour_{:02x}{:02x}{:02x}".format(*colour): colour for colour in colours}


def _name_of_level(level: int, names: Names) -> str:
    """Grey levels count classes from 1; white is the one class of a mask of two values."""
    if level == WHITE:
        return names[0] if len(names) == 1 else DEFECT
    return numbered(names, 1, "value").get(level, f"value_{level}")


READERS: Mapping[str, Reader] = {
    "voc": _voc,
    "yolo": _yolo,
    "labelme": _labelme,
    "masks": _mask,
    "deeppcb": _deeppcb,
}
