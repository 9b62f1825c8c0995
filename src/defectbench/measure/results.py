"""Results of any program: read and checked field by field, once for all that scores, compares or draws them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import MeasurementError
from ..base.files import read_json
from ..base.tasks import DETECTION, task_named

EDGE = 1.0  # pixels by which rounding may put a box beside its image
ROUNDING = 1e-6  # by which a probability in 32 bits may exceed 1

Row = dict[str, Any]


def read_results(
    path: str | Path, truth: Mapping[str, Any], task: str = DETECTION.name
) -> list[Row]:
    """Read the results of a program on one part.

    Args:
        path: JSON: a COCO result list, boxes x y w h in original pixels; of a classifier a list of ``image_id`` and
            ``probabilities`` in the order of the classes; of a model that was fitted to images without a defect a list
            of ``image_id`` and ``anomaly``.
        truth: COCO annotations of the scored images.
        task: What the program solves.

    Returns:
        The results, with the fields that count and no others.

    Raises:
        ConfigError: The file is missing or is not JSON.
        MeasurementError: It holds something else; names the result, the field and the value.
    """
    return check_results(read_json(path), truth, path, task)


def check_results(
    content: Any, truth: Mapping[str, Any], source: str | Path, task: str = DETECTION.name
) -> list[Row]:
    """Check what a file of results holds; arguments, outcome and errors as of ``read_results``."""
    finds_boxes, own = task_named(task).finds_boxes, task_named(task).outputs
    fields = ("image_id", "category_id", "bbox", "score")
    fields = fields if finds_boxes else ("image_id", *own)
    if not isinstance(content, list):
        kind = "COCO result list" if finds_boxes else f"list of image_id and {own[0]}"
        fix = f"write a {kind}: [{{{', '.join(fields)}}}, ...]"
        raise MeasurementError(source, "content", type(content).__name__, fix)
    images = {image["id"]: _sides(image) for image in truth["images"]}
    classes = {category["id"] for category in truth["categories"]}
    rows: list[Row] = []
    for number, row in enumerate(content):
        if not isinstance(row, dict) or not set(fields) <= set(row):
            fix = f"each result has {', '.join(fields)}"
            raise MeasurementError(source, f"result {number}", row, fix)
        checks = _Row(source, number, row)
        checked: Row = {"image_id": checks.image_id(images)}
        if finds_boxes:
            checked["category_id"] = checks.category_id(classes)
            checked["bbox"] = checks.bbox(images[checked["image_id"]])
            checked["score"] = checks.score()
        elif "probabilities" in own:
            checked["probabilities"] = checks.probabilities(len(classes))
        else:
            checked["anomaly"] = checks.anomaly()
        rows.append(checked)
    if finds_boxes:
        _check_none_twice(rows, source)
        _check_no_fractions(rows, source)
    else:
        _check_each_once(rows, images, source)
    return rows


@dataclass(slots=True)
class _Row:
    """One result, and where it stands."""

    source: str | Path
    number: int
    row: Row

    def refuse(self, field: str, fix: str) -> MeasurementError:
        return MeasurementError(self.source, f"result {self.number} {field}", self.row[field], fix)

    def image_id(self, images: Collection[int]) -> int:
        key = _whole(self.row["image_id"])
        if key is None:
            raise self.refuse(
                "image_id", "write the image's id in annotations.json, a whole number"
            )
        if key not in images:
            raise self.refuse("image_id", "predict on the part that is scored")
        return key

    def category_id(self, classes: Collection[int]) -> int:
        key = _whole(self.row["category_id"])
        if key is None or key not in classes:
            raise self.refuse("category_id", f"classes are {sorted(classes)}")
        return key

    def bbox(self, of_image: tuple[float, float]) -> list[float]:
        sides = self.numbers("bbox", "write x, y, width and height, four finite numbers of pixels")
        if len(sides) != 4:
            raise self.refuse("bbox", "write x, y, width and height")
        x, y, width, height = sides
        if width < 0 or height < 0:
            fix = "width and height are not negative: write x, y, width and height, not corners"
            raise self.refuse("bbox", fix)
        if not all(map(math.isfinite, (x + width, y + height, width * height))):
            raise self.refuse("bbox", "write pixels; its area is no finite number")
        across, down = of_image
        beside = x > across + EDGE or y > down + EDGE or x + width < -EDGE or y + height < -EDGE
        if beside:
            fix = f"it lies beside its image of {across:g} x {down:g} pixels: write pixels of the original image"
            raise self.refuse("bbox", fix)
        return sides

    def score(self) -> float:
        score = _finite(self.row["score"])
        if score is None or not 0 <= score <= 1 + ROUNDING:
            raise self.refuse("score", "write a number from 0 to 1, a probability")
        return score

    def anomaly(self) -> float:
        score = _finite(self.row["anomaly"])
        if score is None or score < 0:
            raise self.refuse("anomaly", "write a finite number from 0, the larger the stranger")
        return score

    def probabilities(self, classes: int) -> list[float]:
        fix = f"give {classes} finite probabilities, one a class, each from 0 to 1"
        values = self.numbers("probabilities", fix)
        if len(values) != classes or not all(0 <= value <= 1 + ROUNDING for value in values):
            raise self.refuse("probabilities", fix)
        return values

    def numbers(self, field: str, fix: str) -> list[float]:
        values = self.row[field]
        finite = [_finite(value) for value in values] if isinstance(values, list) else [None]
        numbers = [value for value in finite if value is not None]
        if len(numbers) != len(finite):
            raise self.refuse(field, fix)
        return numbers


def _sides(image: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height of an image; infinite where the truth of another program does not tell them."""
    across, down = (_finite(image.get(side)) for side in ("width", "height"))
    return across or math.inf, down or math.inf


def _finite(value: object) -> float | None:
    """A number of JSON; None where it is text, a truth value, nothing, not finite or beyond what a float holds."""
    if type(value) is float:  # as nearly all are, of many thousands
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    """A whole number of JSON, which some programs write as 3.0."""
    number = _finite(value)
    return int(number) if number is not None and number.is_integer() else None


def _check_none_twice(rows: list[Row], source: str | Path) -> None:
    """The same box twice counts as a false alarm: two lists were joined, or suppression is missing."""
    first_numbers: dict[tuple[Any, ...], int] = {}
    for number, row in enumerate(rows):
        key = (row["image_id"], row["category_id"], *row["bbox"], row["score"])
        first = first_numbers.setdefault(key, number)
        if first != number:
            fix = f"it is result {first} once more; write each result once"
            raise MeasurementError(source, f"result {number}", row, fix)


def _check_no_fractions(rows: list[Row], source: str | Path) -> None:
    """Boxes in fractions of the image's sides would all lie in its first pixel."""
    boxes = [row["bbox"] for row in rows]
    has_area = any(width > 0 and height > 0 for _, _, width, height in boxes)
    if has_area and all(max(box) <= 1 for box in boxes):
        fix = (
            "all boxes lie within one pixel: they are fractions of the image's sides; write pixels"
        )
        raise MeasurementError(source, "result 0 bbox", boxes[0], fix)


def _check_each_once(rows: list[Row], images: Collection[int], source: str | Path) -> None:
    """A classifier says something of each scored image, once."""
    named = [row["image_id"] for row in rows]
    if sorted(named) != sorted(images):
        unmatched = sorted(set(named) ^ set(images))[:3] or "an image twice"
        raise MeasurementError(source, "images", unmatched, "predict on the part that is scored")
