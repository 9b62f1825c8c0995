"""Methods that learn from images without a defect: how well they tell defective images, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...base.bounds import LEAST_DEFECT_FREE
from ...base.records import read_record
from ...base.tasks import ANOMALY
from ...base.variants import variant_of
from ...measure.anomaly import FIGURES, POINT
from ...measure.escape import OVERKILL_RATE
from ..columns import (
    COUNTED,
    NAMED,
    RATIO,
    hardware_notes,
    interval_notes,
    mark_notes,
    measured_column,
    pair_table,
    runs_table,
    score_column,
    titles_of,
    whole_column,
)
from ..comparisons import by_place, comparison_table, pairs_by_place, place_of, row_head
from ..numbers import percent
from ..records.cell import CellRecords
from ..records.cells import Entry, Key, key_of
from ..records.comparison import ByFigure, Pair, anomaly_runs, runs_by_key
from ..records.costs import Costs, costs_of, mean
from ..records.study import StudyRecords
from ..table import HEADLINE, Picture, Table

ORDER = 25
GREY = "control_mean_grey"
SCORES = {"auroc": "AUROC"}
COLUMNS = (
    NAMED,
    whole_column("size_px", "size", "px", 12),
    score_column("auroc", "AUROC", HEADLINE),
    score_column("escape_rate_val", "escapes", 2),
    score_column("overkill_rate_val", "overkill", 3),
    score_column("escape_rate", "escapes, own threshold", 9),
    COUNTED,
    whole_column("bank_vectors", "bank", "vectors", 8),
    measured_column("params_m", "params", "M", 5),
    measured_column("macs_g", "MACs", "G", 7),
    measured_column("size_mib", "file", "MiB", 10),
    RATIO,
    measured_column("latency_ms_p50", "p50", "ms", 4),
    whole_column("train_s", "fit", "s", 14),
)


@dataclass(frozen=True)
class AnomalyRow(Costs):
    """One method on one dataset under one protocol; means over seeds. Field names carry units.

    ``escape_rate_val`` and ``overkill_rate_val`` are of the test part at the threshold of the validation part,
    ``escape_rate`` at that of the test part itself; None with too few images without a defect. ``bank_vectors`` are
    those of a method that keeps some of its training part. The validation part's numbers of images are None where no
    record tells them.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    auroc: float
    auroc_low: float
    auroc_high: float
    interval_over: str
    n_seeds: int
    seeds: str
    n_images: int
    n_groups: int
    leak_share: float
    n_defect_free_images: int
    n_defective_images: int
    escape_rate: float | None = None
    escape_rate_low: float | None = None
    escape_rate_high: float | None = None
    escape_rate_val: float | None = None
    escape_rate_val_low: float | None = None
    escape_rate_val_high: float | None = None
    overkill_rate_val: float | None = None
    overkill_rate_val_low: float | None = None
    overkill_rate_val_high: float | None = None
    val_auroc: float | None = None
    n_val_defect_free_images: int | None = None
    n_val_defective_images: int | None = None
    bank_vectors: float | None = None


def entries_of(study: StudyRecords) -> list[Entry]:
    """The methods of this task in a study and their controls."""
    return study.of_task(ANOMALY.name)


def resampled(study: StudyRecords) -> dict[Key, ByFigure | None]:
    """Scores of all seeds of each method on resamples of its test part."""
    return runs_by_key(entries_of(study), runs_of=anomaly_runs)


def rows_of(study: StudyRecords) -> list[AnomalyRow]:
    """Rows by dataset and protocol, methods by falling AUROC, then controls."""
    runs, rows = study.share(resampled), []
    for rivals in by_place(entries_of(study)):
        made = [_row(entry, runs) for entry in rivals]
        rows += sorted(_flagged(made), key=lambda row: place_of(row, "auroc"))
    return rows


def _row(entry: Entry, runs: Mapping[Key, ByFigure | None]) -> AnomalyRow:
    figures = [cell.accuracy["figures"] for cell in entry.cells]
    told = [name for name in FIGURES if all(one[name] is not None for one in figures)]
    counts = {n: figures[0][n] for n in ("n_defect_free_images", "n_defective_images")}
    counts |= _counts_of_validation(entry.first)
    row = AnomalyRow(**row_head(entry, told, runs.get(key_of(entry))), **counts)
    if entry.first.is_control:
        return row
    trained = [cell.train["figures"] for cell in entry.cells if cell.train]
    fits = [cell.train.get("fit", {}) for cell in entry.cells if cell.train]
    more = {}
    if trained and all(one.get("val_auroc") is not None for one in trained):
        more["val_auroc"] = mean(trained, "val_auroc")
    if fits and all("bank_vectors" in one for one in fits):
        more["bank_vectors"] = mean(fits, "bank_vectors")
    return replace(row, **costs_of(entry.cells), **more)


def _counts_of_validation(cell: CellRecords) -> dict[str, int]:
    """How many images of each kind the validation part has, as far as the record of the threshold tells."""
    path = cell.folder / POINT
    if not path.is_file():
        return {}
    figures = read_record(path, "operating_point")["figures"]
    scored = (
        figures.get("on_validation") or {}
    )  # of records without counts, where there is a threshold
    free = figures.get("n_defect_free_images", scored.get("n_overkill_base"))
    bad = figures.get("n_defective_images", scored.get("n_defective_images"))
    told = {"n_val_defect_free_images": free, "n_val_defective_images": bad}
    return {name: count for name, count in told.items() if count is not None}


def _flagged(rows: Sequence[AnomalyRow]) -> list[AnomalyRow]:
    """Flag the methods whose AUROC is not above that of a control beside them."""
    controls = [row for row in rows if row.is_control]
    told = {
        _as_told(c): max(c.auroc, 1 - c.auroc) if c.method == GREY else c.auroc for c in controls
    }
    flags = {
        row.method: "; ".join(
            f"not above {words}" for words, auroc in told.items() if row.auroc <= auroc
        )
        for row in rows
        if not row.is_control
    }
    return [replace(row, flags=flags.get(row.method, "")) for row in rows]


def _as_told(control: AnomalyRow) -> str:
    """A control in words: where dark images are the defective ones, grey levels tell as much the other way round."""
    is_turned = control.method == GREY and control.auroc < 0.5
    return f"{control.title}, the darker the more defective" if is_turned else control.title


def compared(study: StudyRecords) -> list[Pair]:
    """All methods of each dataset and protocol."""
    return pairs_by_place(entries_of(study), tuple(SCORES), study.share(resampled))


def pairs_of(study: StudyRecords) -> Table:
    """Methods compared with each other."""
    titles = titles_of(entries_of(study))
    return pair_table("anomaly_pairs", study.share(compared), titles, SCORES)


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """The table of methods and their runs; nothing without such methods."""
    entries = entries_of(study)
    if not entries:
        return
    rows, pairs = study.share(rows_of), study.share(pairs_of)
    yield comparison_table(
        "anomaly",
        "Defective images, learnt from images without a defect",
        COLUMNS,
        rows,
        entries,
        (*FIGURES, "n_seeds"),
        anomaly_notes(rows, entries),
        "Image-level detection without labels of defects.",
        below=[pairs] if pairs.rows else [],
    )
    yield runs_table("anomaly_runs", entries, SCORES)


def anomaly_notes(rows: Sequence[AnomalyRow], entries: Sequence[Entry]) -> list[str]:
    """Sentences that say what the numbers are, on what they were measured, and what marks mean."""
    few = 100 * OVERKILL_RATE
    lines = interval_notes(rows)
    lines.append(
        "Labels needed: none; a method learns from images without a defect. AUROC: the chance that a defective image "
        "scores above one without a defect."
    )
    lines.append(
        f"Escapes: defective images that pass at the threshold which rejects at most {few:.0f} % of the validation "
        "part's images without a defect; overkill: what that threshold rejects of the test part's. Own threshold: the "
        f"one that rejects at most {few:.0f} % of the test part's own, as detectors are scored."
    )
    lines += _counts(rows)
    lines += _notes_on_validation(rows)
    fresh = [r.title for r in rows if not r.is_control and not variant_of(r.method).start]
    if fresh:
        named = ", ".join(dict.fromkeys(fresh))
        lines.append(
            f"Controls beside those below the rule: {named}, whose network has learnt nothing, its weights as drawn."
        )
    chosen = [f"{r.title} {percent(r.val_auroc)}" for r in rows if r.val_auroc is not None]
    if chosen:
        lines.append(f"AUROC on validation: {'; '.join(chosen)}.")
    lines.append("File, parameters and MACs hold the network and the search of its bank.")
    lines += hardware_notes(
        entries, "preprocessing, network and search, comparison with the threshold"
    )
    lines += mark_notes(rows)
    lines += [f"{row.title} is {row.flags}." for row in rows if row.flags]
    if any(row.is_control for row in rows):
        lines.append("Below the rule: controls, which learn nothing.")
    return lines


def _counts(rows: Sequence[AnomalyRow]) -> list[str]:
    """On how few images without a defect the rates of each test part rest."""
    counts = {
        f"{row.dataset}, {row.protocol}: {row.n_defect_free_images:,} without a defect, "
        f"{row.n_defective_images:,} with one": row.n_defect_free_images
        for row in rows
    }
    told = [f"Test images: {'; '.join(counts)}."]
    if min(counts.values()) < LEAST_DEFECT_FREE:
        told.append(
            f"With fewer than {LEAST_DEFECT_FREE} without a defect no rate of overkill is told."
        )
    else:
        least = min(counts.values())
        allowed = int(OVERKILL_RATE * least + 1e-9)
        told.append(
            f"A rate of {100 * OVERKILL_RATE:.0f} % rests on few of them, {allowed} of {least:,}: "
            "its intervals are wide."
        )
    return told


def _notes_on_validation(rows: Sequence[AnomalyRow]) -> list[str]:
    """Where a validation part has too few images without a defect for a threshold, or none with one."""
    counts = {
        f"{row.dataset}, {row.protocol}": (row.n_val_defect_free_images, row.n_val_defective_images)
        for row in rows
        if row.n_val_defect_free_images is not None
    }
    lines = []
    for place, (free, bad) in counts.items():
        if bad == 0:
            is_set = free is not None and free >= LEAST_DEFECT_FREE
            told = f"the threshold is set on its {free:,} images without one, as ever, and "
            lines.append(
                f"No validation image of {place} shows a defect: {told if is_set else ''}there is no "
                "AUROC on validation."
            )
        if free is not None and 0 < free < LEAST_DEFECT_FREE:
            lines.append(
                f"The validation part of {place} has {free:,} images without a defect, so that overkill moves in steps "
                f"of {100 / free:.1f} % there, more than the {100 * OVERKILL_RATE:.0f} % asked: no threshold is set, "
                f"and escapes and overkill at it are not told. It takes {LEAST_DEFECT_FREE} such images."
            )
    return lines
