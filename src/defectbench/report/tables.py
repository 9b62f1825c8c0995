"""Tables of the comparison: CSV for programs, Markdown and LaTeX for readers."""

from __future__ import annotations

import csv
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..base.errors import ReportError
from ..base.files import atomic_write_text
from .class_rows import ClassRow
from .class_tables import ClassTables, make_class_tables, write_class_tables
from .collect import Entry, find_entries
from .columns import COLUMNS, NOTHING, caption, percent, sections
from .compression import Stage, compression_stages
from .compression_table import write_compression
from .latex import latex_document
from .leakage import Premium, leakage_premiums
from .markdown import column_names, record_lines, section_markdown, write_csv
from .pairs import Pair
from .rows import Row, build_rows

_R = TypeVar("_R", Row, ClassRow)
DETECTION_FILES = (
    "comparison.csv",
    "comparison.md",
    "comparison.tex",
    "pairs.csv",
    "leakage.csv",
    "leakage.md",
    "per_class.csv",
)


@dataclass(frozen=True)
class Tables:
    """Everything that the tables of a report say.

    Attributes:
        entries: Cells by method.
        rows: Rows of the comparison.
        pairs: Methods compared with each other.
        premiums: What leaked protocols give.
        caption: Sentences under the comparison.
        classes: Tables of classifiers, which have a comparison of their own.
        stages: The ways of compressed cells; empty where none is compressed.
    """

    entries: list[Entry]
    rows: list[Row]
    pairs: list[Pair]
    premiums: list[Premium]
    caption: list[str]
    classes: ClassTables
    stages: list[Stage]


def make_tables(run_dirs: Iterable[str | Path], models_dir: str | Path = "models") -> Tables:
    """Read the records of cells and join them to tables.

    Raises:
        ReportError: A record is missing, or records do not belong together.
    """
    found = find_entries(run_dirs, models_dir)
    entries = [entry for entry in found if entry.task == "detection"]
    rows, pairs = build_rows(entries)
    said = caption(rows, entries, pairs) if rows else []
    classes, stages = make_class_tables(found), compression_stages(found)
    return Tables(entries, rows, pairs, leakage_premiums(rows), said, classes, stages)


def write_tables(tables: Tables, out_dir: str | Path) -> None:
    """Write all tables, each atomically; what the study has no rows for does not stay from another one."""
    out = Path(out_dir)
    write_class_tables(tables.classes, out)
    write_compression(tables.stages, out)
    if not tables.rows:
        for name in DETECTION_FILES:
            (out / name).unlink(missing_ok=True)
        return
    write_csv(out / "comparison.csv", tables.rows, Row)
    write_csv(out / "pairs.csv", tables.pairs, Pair)
    write_csv(out / "leakage.csv", tables.premiums, Premium)
    write_csv(out / "per_class.csv", per_class(tables.entries), ClassScore)
    atomic_write_text(out / "comparison.md", comparison_markdown(tables, out))
    atomic_write_text(out / "leakage.md", leakage_markdown(tables.premiums))
    atomic_write_text(out / "comparison.tex", latex_document(sections(tables.rows), tables.caption))


def read_rows(path: str | Path, kind: type[_R] = Row) -> list[_R]:
    """Read a ``comparison.csv``, or a table of rows of another kind.

    Raises:
        ReportError: The file is missing or has other columns.
    """
    if not Path(path).is_file():
        raise ReportError(path, "file", "nothing", "make it with: snakemake --cores 8 all")
    with Path(path).open(newline="") as handle:
        reader = csv.DictReader(handle)
        names = column_names(kind)
        if reader.fieldnames is None or list(reader.fieldnames) != names:
            fix = "make it anew with: snakemake --cores 8 all"
            raise ReportError(path, "columns", list(reader.fieldnames or []), fix)
        return [kind(**_typed(line, kind)) for line in reader]


def _typed(line: dict[str, str], kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: _parse(text, hints[name]) for name, text in line.items()}


def _parse(text: str, kind: Any) -> Any:
    options = typing.get_args(kind) or (kind,)
    if not text and type(None) in options:
        return None
    return text == "True" if options[0] is bool else options[0](text)


@dataclass(frozen=True)
class ClassScore:
    """Scores of a method on one class; means over seeds, None where the class has no true box."""

    dataset: str
    protocol: str
    method: str
    title: str
    class_name: str
    ap50: float | None
    ap50_95: float | None
    n_boxes: int


def per_class(entries: Sequence[Entry]) -> list[ClassScore]:
    """Scores by class of all methods and controls."""
    return [
        _class_score(entry, name)
        for entry in entries
        for name in entry.first.accuracy["figures"]["per_class"]
    ]


def _class_score(entry: Entry, name: str) -> ClassScore:
    seeds = [cell.accuracy["figures"]["per_class"][name] for cell in entry.cells]
    place = (entry.first.dataset, entry.first.protocol, entry.first.method, entry.title)
    means = [_known_mean([seed[key] for seed in seeds]) for key in ("ap50", "ap50_95")]
    return ClassScore(*place, name, *means, n_boxes=seeds[0]["n_boxes"])


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def comparison_markdown(tables: Tables, out_dir: Path) -> str:
    """The comparison as Markdown: a table a dataset and protocol, the caption, links to records."""
    parts = ["# Comparison\n"]
    parts += [section_markdown(section, COLUMNS) for section in sections(tables.rows)]
    parts.append("\n".join(f"- {line}" for line in tables.caption) + "\n")
    parts.append(record_lines(tables.entries, out_dir))
    return "\n".join(parts)


def leakage_markdown(premiums: Sequence[Premium]) -> str:
    """The leakage premium as Markdown."""
    head = (
        "# Leakage premium\n\nWhat a method gains when its test part shows surface seen in "
        "training: points of mAP over the same method under `clean`, with 95 % interval.\n\n"
    )
    if not premiums:
        return head + "No method stands under `clean` and under another protocol.\n"
    lines = [
        "| dataset | protocol | leak, % | method | epochs, clean | epochs | mAP50 clean, % "
        "| mAP50, % | premium | mAP50-95 clean, % | mAP50-95, % | premium |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return head + "\n".join(lines + [_premium_line(p) for p in premiums]) + "\n"


def _premium_line(p: Premium) -> str:
    cells = [p.dataset, p.protocol, percent(p.leak_share), p.title]
    cells += [str(e) if e else NOTHING for e in (p.epochs_clean, p.epochs)]
    cells += [percent(p.map50_clean), percent(p.map50)]
    cells.append(points(p.map50_premium, p.map50_premium_low, p.map50_premium_high))
    cells += [percent(p.map50_95_clean), percent(p.map50_95)]
    cells.append(points(p.map50_95_premium, p.map50_95_premium_low, p.map50_95_premium_high))
    return "| " + " | ".join(cells) + " |"


def points(value: float, low: float, high: float) -> str:
    """A difference of scores in points with its interval."""
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
