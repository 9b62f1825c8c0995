"""labelme: a JSON for each image; its shapes become the boxes around them, and lines get a thickness."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import same_text
from ..coco import Corners
from .label import Label, LabelledBox, LabelledSet, read_files
from .values import around, entries, points_of, read_object, says, side_of, text_of

# What says nothing of the defects, or is the picture once more.
_ASIDE = {"version", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
_ASIDE |= {"lineColor", "fillColor", "flags"}
_ASIDE_OF_SHAPE = {"label", "points", "shape_type", "flags", "line_color", "fill_color"}
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Kind:
    """A kind of shape: how many points it has, the box around it, and whether it has no area of its own."""

    counts: Callable[[int], bool]
    told: str
    box: Callable[[Points], Corners] = around
    is_line: bool = False


def _around_circle(points: Points) -> Corners:
    (x, y), rim = points
    radius = math.dist((x, y), rim)
    return x - radius, y - radius, x + radius, y + radius


_KINDS: Mapping[str, _Kind] = {
    "polygon": _Kind(lambda n: n >= 3, "3 points or more"),
    "rectangle": _Kind(lambda n: n in (2, 4), "2 corners, or 4"),
    "circle": _Kind(lambda n: n == 2, "its centre and a point of its rim", _around_circle),
    "line": _Kind(lambda n: n == 2, "2 points", is_line=True),
    "linestrip": _Kind(lambda n: n >= 2, "2 points or more", is_line=True),
    "point": _Kind(lambda n: n == 1, "1 point", is_line=True),
}


def open_labelme(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set with a JSON for each image; see ``BoxReader``."""
    thickness = card.layout.least_thickness
    return read_files(card, raw, lambda path, size: read_labelme(path, thickness))


def read_labelme(path: Path, least_thickness: float = 4.0) -> Label:
    """Read one file.

    Args:
        path: The file; a picture inside it is not read.
        least_thickness: Least side in pixels of the box of a line or a point, which is widened about its centre.

    Raises:
        ConversionError: It is no labelme file, a shape is of a kind that is not read, or lacks its class or points.
    """
    content = read_object(path)
    boxes, boxed, widened = [], Counter[str](), []
    shapes = entries(path, content, "shapes")
    for number, shape in enumerate(shapes):
        field = f"shapes {number}"
        name = text_of(path, f"{field} label", shape.get("label"))
        told = shape.get("shape_type")
        told = "polygon" if told is None else told  # as the first versions wrote it
        kind = _KINDS.get(told) if isinstance(told, str) else None
        if kind is None:
            fix = f"a shape of that kind is not read; draw one of {', '.join(_KINDS)}"
            raise ConversionError(path, f"{field} shape_type", told, fix)
        points = points_of(path, f"{field} points", shape.get("points"))
        if not kind.counts(len(points)):
            fix = f"a {told} has {kind.told}; draw it again, or take it out"
            raise ConversionError(path, f"{field} points", len(points), fix)
        corners = kind.box(points)
        if kind.is_line and min(corners[2] - corners[0], corners[3] - corners[1]) < least_thickness:
            drawn, corners = corners, _widened(corners, least_thickness)
            entry = {"label": path.name, "name": name, "from": list(drawn), "to": list(corners)}
            widened.append(entry)
        boxes.append(LabelledBox(name, corners, f"{field} label", f"{field} points"))
        boxed.update([told] if told != "rectangle" else [])
    named = content.get("imagePath")
    file_name = same_text(PureWindowsPath(named).name) if isinstance(named, str) else None
    size = [side_of(path, key, content.get(key)) for key in ("imageWidth", "imageHeight")]
    repairs = {"lines_widened": widened}
    return Label(
        path.name, boxes, file_name, tuple(size), _unread(content, shapes), dict(boxed), repairs
    )


def _widened(corners: Corners, least: float) -> Corners:
    x0, y0, x1, y1 = corners
    x0, x1 = _stretched(x0, x1, least)
    y0, y1 = _stretched(y0, y1, least)
    return x0, y0, x1, y1


def _stretched(low: float, high: float, least: float) -> tuple[float, float]:
    middle = (low + high) / 2
    return (middle - least / 2, middle + least / 2) if high - low < least else (low, high)


def _unread(content: dict[str, Any], shapes: list[dict[str, Any]]) -> dict[str, int]:
    """Keys that say something which is not used, and how often."""
    keys = Counter(key for key, value in content.items() if key not in _ASIDE and says(value))
    keys.update(f"flags.{flag}" for flag in _set_flags(content))
    for shape in shapes:
        keys.update(
            f"shapes.{key}"
            for key, value in shape.items()
            if key not in _ASIDE_OF_SHAPE and says(value)
        )
        keys.update(f"shapes.flags.{flag}" for flag in _set_flags(shape))
    return dict(keys)


def _set_flags(entry: dict[str, Any]) -> list[str]:
    flags = entry.get("flags")
    return [flag for flag, value in flags.items() if value] if isinstance(flags, dict) else []
