"""One self-contained page: tables whose figures open their records, and the pictures beside them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ...base.files import atomic_write_text
from ..table import Column, Picture, Row, RowBlock, Shown, Table
from .markdown import relative
from .templates import render

_KINDS = {"svg": "image/svg+xml", "png": "image/png"}
_FILES = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}


@dataclass
class Section:
    """A section of the page.

    Attributes:
        id: Its name in addresses.
        title: Its heading.
        block: What opens it.
        parts: Tables and pictures, as the template takes them.
    """

    id: str
    title: str
    block: RowBlock = field(default_factory=RowBlock)
    parts: list[dict[str, Any]] = field(default_factory=list)


def write_page(parts: Sequence[Table | Picture], out_dir: str | Path, study: str) -> None:
    """Write ``index.html`` beside what is drawn already.

    Args:
        parts: Tables and pictures in their order; what names one section comes to stand together.
        out_dir: Folder of the report.
        study: Name of the study, for the page's title.
    """
    out = Path(out_dir)
    sections: dict[str, Section] = {}
    for part in parts:
        if isinstance(part, Picture):
            _add_picture(sections, part, out)
        elif "page" in part.formats:
            _add_table(sections, part, out)
    values = {"study": study, "sections": list(sections.values())}
    atomic_write_text(out / "index.html", render("index.html.j2", values, autoescape=True))


def _add_picture(sections: dict[str, Section], picture: Picture, out: Path) -> None:
    kind = picture.kinds[0]
    address = embed(out / picture.folder / f"{picture.name}.{kind}")
    if address:
        section = sections.setdefault(picture.anchor, Section(picture.anchor, picture.anchor))
        shown = {"address": address, "alt": picture.alt, "caption": picture.caption}
        section.parts.append({"picture": shown, "is_drawn": kind == "svg"})


def _add_table(sections: dict[str, Section], table: Table, out: Path) -> None:
    noted = ""
    for block, rows in table.blocks() or [(RowBlock(), [])]:
        name = block.anchor or table.section
        title = f"{table.title}: {block.title}" if block.anchor and block.title else table.title
        is_new = name not in sections
        opening = _from(block, out) if block.anchor else RowBlock()
        section = sections.setdefault(name, Section(name, title, opening))
        heading = "" if is_new or title == section.title else title
        if not block.anchor and block.title:
            heading = block.title
        # notes stand once: where the table ends in the first section that shows it
        noted = noted or name
        is_noted = name == noted
        if is_noted and not is_new and section.parts[-1].get("table") == table.name:
            section.parts[-1] |= {"notes": [], "files": []}
        section.parts.append(
            {
                "table": table.name,
                "heading": heading,
                "lead": _marked_up(table.lead) if is_new else "",
                "columns": table.columns,
                "bodies": list(_bodies(rows, table.columns, out)),
                "empty": _marked_up(table.empty),
                "notes": table.notes if is_noted else [],
                "files": _files(table) if is_noted else [],
            }
        )


def _from(block: RowBlock, out: Path) -> RowBlock:
    """A block whose record is seen from the page."""
    word, path = block.link
    return replace(block, link=(word, relative(path, out))) if path else block


def _files(table: Table) -> list[tuple[str, str]]:
    return [(f"{table.name}.{end}", word) for end, word in _FILES.items() if end in table.formats]


def _bodies(rows: Sequence[Row], columns: Sequence[Column], out: Path) -> Iterator[dict[str, Any]]:
    """Rows in bodies of their own: controls, and what has a name on the page."""
    body: dict[str, Any] = {}
    for row in rows:
        kind = "controls" if row.is_control else "methods"
        if not body or row.anchor or body["kind"] != kind:
            if body:
                yield body
            body = {"kind": kind, "id": row.anchor, "rows": []}
        cells = [_cell(column.show(row), column, out) for column in columns]
        body["rows"].append({"flag": row.flag, "cells": cells})
    if body:
        yield body


def _cell(cell: Shown, column: Column, out: Path) -> dict[str, Any]:
    classes = ["best"] if cell.bold else []
    classes += ["invalid"] if cell.mark else []
    classes += [f"s{cell.shade}"] if cell.shade is not None else []
    classes += ["left"] if column.align == "left" else []
    links = [(word, relative(path, out)) for word, path in cell.links]
    href = cell.href if cell.href.startswith("#") or not cell.href else relative(cell.href, out)
    return {
        "text": cell.text + cell.mark,
        "aside": cell.aside,
        "href": href,
        "links": links,
        "classes": " ".join(classes),
    }


def _marked_up(text: str) -> Markup:
    """A sentence whose words between backticks are code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def embed(path: Path) -> str:
    """A picture as a data address; empty where it is not made."""
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_KINDS[path.suffix[1:]]};base64,{data}"
