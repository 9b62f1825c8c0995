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
from .values import around, entries, numbers_of, read_object, says, side_of, text_of

_ASIDE = {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"}
_WHOLE = "get a whole copy, or export it again"


@dataclass(frozen=True)
class Listed:
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
        for number, entry in enumerate(listed_in(path))
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
    return LabelledSet(paired, lambda pair, size: label_of(listed[pair.image]))


def listed_in(path: Path) -> list[Listed]:
    """What a file says, by image, in its order.

    Raises:
        ConversionError: It is no COCO file, or an object is of an image or a class that it does not list.
    """
    content = read_object(path)
    classes: dict[int, str] = {}
    for number, entry in enumerate(entries(path, content, "categories")):
        where = f"categories {number}"
        _add(path, where, classes, entry, text_of(path, f"{where} name", entry.get("name")))
    images: dict[int, Listed] = {}
    for number, entry in enumerate(entries(path, content, "images")):
        where = f"images {number}"
        name = text_of(path, f"{where} file_name", entry.get("file_name")).replace("\\", "/")
        width, height = (
            side_of(path, f"{where} {key}", entry.get(key)) for key in ("width", "height")
        )
        _add(path, where, images, entry, Listed(path, name, (width, height), classes))
    for number, entry in enumerate(entries(path, content, "annotations")):
        for key, numbers in (("image_id", images.keys()), ("category_id", classes.keys())):
            where = f"annotations {number} {key}"
            if _number(path, where, entry.get(key)) not in numbers:
                fix = f"the file lists no such entry; {_WHOLE}"
                raise ConversionError(path, where, entry[key], fix)
        images[entry["image_id"]].objects.append((number, entry))
    return list(images.values())


def _add(path: Path, where: str, listed: dict[int, Any], entry: dict[str, Any], value: Any) -> None:
    number = _number(path, f"{where} id", entry.get("id"))
    if number in listed:
        raise ConversionError(path, f"{where} id", number, "it stands twice; number each by itself")
    listed[number] = value


def _number(path: Path, where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConversionError(path, where, value, f"it is a whole number; {_WHOLE}")
    return value


def label_of(listed: Listed) -> Label:
    """The boxes of one image.

    Raises:
        ConversionError: An object has neither a box nor an outline, or one that is none.
    """
    boxes, boxed, unread = [], Counter[str](), Counter[str]()
    for number, entry in listed.objects:
        where = f"annotations {number}"
        corners, shape = _corners(listed, where, entry)
        name = listed.classes[entry["category_id"]]
        apart = "iscrowd" if _is_crowd(listed.path, f"{where} iscrowd", entry) else ""
        boxes.append(LabelledBox(name, corners, f"{where} category_id", f"{where} {shape}", apart))
        boxed.update([shape] if shape != "bbox" else [])
        unread.update(
            f"annotations.{key}" for key in entry if key not in _ASIDE and says(entry[key])
        )
    name = f"{listed.path.name}: {listed.name}"
    return Label(name, boxes, None, listed.size, dict(unread), dict(boxed))


def _is_crowd(path: Path, where: str, entry: dict[str, Any]) -> bool:
    value = entry.get("iscrowd") or 0
    if value not in (0, 1):
        raise ConversionError(path, where, value, "write 0 or 1")
    return bool(value)


def _corners(listed: Listed, where: str, entry: dict[str, Any]) -> tuple[Corners, str]:
    """Corners of an object, and the field that they are from."""
    path, outline = listed.path, entry.get("segmentation")
    if entry.get("bbox") not in (None, []):
        numbers = numbers_of(path, f"{where} bbox", entry["bbox"])
        if len(numbers) != 4:
            fix = "write x, y, width and height in pixels"
            raise ConversionError(path, f"{where} bbox", entry["bbox"], fix)
        x, y, width, height = numbers
        if width <= 0 or height <= 0:
            fix = "width and height are above 0: the numbers are x, y, width and height"
            raise ConversionError(path, f"{where} bbox", entry["bbox"], fix)
        return (x, y, x + width, y + height), "bbox"
    where = f"{where} segmentation"
    if isinstance(outline, dict):
        return box_of_runs(path, where, outline, listed.size), "segmentation"
    if not isinstance(outline, list) or not outline:
        fix = "an object needs a `bbox`, or a `segmentation` to draw it around"
        raise ConversionError(path, where, "nothing", fix)
    points: list[tuple[float, float]] = []
    for polygon in outline:
        numbers = numbers_of(path, where, polygon)
        if len(numbers) < 6 or len(numbers) % 2:
            fix = "a polygon is x and y of 3 points or more"
            raise ConversionError(path, where, len(numbers), fix)
        points += zip(numbers[::2], numbers[1::2], strict=True)
    return around(points), "segmentation"
