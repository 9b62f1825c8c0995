"""Tables as Markdown documents."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..table import Column, Row, RowBlock, Shown, Table


def relative(path: str, out_dir: Path) -> str:
    """A path as seen from the report's folder."""
    return Path(os.path.relpath(path, out_dir)).as_posix()


def markdown_document(table: Table, out_dir: Path) -> str:
    """A table with its notes, the tables below it, and links to its records.

    Args:
        table: The table.
        out_dir: Folder of the document, which links start from.
    """
    parts = [f"# {table.title}\n"]
    parts += [f"{table.lead}\n"] if table.lead else []
    parts += _body(table, out_dir)
    for other in table.below:
        parts += [f"## {other.title}\n", *_body(other, out_dir)]
    if table.records:
        lines = [_links(name, links, out_dir) for name, links in table.records]
        parts.append("## Records\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def markdown_body(table: Table, out_dir: Path, level: int = 2) -> str:
    """A table with its notes as a part of a document.

    Args:
        table: The table.
        out_dir: Folder of the document, which links start from.
        level: Of the headings of its blocks.
    """
    return "\n".join(_body(table, out_dir, level))


def _body(table: Table, out_dir: Path, level: int = 2) -> list[str]:
    if not table.rows:
        return [f"{table.empty}\n"] if table.empty else []
    columns = [column for column in table.columns if not column.is_detail]
    parts = [_block(block, rows, columns, out_dir, level) for block, rows in table.blocks()]
    return [*parts, "\n".join(f"- {note}" for note in table.notes) + "\n"] if table.notes else parts


def _block(
    block: RowBlock, rows: Sequence[Row], columns: Sequence[Column], out_dir: Path, level: int
) -> str:
    aligned = "".join("|---" if column.align == "left" else "|---:" for column in columns)
    lines = [f"{'#' * level} {block.title}\n"] if block.title else []
    lines += [f"{block.lead}.\n"] if block.lead else []
    lines += ["| " + " | ".join(column.title for column in columns) + " |", f"{aligned}|"]
    lines += [_line(row, columns, out_dir) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Row, columns: Sequence[Column], out_dir: Path) -> str:
    name, *figures = (column.show(row) for column in columns)
    title = f"*{name.text}*" if row.is_control else name.text
    if name.href:
        title = f"[{title}]({relative(name.href, out_dir)})"
    return "| " + " | ".join([_escape(title), *map(_figure, figures)]) + " |"


def _figure(cell: Shown) -> str:
    figure = f"**{cell.text}**" if cell.bold else cell.text
    return _escape(f"{figure}{cell.mark} {cell.aside}".strip())


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def _links(name: str, links: Mapping[str, str], out_dir: Path) -> str:
    paths = " · ".join(f"[{word}]({relative(path, out_dir)})" for word, path in links.items())
    return f"- {name}: {paths}"
