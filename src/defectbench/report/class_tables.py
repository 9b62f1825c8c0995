"""Tables of classifiers: CSV for programs, Markdown and LaTeX for readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.files import atomic_write_text
from .class_pairs import compare_classifiers, pairs_markdown
from .class_rows import ClassRow, build_class_rows
from .class_widths import check_equal_widths
from .collect import Entry
from .columns import (
    INVALID,
    LEAKED,
    TIMES,
    Column,
    count_column,
    hardware_lines,
    measured_column,
    number,
    percent,
    score_column,
    sections,
    seed_units,
    whole_column,
)
from .latex import latex_document
from .markdown import record_lines, section_markdown, write_csv
from .pairs import Pair

COLUMNS = (
    whole_column("size", "px", "size_px", "complexity.json"),
    whole_column("epochs", "", "epochs", "train.json"),
    score_column("accuracy", "accuracy"),
    score_column("balanced", "balanced_accuracy"),
    score_column("macro F1", "macro_f1"),
    count_column(),
    Column("cut, unlearnt", "%", "accuracy_before", lambda row: percent(row.accuracy_before)),
    Column("gain on base", "points", "accuracy_gain", lambda row: signed(row.accuracy_gain)),
    measured_column("params", "M", "params_m", "complexity.json"),
    Column("fewer", TIMES, "params_ratio", lambda row: number(row.params_ratio)),
    measured_column("MACs", "G", "macs_g", "complexity.json"),
    measured_column("file", "MiB", "size_mib", "complexity.json"),
    measured_column("p50", "ms", "latency_ms_p50"),
    Column("to base", TIMES, "latency_ratio", lambda row: number(row.latency_ratio)),
    whole_column("train", "s", "train_s", "train.json"),
)
TITLE = "Accuracy and cost of classifiers."
FILES = (
    "classification.csv",
    "classification.md",
    "classification.tex",
    "classification_per_class.csv",
    "classification_pairs.csv",
)


@dataclass(frozen=True)
class ClassScore:
    """A method on one class; means over seeds, None where the test part does not show the class."""

    dataset: str
    protocol: str
    method: str
    title: str
    class_name: str
    recall: float | None
    precision: float | None
    f1: float | None
    n_images: int


@dataclass(frozen=True)
class ClassTables:
    """Everything that the tables of classifiers say.

    Attributes:
        entries: Cells by method.
        rows: Rows of the table.
        caption: Sentences under it.
        pairs: Classifiers compared with each other.
    """

    entries: list[Entry]
    rows: list[ClassRow]
    caption: list[str]
    pairs: list[Pair]


def signed(value: float | None) -> str:
    """A difference of shares in points."""
    return "" if value is None else f"{100 * value:+.1f}"


def make_class_tables(entries: Sequence[Entry]) -> ClassTables:
    """Join the records of classifiers to tables; none without entries of that task.

    Raises:
        ReportError: Controls of a cut have other widths, or a teacher was scored on another test part.
    """
    own = [entry for entry in entries if entry.task == "classification"]
    check_equal_widths(own)
    rows = build_class_rows(own)
    said = _caption(rows, own) if rows else []
    return ClassTables(own, rows, said, compare_classifiers(own))


def write_class_tables(tables: ClassTables, out_dir: str | Path) -> None:
    """Write ``classification.csv``, ``.md``, ``.tex``, recalls by class, pairs; without classifiers none stays."""
    out = Path(out_dir)
    if not tables.rows:
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        return
    write_csv(out / FILES[0], tables.rows, ClassRow)
    parts = ["# Classification\n"]
    parts += [section_markdown(section, COLUMNS) for section in sections(tables.rows)]
    parts.append("\n".join(f"- {line}" for line in tables.caption) + "\n")
    if tables.pairs:
        parts.append(pairs_markdown(tables.pairs, tables.entries))
    parts.append(record_lines(tables.entries, out))
    atomic_write_text(out / FILES[1], "\n".join(parts))
    document = latex_document(sections(tables.rows), tables.caption, COLUMNS, TITLE)
    atomic_write_text(out / FILES[2], document)
    write_csv(out / FILES[3], class_scores(tables.entries), ClassScore)
    write_csv(out / FILES[4], tables.pairs, Pair)


def class_scores(entries: Sequence[Entry]) -> list[ClassScore]:
    """Recall, precision and F1 of all methods and controls by class."""
    found = []
    for entry in entries:
        first = entry.first
        place = (first.dataset, first.protocol, first.method, entry.title)
        for name, counted in first.accuracy["figures"]["per_class"].items():
            seeds = [cell.accuracy["figures"]["per_class"][name] for cell in entry.cells]
            means = {
                key: _mean([seed[key] for seed in seeds]) for key in ("recall", "precision", "f1")
            }
            found.append(ClassScore(*place, name, **means, n_images=counted["n_images"]))
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _caption(rows: Sequence[ClassRow], entries: Sequence[Entry]) -> list[str]:
    lines = [f"Scores in percent with their 95 % interval over {seed_units(rows)}."]
    lines.append(
        "Balanced accuracy is the mean recall of the classes; F1 is the plain mean over classes."
    )
    lines += hardware_lines(entries, "preprocessing, network, choice of the class")
    if any(row.params_ratio is not None for row in rows):
        lines.append(
            "Compressed methods: accuracy of the cut network before it learnt again; gain: accuracy minus that of the "
            "base by a paired bootstrap over groups; latency over that of the base, both timed in turn; training "
            "holds all stages. A thin network has the widths from scratch and learns labels, for the epochs of all "
            "trainings behind its siblings."
        )
    taught = [row for row in rows if row.teacher_c_accuracy is not None]
    if taught:
        said = [
            f"{row.title} on {row.dataset}, {row.protocol}, {percent(row.teacher_c_accuracy)} and "
            f"{percent(row.teacher_c_balanced_accuracy)}"
            for row in taught
        ]
        lines.append(
            f"Accuracy and balanced accuracy of teacher C, not deployed: {'; '.join(said)}."
        )
    epochs = [f"{row.title} {signed_last(row)}" for row in rows if row.val_accuracy is not None]
    if epochs:
        lines.append(
            "Weights are those of the best epoch on validation; its accuracy there and that of the last epoch: "
            f"{'; '.join(epochs)}."
        )
    if any(row.leak_share > 0 for row in rows):
        lines.append(f"{LEAKED} leaked protocol: test images show surface seen in training.")
    bad = [row for row in rows if row.latency_valid is False]
    reasons = [f"{r.title} ({r.protocol}): {r.latency_invalid_because}" for r in bad]
    if reasons:
        lines.append(f"{INVALID} invalid timing, not to be cited: {' · '.join(reasons)}.")
    lines += [f"{row.title} is {row.flags}." for row in rows if row.flags]
    if any(row.is_control for row in rows):
        lines.append("Below the rule: controls, which learn nothing.")
    return lines


def signed_last(row: ClassRow) -> str:
    """Best and last accuracy on validation, in percent."""
    return f"{percent(row.val_accuracy)} and {percent(row.val_accuracy_last)}"
