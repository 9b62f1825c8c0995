"""One self-contained page: tables whose cells open their records, figures and gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.files import atomic_write_text
from .class_site import class_values
from .collect import Entry
from .columns import COLUMNS, INVALID, NOTHING, Section, percent, sections
from .compression import CONTROL, Stage
from .compression_table import COLUMNS as STAGES
from .compression_table import StageColumn, by_place, compression_caption, name_of, ways
from .leakage import Premium
from .links import Link, anchor, embed, key_of, link_to, record_of, runs_of, shade
from .markdown import relative
from .rows import Row
from .tables import Tables, per_class, points
from .templates import render


def write_site(tables: Tables, out_dir: str | Path, study: str) -> None:
    """Write ``index.html`` from tables that are made already."""
    out = Path(out_dir)
    found = sections(tables.rows)
    by_row = {key_of(entry): entry for entry in tables.entries}
    values = {
        "study": study,
        "headings": [(column.heading, column.unit) for column in COLUMNS],
        "sections": [_section(section, by_row, tables, out) for section in found],
        "caption": tables.caption,
        "premiums": [_premium(premium) for premium in tables.premiums],
        "pairs": [_pair(pair, by_row) for pair in tables.pairs],
        "runs": [runs_of(entry, ("map50", "map50_95"), out) for entry in tables.entries],
        "software": _software([*tables.entries, *tables.classes.entries]),
        "compression": _compression(tables, out),
        **class_values(tables.classes, out),
    }
    atomic_write_text(out / "index.html", render("index.html.j2", values, autoescape=True))


def _section(
    section: Section, by_row: dict[tuple[str, str, str], Entry], tables: Tables, out: Path
) -> dict[str, Any]:
    place = (section.dataset, section.protocol)
    name = "_".join(place)
    entries = [entry for key, entry in by_row.items() if key[:2] == place]
    return {
        "id": anchor(*place),
        "title": f"{section.dataset}, {section.protocol}{section.mark}",
        "leak": section.leak,
        "leaked": bool(section.mark),
        "certificate": relative(entries[0].certificate_path, out),
        "methods": [_row(row, by_row[*place, row.method], out) for row in section.methods],
        "controls": [_row(row, by_row[*place, row.method], out) for row in section.controls],
        "per_class": _per_class(section, entries, out),
        "pareto": embed(out / "figures" / f"pareto_{name}.svg"),
        "curves": embed(out / "figures" / f"curves_{name}.svg"),
        "gallery": embed(out / "gallery" / f"gallery_{name}.png"),
    }


def _row(row: Row, entry: Entry, out: Path) -> dict[str, Any]:
    escape = Link(percent(row.escape_rate_images), record_of(entry, "accuracy.json", out))
    cells = [link_to(column.show(row), entry, out) for column in COLUMNS]
    return {"title": row.title, "flags": row.flags, "cells": [*cells, escape]}


def _per_class(section: Section, entries: Sequence[Entry], out: Path) -> dict[str, Any]:
    scores = {(s.method, s.class_name): s for s in per_class(entries)}
    by_method = {entry.first.method: entry for entry in entries}
    first = entries[0].first.accuracy["figures"]["per_class"]
    rows = []
    for row in section.methods + section.controls:
        href = record_of(by_method[row.method], "accuracy.json", out)
        own = [scores[row.method, name] for name in first]
        cells = [Link(percent(s.ap50), href, percent(s.ap50_95), style=shade(s.ap50)) for s in own]
        rows.append({"title": row.title, "control": row.is_control, "cells": cells})
    return {
        "classes": [(name, figures["n_boxes"]) for name, figures in first.items()],
        "rows": rows,
    }


def _premium(p: Premium) -> list[str]:
    epochs = f"{p.epochs_clean or NOTHING} / {p.epochs or NOTHING}"
    cells = [p.dataset, p.protocol, f"{percent(p.leak_share)} %", p.title, epochs]
    cells += [percent(p.map50_clean), percent(p.map50)]
    cells.append(points(p.map50_premium, p.map50_premium_low, p.map50_premium_high))
    cells.append(points(p.map50_95_premium, p.map50_95_premium_low, p.map50_95_premium_high))
    return cells


def _pair(pair: Any, by_row: dict[tuple[str, str, str], Entry]) -> list[str]:
    first, second = (
        by_row[pair.dataset, pair.protocol, name].title for name in (pair.first, pair.second)
    )
    place = [pair.dataset, pair.protocol, {"map50": "mAP50", "map50_95": "mAP50-95"}[pair.figure]]
    difference = points(pair.difference, pair.low, pair.high)
    return [*place, first, second, difference, str(pair.n_groups), pair.verdict, pair.test]


def _compression(tables: Tables, out: Path) -> dict[str, Any]:
    """The ways of compressed cells, their figures, and what both mean."""
    found = []
    for way in ways(tables.stages):
        last = [stage for stage in way if stage.stage != CONTROL][-1]
        rows = [
            {"title": name_of(s), "cells": [_stage_cell(c, s, out) for c in STAGES]} for s in way
        ]
        place = f"{last.dataset}, {last.protocol}, seed {last.seed}"
        found.append({"title": last.title, "place": place, "rows": rows})
    return {
        "headings": [(column.heading, column.unit) for column in STAGES],
        "ways": found,
        "figures": [
            embed(out / "figures" / f"compression_{'_'.join(place)}.svg")
            for place in by_place(tables.stages)
        ],
        "caption": compression_caption(tables.stages) if tables.stages else [],
    }


def _stage_cell(column: StageColumn, stage: Stage, out: Path) -> Link:
    text, aside = column.write(stage)
    name = column.record(stage)
    href = relative(Path(stage.record) / name, out) if name and text != NOTHING else ""
    return Link(text, href, aside, style="invalid" if INVALID in text else "")


def _software(entries: Sequence[Entry]) -> list[str]:
    """Versions behind the records, each once."""
    found = {
        f"{name} {version}"
        for entry in entries
        for cell in entry.cells
        for name, version in (cell.train or cell.accuracy)["software"].items()
    }
    return sorted(found)
