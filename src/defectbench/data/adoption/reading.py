"""Boxes of one picture from a label of any format, as the label spells their classes; what is wrong is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...base.errors import ConversionError
from ...base.texts import same_text
from ..coco import Corners, read_pixels
from ..damage import damage_named
from ..pairing import Decoded
from ..voc import read_voc
from .kinds import figures, json_of

DEEPPCB = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
DEFECT = "defect"  # class of a mask of two values


@dataclass(frozen=True)
class Box:
    """A labelled object: class name as the label spells it, and corners x0, y0, x1, y1 in pixels from 0."""

    name: str
    corners: Corners


Names = Sequence[str]
Reader = Callable[[Path, Decoded, Names], list[Box]]


def _voc(path: Path, size: Decoded, names: Names) -> list[Box]:
    return [Box(box.name, box.corners) for box in read_voc(path).boxes]


def _lines(path: Path) -> list[list[float]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        row = figures(line)
        if row is None or any(not isfinite(value) for value in row):
            raise ConversionError(path, f"line {number}", line[:80], "write numbers alone")
        if row:
            rows.append(row)
    return rows


def _named(names: Names, number: int, word: str = "class") -> str:
    return names[number] if number < len(names) else f"{word}_{number}"


def _yolo(path: Path, size: Decoded, names: Names) -> list[Box]:
    boxes = []
    for row in _lines(path):
        shares = np.array(row[1:5] if len(row) < 7 else row[1:])
        if len(row) < 7:
            x, y, w, h = shares
            corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        else:
            points = shares.reshape(-1, 2)
            corners = np.concatenate([points.min(0), points.max(0)])
        scaled = corners * [size.width, size.height, size.width, size.height]
        boxes.append(Box(_named(names, int(row[0])), _corners(scaled)))
    return boxes


def _deeppcb(path: Path, size: Decoded, names: Names) -> list[Box]:
    listed = names or DEEPPCB
    return [
        Box(_named(listed, int(row[4]) - 1, "type"), _corners(np.array(row[:4])))
        for row in _lines(path)
    ]


def _labelme(path: Path, size: Decoded, names: Names) -> list[Box]:
    content = json_of(path)
    boxes = []
    for number, shape in enumerate(content["shapes"]):
        try:
            name = same_text(str(shape["label"])).strip()
            points = np.array(shape["points"], np.float64).reshape(-1, 2)
            low, high = points.min(0), points.max(0)
        except (KeyError, TypeError, ValueError) as error:
            fix = "each shape has a label and points"
            raise ConversionError(path, f"shapes.{number}", str(error), fix) from error
        if shape.get("shape_type") == "circle" and len(points) == 2:
            radius = float(np.hypot(*(points[1] - points[0])))
            low, high = points[0] - radius, points[0] + radius
        boxes.append(Box(name, _corners(np.concatenate([low, np.maximum(high, low + 1)]))))
    return boxes


def _mask(path: Path, size: Decoded, names: Names) -> list[Box]:
    with damage_named(path, ConversionError, "mask", "get a whole copy"):
        pixels = read_pixels(path, cv2.IMREAD_COLOR)
    if pixels is None:
        raise ConversionError(path, "mask", "undecodable", "get a whole copy")
    height, width = pixels.shape[:2]
    if (width, height) != (size.width, size.height):
        fix = f"its picture has {size.width} x {size.height} pixels; give the mask of that picture"
        raise ConversionError(path, "size", f"{width} x {height}", fix)
    flat = pixels.astype(np.int64)
    codes = flat[..., 2] << 16 | flat[..., 1] << 8 | flat[..., 0]
    boxes = []
    values = [int(code) for code in np.unique(codes) if code]
    for code in values:
        count, _, stats, _ = cv2.connectedComponentsWithStats(
            (codes == code).astype(np.uint8), connectivity=8
        )
        for x, y, w, h, _ in stats[1:count].tolist():
            corners = (float(x), float(y), float(x + w), float(y + h))
            boxes.append(Box(_mask_name(code, names), corners))
    return boxes


def _mask_name(code: int, names: Names) -> str:
    """Class of a value: grey levels count classes from 1, white is the one class of a mask of two values."""
    red, green, blue = code >> 16, code >> 8 & 255, code & 255
    if red == green == blue:
        if red == 255:
            return names[0] if len(names) == 1 else DEFECT
        return _named(names, red - 1, "value") if names else f"value_{red}"
    return f"colour_{code:06x}"


def _corners(values: Any) -> Corners:
    x0, y0, x1, y1 = (round(float(value), 4) for value in values)
    return x0, y0, x1, y1


READERS: Mapping[str, Reader] = {
    "voc": _voc,
    "yolo": _yolo,
    "labelme": _labelme,
    "masks": _mask,
    "deeppcb": _deeppcb,
}


def read_coco_file(path: Path) -> dict[str, list[Box]]:
    """Boxes by ``file_name`` of a COCO file.

    Raises:
        ConversionError: An entry lacks a field, or names an image or a class that there is not.
    """
    content = json_of(path)
    try:
        classes = {entry["id"]: same_text(str(entry["name"])) for entry in content["categories"]}
        files = {entry["id"]: same_text(str(entry["file_name"])) for entry in content["images"]}
        boxes: dict[str, list[Box]] = {name: [] for name in files.values()}
        for entry in content["annotations"]:
            x, y, w, h = map(float, entry["bbox"])
            box = Box(classes[entry["category_id"]], _corners((x, y, x + w, y + h)))
            boxes[files[entry["image_id"]]].append(box)
    except (KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        fix = "write images, categories and annotations as COCO has them"
        raise ConversionError(path, "content", told, fix) from error
    return boxes
