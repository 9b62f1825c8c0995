"""Rows of the table of classifiers: figures of all seeds of a method joined into one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....base.compressions import JOINT, base_method
from ....base.errors import ReportError
from ....base.records import read_record
from ....measure.classification import FIGURES
from ....measure.statistics import aggregate_seeds, percentile_interval
from ...comparisons import by_place, place_of, row_head
from ...records.cells import CellRecords, Entry, teacher_c_of
from ...records.comparison import class_draws
from ...records.costs import Costs, beside_base, costs_of, mean, ratio_of


@dataclass(frozen=True)
class ClassificationRow(Costs):
    """One classifier on one dataset under one protocol; means over seeds. Field names carry units.

    Where there is one seed the ends ``_low`` and ``_high`` of scores are over groups, else over seeds
    (``interval_over``). ``val_accuracy_last`` is that of the last epoch, ``val_accuracy`` that of the epoch whose
    weights are scored. A compressed method has ``params_ratio``, parameters of its base over its own;
    ``accuracy_before``, of the cut network before it learnt again (a network that starts afresh has none);
    ``accuracy_gain``, its accuracy minus its base's by a paired bootstrap over groups; and ``ratio_to_base``, its
    latency over its base's in the same processes. A base has the scores of the class-balanced teacher C beside it,
    which is not deployed.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    balanced_accuracy: float
    balanced_accuracy_low: float
    balanced_accuracy_high: float
    macro_precision: float
    macro_precision_low: float
    macro_precision_high: float
    macro_recall: float
    macro_recall_low: float
    macro_recall_high: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    interval_over: str
    n_seeds: int
    seeds: str
    n_images: int
    n_groups: int
    leak_share: float
    val_accuracy: float | None = None
    val_accuracy_last: float | None = None
    params_ratio: float | None = None
    accuracy_before: float | None = None
    accuracy_gain: float | None = None
    accuracy_gain_low: float | None = None
    accuracy_gain_high: float | None = None
    ratio_to_base: float | None = None
    ratio_to_base_low: float | None = None
    ratio_to_base_high: float | None = None
    teacher_c_accuracy: float | None = None
    teacher_c_balanced_accuracy: float | None = None


def build_rows(entries: Sequence[Entry]) -> list[ClassificationRow]:
    """Rows by dataset and protocol, methods by falling accuracy, then controls.

    Args:
        entries: Those of ``find_entries`` whose task is classification.
    """
    rows: list[ClassificationRow] = []
    for rivals in by_place(entries):
        block = {entry.first.method: entry for entry in rivals}
        made = [_row(entry, block.get(base_method(name))) for name, entry in block.items()]
        rows += sorted(_flagged(made), key=lambda row: place_of(row, "accuracy"))
    return rows


def _row(entry: Entry, base: Entry | None) -> ClassificationRow:
    cells, first = entry.cells, entry.first
    row = ClassificationRow(**row_head(entry, FIGURES))
    if first.is_control:
        return row
    trained = [cell.train["figures"] for cell in cells if cell.train]
    validated = {
        name: mean(trained, name)
        for name in ("val_accuracy", "val_accuracy_last")
        if all(figures.get(name) is not None for figures in trained)
    }
    row = replace(row, **costs_of(cells), **validated, **_teacher_c(cells))
    return replace(row, **_against_base(entry, base)) if JOINT in first.method and base else row


def _teacher_c(cells: Sequence[CellRecords]) -> dict[str, float]:
    """Scores of teacher C beside a base; nothing where it has none of its budget.

    Raises:
        ReportError: It was scored on another test part than the base.
    """
    folders = [folder for cell in cells if (folder := teacher_c_of(cell))]
    if len(folders) < len(cells):
        return {}
    paths = [folder / "accuracy.json" for folder in folders]
    records = [read_record(path, "accuracy") for path in paths]
    for path, record, cell in zip(paths, records, cells, strict=True):
        listed, base = (r["inputs"]["images"]["sha256"] for r in (record, cell.accuracy))
        if listed != base:
            fix = f"{cell.folder} was scored on list {base}; score both on one test part"
            raise ReportError(path, "inputs.images.sha256", listed, fix)
    names = ("accuracy", "balanced_accuracy")
    return {f"teacher_c_{name}": mean([r["figures"] for r in records], name) for name in names}


def _against_base(entry: Entry, base: Entry) -> dict[str, Any]:
    """What compression gave and cost, as far as the records are there."""
    counts = [mean(_figures(e.cells, "complexity"), "params_m") for e in (base, entry)]
    gained: dict[str, Any] = {"params_ratio": counts[0] / counts[1]}
    before = [cell.folder / "pruned" / "accuracy.json" for cell in entry.cells]
    if all(path.is_file() for path in before) and not entry.first.is_afresh:
        records = [read_record(path, "accuracy")["figures"] for path in before]
        gained["accuracy_before"] = mean(records, "accuracy")
    timings = [timing for cell in entry.cells if (timing := beside_base(cell))]
    if len(timings) == len(entry.cells):
        gained |= ratio_of([record["figures"] for _, record in timings], "ratio_to_base")
    return gained | _gain(entry.cells, base.cells)


def _gain(cells: Sequence[CellRecords], bases: Sequence[CellRecords]) -> dict[str, float]:
    """Accuracy over that of the base of the same seed: over seeds (Student) where there are some, else over groups."""
    of_seed = {cell.seed: cell for cell in bases}
    pairs = [(cell, of_seed[cell.seed]) for cell in cells if cell.seed in of_seed]
    if len(pairs) < len(cells):
        return {}
    if len(pairs) > 1:
        scores = [[cell.accuracy["figures"]["accuracy"] for cell in pair] for pair in pairs]
        gain = aggregate_seeds([score - base for score, base in scores])
        estimate, low, high = gain.estimate, gain.low, gain.high
    else:
        draws, base_draws = (class_draws(cell) for cell in pairs[0])
        if draws is None or base_draws is None:
            return {}
        gains = draws["accuracy"] - base_draws["accuracy"]
        estimate, (low, high) = float(gains[0]), percentile_interval(gains[1:])
    ends = {"accuracy_gain_low": low, "accuracy_gain_high": high}
    return {"accuracy_gain": estimate, **ends}


def _figures(cells: Sequence[CellRecords], kind: str) -> list[dict[str, Any]]:
    return [getattr(cell, kind)["figures"] for cell in cells if getattr(cell, kind)]


def _flagged(rows: Sequence[ClassificationRow]) -> list[ClassificationRow]:
    """Flag the methods whose balanced accuracy is not above that of a control beside them."""
    controls = [row for row in rows if row.is_control]
    flags = {
        row.method: "; ".join(
            f"not above {c.title}" for c in controls if row.balanced_accuracy <= c.balanced_accuracy
        )
        for row in rows
        if not row.is_control
    }
    return [replace(row, flags=flags.get(row.method, "")) for row in rows]
