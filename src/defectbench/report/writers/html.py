"""Tables as HTML: figures lead to their records, and less-asked columns fold away where a screen is narrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from ..table import HEADLINE, Column, Row, Shown, Table
from .templates import render

FILES = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}
LAPTOP, PHONE = 150, 44  # characters that a table has room for
GAP = 3  # characters between two columns
LONG = 34  # characters from which a text is broken
DIGITS = 9


def _no_page(row: Row) -> str:
    return ""


@dataclass(frozen=True)
class Addresses:
    """Where links of a page lead.

    Attributes:
        of: The address, seen from the page, of a path as seen from the working folder, or of ``#name``.
        about: The address of the page on what a row names; empty where there is none.
        root: The folder of the report seen from the page, with its slash; empty for the page in it.
    """

    of: Callable[[str], str]
    about: Callable[[Row], str] = _no_page
    root: str = ""


def table_html(table: Table, addresses: Addresses) -> Markup:
    """A whole table with its notes, block by block."""
    blocks = table.blocks()
    parts = [
        part_values(table, rows, addresses, block.title, number == len(blocks))
        for number, (block, rows) in enumerate(blocks, start=1)
    ]
    return parts_html(parts or [part_values(table, [], addresses)])


def parts_html(parts: Sequence[Mapping[str, Any]]) -> Markup:
    """Parts of tables, as ``part_values`` makes them, as HTML."""
    return Markup(render("site/table.html.j2", {"parts": parts}, autoescape=True))  # noqa: S704 - escaped


def part_values(
    table: Table,
    rows: Sequence[Row],
    addresses: Addresses,
    heading: str = "",
    is_last: bool = True,
    lead: str = "",
) -> dict[str, Any]:
    """What the template takes of some rows of a table.

    Args:
        table: The table.
        rows: Rows that stand together.
        addresses: Where links lead.
        heading: What stands above them; may be empty.
        is_last: Whether notes and files of the table stand below them.
        lead: A sentence above them, with code between backticks; may be empty.
    """
    folds = folded(table.columns, rows)
    caption, *notes = table.notes if is_last and table.notes else [""]
    return {
        "name": table.name,
        "heading": heading,
        "lead": marked_up(lead),
        "columns": [
            {
                "heading": column.heading,
                "unit": column.unit,
                "classes": _joined(column.align == "left" and "left", folds.get(column.key)),
            }
            for column in table.columns
        ],
        "folds": sorted(set(folds.values())),
        "bodies": list(_bodies(rows, table.columns, folds, addresses)),
        "rows": len(rows),
        "empty": marked_up(table.empty),
        "caption": caption,
        "notes": notes,
        "files": file_links(table, addresses) if is_last else [],
    }


def file_links(table: Table, addresses: Addresses) -> list[tuple[str, str]]:
    """Addresses and names of the files of a table, which lie in the folder of the report."""
    return [
        (f"{addresses.root}{table.name}.{end}", word)
        for end, word in FILES.items()
        if end in table.formats
    ]


def folded(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, str]:
    """Which columns fold away, by key: ``fold`` on any screen until they are asked for, ``narrow`` on a phone alone.

    Columns find room by priority, as in a terminal; names and headlines always stand.
    """
    folds = {}
    for name, room in (("narrow", PHONE), ("fold", LAPTOP)):
        for column in sorted(columns, key=lambda column: (column.is_detail, column.priority)):
            room -= _width(column, rows) + GAP
            if room < 0 and (column.priority > HEADLINE or column.is_detail):
                folds[column.key] = name
            elif folds.get(column.key) == "fold":
                del folds[column.key]
    return folds


def _width(column: Column, rows: Sequence[Row]) -> int:
    """Characters that a column takes; intervals are in smaller type."""
    cells = [column.show(row) for row in rows]
    texts = [len(cell.text + cell.mark) for cell in cells]
    texts += [int(0.8 * len(cell.aside)) for cell in cells]
    texts += [len(" · ".join(word for word, _ in cell.links)) for cell in cells]
    return min(LONG, max([*texts, len(column.heading), int(0.8 * len(column.unit))]))


def _bodies(
    rows: Sequence[Row], columns: Sequence[Column], folds: Mapping[str, str], addresses: Addresses
) -> Iterator[dict[str, Any]]:
    """Rows of methods, and those of controls, in bodies of their own: each is sorted by itself."""
    body: dict[str, Any] = {}
    for row in rows:
        kind = "controls" if row.is_control else "methods"
        if body.get("kind") != kind:
            if body:
                yield body
            body = {"kind": kind, "rows": []}
        cells = [_cell(column, row, folds, addresses) for column in columns]
        if not cells[0]["href"]:
            cells[0]["href"] = addresses.about(row)
        body["rows"].append({"id": row.anchor, "flag": row.flag, "cells": cells})
    if body:
        yield body


def _cell(
    column: Column, row: Row, folds: Mapping[str, str], addresses: Addresses
) -> dict[str, Any]:
    cell = column.show(row)
    links = [(word, addresses.of(path)) for word, path in cell.links]
    return {
        "text": cell.text + cell.mark,
        "aside": cell.aside,
        "href": addresses.of(cell.href) if cell.href else "",
        "links": links,
        "value": _value(row.values.get(column.key)),
        "classes": _classes(cell, column, folds),
    }


def _classes(cell: Shown, column: Column, folds: Mapping[str, str]) -> str:
    return _joined(
        cell.bold and "best",
        cell.mark and "invalid",
        cell.shade is not None and f"s{cell.shade}",
        column.align == "left" and "left",
        len(cell.text) > LONG and "long",
        folds.get(column.key),
    )


def _joined(*names: str | bool | None) -> str:
    return " ".join(name for name in names if isinstance(name, str) and name)


def _value(value: object) -> str:
    """What a cell is sorted by; empty where that is its text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.{DIGITS}g}" if is_number else ""


def marked_up(text: str) -> Markup:
    """A sentence whose words between backticks are code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped
