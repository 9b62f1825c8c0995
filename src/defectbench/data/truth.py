"""The truth of a dataset: COCO annotations of any program, checked field by field for all that read them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..base.errors import ConfigError, MeasurementError
from ..base.files import read_json
from ..base.tasks import DETECTION, task_named

FIX = "convert the dataset again, or write COCO annotations"


def read_truth(path: str | Path, task: str | None = None) -> dict[str, Any]:
    """Read the content of an ``annotations.json``.

    Args:
        path: The file.
        task: What it must be for; any task where it is not given.

    Returns:
        The content; boxes of other programs get the ``area`` and ``iscrowd`` that they lack.

    Raises:
        ConfigError: It is missing, is not JSON, or is of another task.
        MeasurementError: It holds something else; names the entry, the field and the value.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise MeasurementError(path, "content", type(content).__name__, FIX)
    info = content.get("info", {})
    if not isinstance(info, dict):
        raise MeasurementError(path, "info", info, FIX)
    named = task_of(content)
    if task not in (None, task_named(named).name):
        raise ConfigError(path, "task", named, f"this step needs a dataset for {task}")
    return _checked(content, path)


def task_of(content: Mapping[str, Any]) -> str:
    """Task of the content of an ``annotations.json``: detection unless it names another."""
    return str(content.get("info", {}).get("task", DETECTION.name))


def check_dataset(content: Mapping[str, Any], path: str | Path) -> None:
    """Check what a dataset of the suite holds beyond the truth of any program.

    Args:
        content: What ``read_truth`` read.
        path: Where it stands.

    Raises:
        MeasurementError: It has no image, an image has no size, two have one name, or ids of classes do not count on
            from 0.
    """
    images = content["images"]
    if not images:
        raise MeasurementError(path, "images", len(images), FIX)
    for number, image in enumerate(images):
        for side in ("width", "height"):
            if image.get(side) is None:
                raise MeasurementError(path, f"images {number} {side}", "nothing", FIX)
    names = Counter(image["file_name"] for image in images)
    for name, times in names.items():
        if times > 1:
            raise MeasurementError(path, "images file_name", f"{name} twice", FIX)
    ids = sorted(entry["id"] for entry in content["categories"])
    if ids != list(range(len(ids))):
        raise MeasurementError(path, "categories id", ids, f"ids count on from 0; {FIX}")


def _checked(content: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    of_image = {"id": _is_whole, "file_name": _is_text, "width": _is_side, "height": _is_side}
    images = _entries(content, path, "images", of_image)
    classes = _entries(content, path, "categories", {"id": _is_whole, "name": _is_text})
    fields = {"image_id": _is_whole, "category_id": _is_whole, "bbox": _is_box}
    fields |= {"area": _is_area, "iscrowd": _is_flag}
    boxes = _entries(content, path, "annotations", fields)
    for name, entries in (("images", images), ("categories", classes)):
        if len({entry["id"] for entry in entries}) < len(entries):
            raise MeasurementError(path, f"{name} id", "an id twice", FIX)
    names = [entry["name"] for entry in classes]
    if len(set(names)) < len(names):
        raise MeasurementError(path, "categories name", max(names, key=names.count), FIX)
    known = {
        "image_id": {image["id"] for image in images},
        "category_id": {entry["id"] for entry in classes},
    }
    for number, box in enumerate(boxes):
        for name, keys in known.items():
            if box[name] not in keys:
                raise MeasurementError(path, f"annotations {number} {name}", box[name], FIX)
    whole = [_whole(box) for box in boxes]
    return {**content, "images": images, "categories": classes, "annotations": whole}


def _whole(box: Mapping[str, Any]) -> dict[str, Any]:
    """A box with an area and a flag; other programs leave them out or write null."""
    _, _, width, height = box["bbox"]
    area = box.get("area")
    filled = {
        "area": width * height if area is None else area,
        "iscrowd": int(box.get("iscrowd") or 0),
    }
    return {**box, **filled}


def _entries(
    content: Mapping[str, Any],
    path: str | Path,
    name: str,
    fields: Mapping[str, Callable[[Any], bool]],
) -> list[dict[str, Any]]:
    entries = content.get(name)
    if not isinstance(entries, list):
        raise MeasurementError(path, name, type(entries).__name__, FIX)
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise MeasurementError(path, f"{name} {number}", entry, FIX)
        for field, fits in fields.items():
            if not fits(entry.get(field)):
                raise MeasurementError(path, f"{name} {number} {field}", entry.get(field), FIX)
    return entries


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_side(value: Any) -> bool:
    return value is None or (_is_number(value) and float(value) > 0)


def _is_area(value: Any) -> bool:
    return value is None or (_is_number(value) and float(value) >= 0)


def _is_flag(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value in (0, 1))


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_box(value: Any) -> bool:
    """Whether it is x, y, width and height in finite pixels, neither side negative."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(_is_number, value)):
        return False
    x, y, width, height = map(float, value)
    ends = (x + width, y + height, width * height)
    return all(map(math.isfinite, ends)) and min(width, height) >= 0
