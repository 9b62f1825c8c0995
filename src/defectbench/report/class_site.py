"""What the page shows of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .class_pairs import pair_cells, titles_of
from .class_rows import ClassRow
from .class_tables import COLUMNS, ClassTables, class_scores
from .collect import Entry
from .columns import Section, percent, sections
from .links import Key, Link, anchor, embed, key_of, link_to, record_of, runs_of, shade
from .markdown import relative


def class_values(tables: ClassTables, out: Path) -> dict[str, Any]:
    """Values of the page's template; lists are empty without classifiers.

    Args:
        tables: Tables of classifiers.
        out: Folder of the page, with its figures.
    """
    by_row = {key_of(entry): entry for entry in tables.entries}
    return {
        "class_headings": [(column.heading, column.unit) for column in COLUMNS],
        "class_sections": [_section(s, by_row, out) for s in sections(tables.rows)],
        "class_caption": tables.caption,
        "class_pairs": [pair_cells(p, titles_of(tables.entries)) for p in tables.pairs],
        "class_runs": [
            runs_of(entry, ("accuracy", "balanced_accuracy"), out) for entry in tables.entries
        ],
    }


def _section(section: Section, by_row: dict[Key, Entry], out: Path) -> dict[str, Any]:
    place = (section.dataset, section.protocol)
    name = "_".join(place)
    entries = [by_row[(*place, row.method)] for row in section.methods + section.controls]

    def rows(some: Sequence[ClassRow]) -> list[dict[str, Any]]:
        return [_row(row, by_row[(*place, row.method)], out) for row in some]

    return {
        "id": anchor(*place),
        "title": f"{section.dataset}, {section.protocol}{section.mark}",
        "leak": section.leak,
        "leaked": bool(section.mark),
        "certificate": relative(entries[0].certificate_path, out),
        "methods": rows(section.methods),
        "controls": rows(section.controls),
        "recalls": _recalls(entries, out),
        "confusion": embed(out / "figures" / f"confusion_{name}.svg"),
        "curves": embed(out / "figures" / f"curves_{name}.svg"),
    }


def _row(row: ClassRow, entry: Entry, out: Path) -> dict[str, Any]:
    cells = [link_to(column.show(row), entry, out) for column in COLUMNS]
    return {"title": row.title, "flags": row.flags, "cells": cells}


def _recalls(entries: Sequence[Entry], out: Path) -> dict[str, Any]:
    """Recall by class; below it, smaller, the precision."""
    first = entries[0].first.accuracy["figures"]["per_class"]
    rows = []
    for entry in entries:
        href = record_of(entry, "accuracy.json", out)
        cells = [
            Link(percent(s.recall), href, percent(s.precision), style=shade(s.recall))
            for s in class_scores([entry])
        ]
        rows.append({"title": entry.title, "control": entry.first.is_control, "cells": cells})
    return {
        "classes": [(name, counted["n_images"]) for name, counted in first.items()],
        "rows": rows,
    }
