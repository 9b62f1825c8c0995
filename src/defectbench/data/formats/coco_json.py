"""COCO: one JSON, or several, that list images, classes, and a box or an outline for each object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ..coco import Corners
from ..pairing import Paired, drop_unlabelled, named_pairs, raw_files, ways_without_label
from .label import Label, LabelledBox, LabelledSet
from .listed import ListedImages
from .run_lengths import box_of_runs
from .values import around, entries, numbers_of, read_object, side_of, text_of

_ASIDE = {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"}
_WHOLE = "get a whole copy, or export it again"


@dataclass(frozen=True)
class _Listed:
    """What a file says of one image.

    Attributes:
        path: The file.
        name: What it calls the image.
        size: Width and height, as far as they are told.
        classes: Class by the number that this file gives it.
        objects: The image's objects, with their places in the file.
    """

    path: Path
    name: str
    size: tuple[int | None, int | None]
    classes: dict[int, str]
    objects: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


def open_coco(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set whose labels are in one file or a few; see ``BoxReader``."""
    files, ignored = raw_files(raw, card)
    images = ListedImages(raw, card, files)
    listed = {
        images.take(path, f"images {number} file_name", entry.name): entry
        for path in files["labels"]
        for number, entry in enumerate(_listed_in(path))
    }
    by_key = dict(images.by_key)
    labels = {key: listed[image].path for key, image in by_key.items() if image in listed}
    dropped = []
    if "unlabelled" in card.layout.drop_images:
        dropped = drop_unlabelled(raw, by_key, labels)
    elif images.unlisted and not card.unlabelled_are_empty:
        fix = f"no file lists it ({len(images.unlisted)} images are in none); get the one that does"
        raise ConversionError(
            images.unlisted[0], "label", "nothing", fix + ways_without_label(card)
        )
    paired = Paired(named_pairs(raw, card, by_key, labels), ignored, dropped)
    return LabelledSet(paired, lambda pair, size: _label(listed[pair.image]))


def labels_in(path: Path) -> list[tuple[str, Label]]:
    """Name and label of each image that a file lists, in its order.

    Raises:
        ConversionError: It is no COCO file, or an object lacks a box or is of what the file does not list.
    """
    return [(entry.name, _label(entry)) for entry in _listed_in(path)]


def _listed_in(path: Path) -> list[_Listed]:
    """What a file says, by image, in its order.

    Raises:
        ConversionError: It is no COCO file, or an object is of an image or a class that it does not list.
    """
    content = read_object(path)
    classes: dict[int, str] = {}
    for number, entry in enumerate(entries(path, content, "categories")):
        _add(
            path,
            f"categories {number}",
            classes,
            entry,
            text_of(path, f"categories {number} name", entry.get("name")),
        )
    images: dict[int, _Listed] = {}
    for number, entry in enumerate(entries(path, content, "images")):
        place = f"images {number}"
        name = text_of(path, f"{place} file_name", entry.get("file_name")).replace("\\", "/")
        width, height = (
            side_of(path, f"{place} {key}", entry.get(key)) for key in ("width", "height")
        )
        _add(path, place, images, entry, _Listed(path, name, (width, height), classes))
    for number, entry in enumerate(entries(path, content, "annotations")):
        for key, known in (("image_id", images), ("category_id", classes)):
            if _number(path, f"annotations {number} {key}", entry.get(key)) not in known:
                fix = f"the file lists no such entry; {_WHOLE}"
                raise ConversionError(path, f"annotations {number} {key}", entry[key], fix)
        images[entry["image_id"]].objects.append((number, entry))
    return list(images.values())


def _add(path: Path, place: str, listed: dict[int, Any], entry: dict[str, Any], value: Any) -> None:
    number = _number(path, f"{place} id", entry.get("id"))
    if number in listed:
        raise ConversionError(path, f"{place} id", number, "it stands twice; number each by itself")
    listed[number] = value


def _number(path: Path, place: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConversionError(path, place, value, f"it is a whole number; {_WHOLE}")
    return value


def _label(listed: _Listed) -> Label:
    boxes, boxed, unread = [], Counter[str](), Counter[str]()
    for number, entry in listed.objects:
        place = f"annotations {number}"
        corners, shape = _corners(listed, place, entry)
        name = listed.classes[entry["category_id"]]
        apart = "iscrowd" if _is_crowd(listed.path, f"{place} iscrowd", entry) else ""
        boxes.append(LabelledBox(name, corners, f"{place} category_id", f"{place} {shape}", apart))
        boxed.update([shape] if shape != "bbox" else [])
        unread.update(
            f"annotations.{key}"
            for key in entry
            if key not in _ASIDE and entry[key] not in (None, "", [], {})
        )
    name = f"{listed.path.name}: {listed.name}"
    return Label(name, boxes, None, listed.size, dict(unread), dict(boxed))


def _is_crowd(path: Path, place: str, entry: dict[str, Any]) -> bool:
    value = entry.get("iscrowd") or 0
    if value not in (0, 1):
        raise ConversionError(path, place, value, "write 0 or 1")
    return bool(value)


def _corners(listed: _Listed, place: str, entry: dict[str, Any]) -> tuple[Corners, str]:
    """Corners of an object, and the field that they are from."""
    path, outline = listed.path, entry.get("segmentation")
    if entry.get("bbox") not in (None, []):
        numbers = numbers_of(path, f"{place} bbox", entry["bbox"])
        if len(numbers) != 4:
            fix = "write x, y, width and height in pixels"
            raise ConversionError(path, f"{place} bbox", entry["bbox"], fix)
        x, y, width, height = numbers
        if width <= 0 or height <= 0:
            fix = "width and height are above 0: the numbers are x, y, width and height"
            raise ConversionError(path, f"{place} bbox", entry["bbox"], fix)
        return (x, y, x + width, y + height), "bbox"
    place = f"{place} segmentation"
    if isinstance(outline, dict):
        return box_of_runs(path, place, outline, listed.size), "segmentation"
    if not isinstance(outline, list) or not outline:
        fix = "an object needs a `bbox`, or a `segmentation` to draw it around"
        raise ConversionError(path, place, "nothing", fix)
    points: list[tuple[float, float]] = []
    for polygon in outline:
        numbers = numbers_of(path, place, polygon)
        if len(numbers) < 6 or len(numbers) % 2:
            fix = "a polygon is x and y of 3 points or more"
            raise ConversionError(path, place, len(numbers), fix)
        points += zip(numbers[::2], numbers[1::2], strict=True)
    return around(points), "segmentation"
