"""Numbers and texts of labels, checked one by one: what is none is named with its place in the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...base.errors import ConversionError
from ...base.texts import decode_text, read_text, same_text

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST = 2**31  # pixels


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text that are not blank, with their numbers.

    Raises:
        ConversionError: A line is not UTF-8.
    """
    for number, line in enumerate(read_text(path, ConversionError).splitlines(), 1):
        if line.strip():
            yield number, line


def written_number(path: Path, field: str, text: str) -> float:
    """A number as text writes it: digits with a point, and an exponent.

    Raises:
        ConversionError: It is none, is not finite, or is more than any image has pixels.
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not _is_number(value):
        fix = "write a decimal point" if "," in text else "write a finite number"
        raise ConversionError(path, field, text[:80], fix)
    return value


def written_class(path: Path, field: str, text: str, names: dict[int, str]) -> str:
    """The name of the class that a number stands for.

    Raises:
        ConversionError: It is no whole number, or no class has it.
    """
    value = written_number(path, field, text)
    if value not in names:
        numbers = ", ".join(f"{number} {name}" for number, name in sorted(names.items()))
        fix = f"the numbers are {numbers}; correct it, or name that class in the card's layout"
        raise ConversionError(path, field, text[:80], fix)
    return names[int(value)]


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file whose root is an object.

    Raises:
        ConversionError: It is not JSON, is not UTF-8, writes a key twice, or its root is something else.
    """
    text = decode_text(path.read_bytes(), path, ConversionError)
    try:
        content = json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        fix = "it is no JSON; mend that place, or get a whole copy"
        raise ConversionError(path, "content", str(error)[:160], fix) from error
    if not isinstance(content, dict):
        fix = "a label in JSON begins with {"
        raise ConversionError(path, "content", type(content).__name__, fix)
    return content


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for n, key in enumerate(keys) if key in keys[:n])
        raise ValueError(f"{twice!r} stands twice in one object")
    return content


def entries(path: Path, content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects.

    Raises:
        ConversionError: It is missing, or holds something else.
    """
    listed = content.get(key)
    if not isinstance(listed, list):
        told = "nothing" if listed is None else type(listed).__name__
        fix = (
            "it is a list of objects; get a whole copy, or correct `format` in the card's layout: "
        )
        fix += f"this file holds {', '.join(content)[:80] or 'nothing'}"
        raise ConversionError(path, key, told, fix)
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict):
            fix = "each entry is an object; get a whole copy"
            raise ConversionError(path, f"{key} {number}", entry, fix)
    return listed


def text_of(path: Path, field: str, value: Any) -> str:
    """A text that is not empty, composed and without blanks around it.

    Raises:
        ConversionError: It is none.
    """
    text = same_text(value).strip() if isinstance(value, str) else ""
    if not text:
        raise ConversionError(path, field, value, "write a name")
    return text


def side_of(path: Path, field: str, value: Any) -> int | None:
    """A side of an image, or None where nothing is told.

    Raises:
        ConversionError: It is no number of pixels.
    """
    if value is None:
        return None
    if not _is_number(value) or value != int(value) or not 0 < value <= _LARGEST:
        fix = "write the pixels of the image as a whole number, or leave the size out"
        raise ConversionError(path, field, value, fix)
    return int(value)


def numbers_of(path: Path, field: str, value: Any) -> list[float]:
    """A list of finite numbers.

    Raises:
        ConversionError: It is something else.
    """
    if not isinstance(value, list) or not all(map(_is_number, value)):
        raise ConversionError(path, field, _short(value), "write a list of finite numbers")
    return [float(number) for number in value]


def points_of(path: Path, field: str, value: Any) -> list[tuple[float, float]]:
    """A list of points, x and y.

    Raises:
        ConversionError: It is something else.
    """
    listed: Sequence[Any] = value if isinstance(value, list) else [None]
    points = []
    for point in listed:
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
            fix = "write a list of points, each x and y as finite numbers"
            raise ConversionError(path, field, _short(point), fix)
        points.append((float(point[0]), float(point[1])))
    return points


def says(value: Any) -> bool:
    """Whether a value says something: neither null, false nor empty."""
    return value not in (None, "", False, [], {})


def _short(value: Any) -> Any:
    return value if len(str(value)) <= 80 else f"{str(value)[:80]}..."


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that may be one of pixels."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return abs(float(value)) <= _LARGEST  # which NaN is not
    except OverflowError:
        return False


def around(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Corners x0, y0, x1, y1 of the box around points.

    Example:
        >>> around([(3.0, 1.0), (1.0, 2.0)])
        (1.0, 1.0, 3.0, 2.0)
    """
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
