"""Tables and figures that are kept as files: lines of a CSV, and figures of a record in JSON."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from ...base.errors import ReportError
from ...base.files import read_json

_T = TypeVar("_T")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]\d+)?")


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Lines of a CSV file by heading: numbers as numbers, empty fields as None.

    Raises:
        ReportError: There is no such file.
    """
    return [{key: _by_look(text) for key, text in line.items()} for line in _lines(path)]


def read_instances(path: str | Path, kind: type[_T]) -> list[_T]:
    """Lines of a CSV file as what they were written from.

    Fields that the file has not, as one that was kept before there was such a column, get their defaults, or None.

    Args:
        path: The file.
        kind: A dataclass of plain fields.

    Raises:
        ReportError: There is no such file.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType]
    lines = _lines(path)
    later = {
        field.name: None
        for field in fields(kind)  # pyright: ignore[reportArgumentType]
        if NoneType in get_args(hints[field.name]) and field.default is MISSING
    }
    return [
        kind(**later | {name: _by_hint(line[name], hints[name]) for name in names if name in line})
        for line in lines
    ]


def read_figure(path: str | Path, key: str) -> Any:
    """A figure of a record, by dotted key below ``figures``.

    Raises:
        ReportError: The record has no such figure.
    """
    figures: Any = read_json(path).get("figures")
    for part in key.split("."):
        figures = figures.get(part) if isinstance(figures, Mapping) else None
    if figures is None:
        raise ReportError(path, key, None, "name a figure of the record")
    return figures


def _lines(path: str | Path) -> list[dict[str, str]]:
    file = Path(path)
    if not file.is_file():
        raise ReportError(path, "file", "nothing", "name a table that is kept")
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _by_look(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text or None
    return float(text) if set(text) & set(".eE") else int(text)


def _by_hint(text: str, hint: Any) -> Any:
    kinds = get_args(hint) or (hint,)
    if not text and NoneType in kinds:
        return None
    if bool in kinds:
        return text == "True"
    return next((kind(text) for kind in (int, float) if kind in kinds), text)
