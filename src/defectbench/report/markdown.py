"""Pieces of tables that detectors and classifiers share: CSV, Markdown, links to records."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from inspect import get_annotations
from pathlib import Path
from typing import Any

from ..base.files import atomic_write_text
from .collect import Cell, Entry, teacher_c_of
from .columns import Column, Section, Shown


def column_names(kind: type) -> list[str]:
    """Fields of a dataclass in the order of their columns: its own, then those that it has from another."""
    own = list(get_annotations(kind))
    return [*own, *(field.name for field in fields(kind) if field.name not in own)]


def write_csv(path: Path, rows: Sequence[Any], kind: type) -> None:
    """Write instances of a dataclass as CSV; None and empty text become empty fields."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = column_names(kind)
    writer.writerow(names)
    for row in rows:
        values = asdict(row)
        writer.writerow(["" if values[name] is None else _plain(values[name]) for name in names])
    atomic_write_text(path, text.getvalue())


def _plain(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def section_markdown(section: Section, columns: Sequence[Column]) -> str:
    """The rows of one dataset and protocol as a table."""
    headings = [f"{c.heading}, {c.unit}" if c.unit else c.heading for c in columns]
    lines = [
        f"## {section.dataset}, {section.protocol}{section.mark}\n",
        f"{section.leak}.\n",
        "| method | " + " | ".join(headings) + " |",
        "|---" + "|---:" * len(columns) + "|",
    ]
    for row in section.methods + section.controls:
        title = f"*{row.title}*" if row.is_control else row.title
        shown = [_markdown_cell(column.show(row)) for column in columns]
        lines.append(f"| {_escape(title)} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Shown) -> str:
    figure = f"**{cell.text}**" if cell.bold else cell.text
    return _escape(f"{figure}{cell.mark} {cell.aside}".strip())


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def record_lines(entries: Sequence[Entry], out_dir: Path) -> str:
    """A list of links to the records of all cells."""
    cells = [(entry.title, cell) for entry in entries for cell in entry.cells]
    return "## Records\n\n" + "\n".join(_record_line(t, c, out_dir) for t, c in cells) + "\n"


def _record_line(title: str, cell: Cell, out_dir: Path) -> str:
    names = record_links(cell, out_dir)
    links = " · ".join(f"[{name}]({path})" for name, path in names.items())
    return f"- {title}, {cell.dataset}, {cell.protocol}, seed {cell.seed}: {links}"


def record_links(cell: Cell, out_dir: Path) -> dict[str, str]:
    """What lies behind a cell, as paths relative to the report, by name."""
    names = {"accuracy": "accuracy.json", "predictions": "predictions.json"}
    if not cell.is_control:
        names |= {
            "complexity": "complexity.json",
            "latency": f"latency/{cell.engine}.json",
            "training": "train.json",
            "history": "history.csv",
        }
        if teacher_c_of(cell):
            names |= {"teacher C": "teacher_c/accuracy.json"}
    present = {name: cell.folder / file for name, file in names.items()}
    return {name: relative(path, out_dir) for name, path in present.items() if path.exists()}


def relative(path: Path, out_dir: Path) -> str:
    """A path as seen from the report's folder."""
    return Path(os.path.relpath(path, out_dir)).as_posix()
