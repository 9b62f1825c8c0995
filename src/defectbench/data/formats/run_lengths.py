"""Run lengths of COCO: a mask as numbers of pixels outside and inside by turns, down each column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from ...base.errors import ConversionError
from ..coco import Corners

_BITS = 5  # of a number in each letter
_LONGEST = 8  # letters of one number, enough for any image


def box_of_runs(
    path: Path, where: str, runs: dict[str, Any], size: tuple[int | None, int | None]
) -> Corners:
    """Corners of the box around a mask.

    Args:
        path: The file.
        where: Where in the file it stands.
        runs: ``counts``, a list or COCO's letters, and ``size``, height and width.
        size: Width and height of the image, as far as the file tells them.

    Raises:
        ConversionError: They do not fill the image, or hold nothing.
    """
    sides = runs.get("size")
    fix = "`size` is the height and the width of the image, in whole pixels"
    if not isinstance(sides, list) or len(sides) != 2 or not all(map(_is_side, sides)):
        raise ConversionError(path, f"{where} size", sides, fix)
    height, width = sides
    if (size[0] or width, size[1] or height) != (width, height):
        raise ConversionError(path, f"{where} size", sides, f"{fix}, here {size[1]} and {size[0]}")
    counts = _counts(path, f"{where} counts", runs.get("counts"))
    ends = list(accumulate(counts))
    if not ends or ends[-1] != height * width:
        fix = f"counts of all runs make {height * width} pixels; get a whole copy"
        raise ConversionError(path, f"{where} counts", ends[-1] if ends else "nothing", fix)
    inside = [
        (end - count, end - 1) for count, end in zip(counts[1::2], ends[1::2], strict=True) if count
    ]
    if not inside:
        raise ConversionError(path, f"{where} counts", "no pixel", "take that object out")
    columns = [(first // height, last // height) for first, last in inside]
    rows = [
        (first % height, last % height) if left == right else (0, height - 1)
        for (first, last), (left, right) in zip(inside, columns, strict=True)
    ]
    return (
        float(min(left for left, _ in columns)),
        float(min(top for top, _ in rows)),
        float(max(right for _, right in columns) + 1),
        float(max(bottom for _, bottom in rows) + 1),
    )


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def _counts(path: Path, where: str, counts: Any) -> Sequence[int]:
    fix = "write numbers of pixels, or COCO's letters for them; get a whole copy"
    if isinstance(counts, str):
        counts = _spelled(path, where, counts, fix)
    whole = isinstance(counts, list) and all(
        isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts
    )
    if not whole:
        raise ConversionError(path, where, str(counts)[:80], fix)
    return counts


def _spelled(path: Path, where: str, text: str, fix: str) -> list[int]:
    """Counts that COCO's letters spell: five bits a letter, and from the third on differences to the last but one."""
    counts: list[int] = []
    value = length = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or length >= _LONGEST:
            raise ConversionError(path, where, text[:80], fix)
        value |= (bits & 31) << _BITS * length
        length += 1
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << _BITS * length
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = length = 0
    if length:
        raise ConversionError(path, where, text[-80:], fix)
    return counts
