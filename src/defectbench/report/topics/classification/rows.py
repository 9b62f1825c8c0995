"""Rows of the table of classifiers: figures of all seeds of a method joined into one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....base.compressions import JOINT, base_method
from ....base.errors import ReportError
from ....base.records import read_record
from ....base.variants import is_variant
from ....measure.classification import FIGURES
from ....measure.seeds import difference_of, mean_over_records
from ....measure.statistics import Interval
from ...comparisons import by_place, place_of, row_head
from ...records.cell import CellRecords
from ...records.cells import Entry, Key, key_of, teacher_c_of
from ...records.comparison import ByFigure, classifier_runs, runs_by_key
from ...records.costs import Costs, beside_base, costs_of, mean, ratio_of


@dataclass(frozen=True)
class ClassificationRow(Costs):
    """One classifier on one dataset under one protocol; means over seeds. Field names carry units.

    Where there is one seed the ends ``_low`` and ``_high`` of scores are over groups, else over seeds and groups
    (``interval_over``). ``val_accuracy_last`` is that of the last epoch, ``val_accuracy`` that of the epoch whose
    weights are scored. A compressed method has ``params_ratio``, parameters of its base over its own;
    ``accuracy_before``, of the cut network before it learnt again (a network that starts afresh has none);
    ``accuracy_gain``, its accuracy minus its base's on the same images; and ``ratio_to_base``, its latency over its
    base's in the same processes. A base has the scores of the class-balanced teacher C beside it, which is not
    deployed.
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


def runs_of_entries(entries: Sequence[Entry]) -> dict[Key, ByFigure | None]:
    """Scores of all seeds of each classifier on resamples of its test part; controls are left out."""
    return runs_by_key(entries, runs_of=classifier_runs)


def build_rows(
    entries: Sequence[Entry], runs: Mapping[Key, ByFigure | None] | None = None
) -> list[ClassificationRow]:
    """Rows by dataset and protocol, methods by falling accuracy, then controls.

    Args:
        entries: Those of ``find_entries`` whose task is classification.
        runs: What ``runs_of_entries`` makes of them, where that is known already.
    """
    by_key = runs_of_entries(entries) if runs is None else runs
    rows: list[ClassificationRow] = []
    for rivals in by_place(entries):
        block = {entry.first.method: entry for entry in rivals}
        made = [_row(entry, block.get(base_method(name)), by_key) for name, entry in block.items()]
        rows += sorted(_flagged(made), key=lambda row: place_of(row, "accuracy"))
    return rows


def _row(
    entry: Entry, base: Entry | None, runs: Mapping[Key, ByFigure | None]
) -> ClassificationRow:
    cells, first = entry.cells, entry.first
    row = ClassificationRow(**row_head(entry, FIGURES, runs.get(key_of(entry))))
    if first.is_control:
        return row
    trained = [cell.train["figures"] for cell in cells if cell.train]
    validated = {
        name: mean(trained, name)
        for name in ("val_accuracy", "val_accuracy_last")
        if all(figures.get(name) is not None for figures in trained)
    }
    row = replace(row, **costs_of(cells), **validated, **_teacher_c(cells))
    if JOINT not in first.method or is_variant(first.method) or base is None:
        return row
    return replace(row, **_against_base(entry, base), **_gain(entry, base, runs))


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
    return gained


def _gain(entry: Entry, base: Entry, runs: Mapping[Key, ByFigure | None]) -> dict[str, float]:
    """Accuracy minus that of the base, each seed's beside its base's; nothing where a seed has no base.

    Where predictions are not at hand, several seeds' gains spread over groups as if base and cut had been scored on
    different images, which is too wide.
    """
    seeds = [cell.seed for cell in entry.cells]
    bases = [cell for cell in base.cells if cell.seed in seeds]
    if len(bases) < len(seeds):
        return {}
    own, others = runs.get(key_of(entry)), runs.get(key_of(base))
    if own is not None and others is not None:
        gain = difference_of(own["accuracy"], others["accuracy"].of_seeds(seeds)).interval
    elif len(seeds) > 1:
        gain = _gain_of_records(entry.cells, bases)
    else:
        return {}
    ends = {"accuracy_gain_low": gain.low, "accuracy_gain_high": gain.high}
    return {"accuracy_gain": gain.estimate, **ends}


def _gain_of_records(cells: Sequence[CellRecords], bases: Sequence[CellRecords]) -> Interval:
    scores = [
        [cell.accuracy["figures"] for cell in pair] for pair in zip(cells, bases, strict=True)
    ]
    gains = [score["accuracy"] - base["accuracy"] for score, base in scores]
    reaches = [
        sum(((one["accuracy_high"] - one["accuracy_low"]) / 2) ** 2 for one in pair) ** 0.5
        for pair in scores
    ]
    lows = [gain - reach for gain, reach in zip(gains, reaches, strict=True)]
    highs = [gain + reach for gain, reach in zip(gains, reaches, strict=True)]
    return mean_over_records(gains, lows, highs, scores[0][0]["n_groups"])


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
