"""YOLO labels: a text for each image, a line for each object: its class number, then centre and sides in fractions.

A line with more numbers is an outline, x and y of each point, and becomes the box around it. Corners are rounded to a
hundredth of a pixel: six decimals of a fraction carry no more, and whole pixels come back as they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import same_text
from ...base.yaml_text import read_yaml
from ..coco import Corners
from ..pairing import Decoded, raw_files
from .label import Label, LabelledBox, LabelledSet, read_files
from .values import around, numbered_lines, written_class, written_number

COORDINATES = "fractions of the sides become edges in pixels, rounded to a hundredth"
_DECIMALS = 2


def open_yolo(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set with a text for each image; see ``BoxReader``."""
    names = class_names(card, raw)
    return read_files(
        card,
        raw,
        lambda path, size: read_yolo(path, size, names),
        coordinates=COORDINATES,
        pixels="",
    )


def read_yolo(path: Path, size: Decoded, names: dict[int, str]) -> Label:
    """Read one text.

    Args:
        path: The file.
        size: Of the image.
        names: Class by number.

    Raises:
        ConversionError: A line is none of a box or an outline, a number is no fraction or no class has it.
    """
    boxes, boxed = [], Counter[str]()
    for number, line in numbered_lines(path):
        field, (kind, *texts) = f"line {number}", line.split()
        name = written_class(path, f"{field} class", kind, names)
        values = [written_number(path, field, text) for text in texts]
        if len(values) != 4 and (len(values) < 6 or len(values) % 2):
            fix = "a line is a class and 4 numbers, or a class and an outline of 3 points or more"
            raise ConversionError(path, field, line[:80], fix)
        far = [text for text, value in zip(texts, values, strict=True) if not 0 <= value <= 1]
        if far:
            fix = "write fractions of the image's sides, 0 to 1, not pixels"
            raise ConversionError(path, field, far[0], fix)
        corners = (
            _box(values)
            if len(values) == 4
            else around(list(zip(values[::2], values[1::2], strict=True)))
        )
        if corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise ConversionError(path, field, line[:80], "a box needs sides above 0")
        boxed.update(["outline"] if len(values) > 4 else [])
        boxes.append(LabelledBox(name, _pixels(corners, size), f"{field} class", field))
    return Label(path.name, boxes, boxed=dict(boxed))


def _box(values: list[float]) -> Corners:
    x, y, width, height = values
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _pixels(corners: Corners, size: Decoded) -> Corners:
    x0, y0, x1, y1 = corners
    sides = (size.width, size.height, size.width, size.height)
    x0, y0, x1, y1 = (
        round(value * side, _DECIMALS) + 0.0 for value, side in zip(corners, sides, strict=True)
    )
    return x0, y0, x1, y1


def class_names(card: DatasetCard, raw: Path) -> dict[int, str]:
    """Class by number, as the card or a file of the set says; where several say it, they agree.

    Raises:
        ConversionError: Nothing says it, or two contradict each other.
    """
    files, _ = raw_files(raw, card)
    said = {path: _names_in(path) for path in files["names"]}
    said = {path: names for path, names in said.items() if names}
    sources: list[tuple[str, Mapping[int, str]]] = [
        (f"{path.name} of the set", names) for path, names in said.items()
    ]
    if card.layout.names:
        sources.insert(0, ("the card", card.layout.names))
    if not sources:
        fix = "labels hold numbers: write `names` under the card's layout, a list that begins with the class of 0, "
        fix += f"or put one of {', '.join(card.layout.label_format.class_files)} into the set"
        raise ConversionError(raw, "class names", "nothing", fix)
    (first, names), *_ = sources
    for path, others in said.items():
        for number in sorted({*names, *others}):
            if _meaning(card, names.get(number)) != _meaning(card, others.get(number)):
                told = f"{others.get(number, 'nothing')} for {number}"
                fix = f"{first} says {names.get(number, 'nothing')}: find out which is right and correct the other, "
                fix += "or add an alias to the card if both mean one class"
                raise ConversionError(path, "names", told, fix)
    return dict(names)


def _meaning(card: DatasetCard, name: str | None) -> int | str | None:
    number = None if name is None else card.class_id(name)
    return name if number is None else number


def _names_in(path: Path) -> dict[int, str]:
    """Class by number as a file of the set says it; none where it says nothing of that."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return dict(enumerate(same_text(line).strip() for _, line in numbered_lines(path)))
    content = read_yaml(path, "get a whole copy of the set")
    content = {} if content is None else content
    if not isinstance(content, dict):
        fix = "write a mapping that holds `names`"
        raise ConversionError(path, "content", type(content).__name__, fix)
    if content.get("kpt_shape"):
        fix = "labels of key points are not read; export boxes"
        raise ConversionError(path, "kpt_shape", content["kpt_shape"], fix)
    names = content.get("names") or []
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    fix = "write a list of names, or a mapping from numbers to names"
    if not isinstance(pairs, dict):
        raise ConversionError(path, "names", names, fix)
    numbered = {_number(path, key, fix): _name(path, name, fix) for key, name in pairs.items()}
    if "nc" in content and numbered and content["nc"] != len(numbered):
        fix = f"`names` holds {len(numbered)}: find out which is right"
        raise ConversionError(path, "nc", content["nc"], fix)
    return numbered


def _number(path: Path, key: Any, fix: str) -> int:
    if isinstance(key, bool) or not str(key).isdecimal():
        raise ConversionError(path, "names", key, fix)
    return int(str(key))


def _name(path: Path, name: Any, fix: str) -> str:
    if isinstance(name, bool | dict | list) or name is None:
        raise ConversionError(path, "names", name, fix)
    return same_text(str(name)).strip()
