"""Detectors: their comparison, and the figures and runs behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from ....base.tasks import DETECTION
from ...columns import (
    COUNTED,
    NAMED,
    PRECISION,
    RATIO,
    TILE_COLUMNS,
    hardware_notes,
    interval_notes,
    mark_notes,
    measured_column,
    precision_notes,
    runs_table,
    score_column,
    start_notes,
    tile_notes,
    verdict_notes,
    whole_column,
)
from ...comparisons import comparison_table
from ...numbers import TIMES, percent
from ...records.cells import (
    CONTROL_TITLES,
    MEANINGS,
    OWN_RUNNER,
    Entry,
    Key,
    absences,
    key_of,
)
from ...records.comparison import ByFigure, Pair, runs_by_key
from ...records.costs import of_whole_images
from ...records.study import StudyRecords
from ...table import HEADLINE, Column, Picture, Table, anchor
from ...training_noise import noise_notes
from .rows import DetectionRow, build_rows

ORDER = 10
SCORES = {"map50": "mAP50", "map50_95": "mAP50-95"}
COLUMNS = (
    NAMED,
    whole_column("size_px", "size", "px", 12),
    whole_column("epochs", "epochs", "", 11),
    score_column("map50", "mAP50", HEADLINE),
    score_column("map50_95", "mAP50-95", 2),
    COUNTED,
    measured_column("params_m", "params", "M", 5),
    measured_column("macs_g", "MACs", "G", 7),
    measured_column("gflops", "FLOPs", "G", 13),
    measured_column("size_mib", "file", "MiB", 9),
    RATIO,
    measured_column("latency_ms_p50", "p50", "ms", 4),
    *TILE_COLUMNS,
    measured_column("latency_ms_p90", "p90", "ms", 14),
    measured_column("latency_ms_p99", "p99", "ms", 15),
    measured_column("fps", "FPS", "1/s", 6),
    PRECISION,
    whole_column("train_s", "train", "s", 10),
    Column("escape_rate_images", "escape", "% at 5 % overkill", percent, is_detail=True),
)
FRONT = "Accuracy against cost. Up and to the left is better; the dashed line joins the methods that no other beats."


def entries_of(study: StudyRecords) -> list[Entry]:
    """The detectors of a study and their controls."""
    return study.of_task(DETECTION.name)


def compared(study: StudyRecords) -> tuple[list[DetectionRow], list[Pair]]:
    """Rows of the comparison and all pairs of methods."""
    return build_rows(entries_of(study), study.share(resampled))


def resampled(study: StudyRecords) -> dict[Key, ByFigure | None]:
    """Scores of all seeds of each detector on resamples of its test part."""
    return runs_by_key(entries_of(study))


def parts(study: StudyRecords) -> Iterator[Table | Picture]:
    """The comparison, its figures and its runs; nothing without detectors."""
    entries = entries_of(study)
    if not entries:
        return
    rows, pairs = study.share(compared)
    yield comparison_table(
        "comparison",
        "Comparison",
        COLUMNS,
        rows,
        entries,
        (*SCORES, "n_seeds", "escape_rate_images"),
        comparison_notes(rows, entries, pairs),
        "Accuracy and cost of detectors.",
    )
    yield runs_table("runs", entries, SCORES)
    yield from _pictures(rows, entries)


def _pictures(rows: Sequence[DetectionRow], entries: Sequence[Entry]) -> Iterator[Picture]:
    from ...figures.curves import curves_figure
    from ...figures.pareto import pareto_figure
    from ...figures.style import looks

    style = looks(entries)
    for place, group in groupby(rows, key=lambda row: (row.dataset, row.protocol)):
        block = [*group]
        here = [e for e in entries if key_of(e)[:2] == place and not e.first.is_control]
        if not here:
            continue
        name = "_".join(place)
        yield Picture(
            f"pareto_{name}",
            partial(pareto_figure, list(map(of_whole_images, block)), style),
            "mAP50 against latency, parameters and MACs",
            " ".join([FRONT, *start_notes(row.method for row in block)]),
            anchor(*place),
        )
        yield Picture(
            f"curves_{name}",
            partial(curves_figure, here, style),
            "training loss and validation score by epoch",
            "Training. Losses of different methods are not comparable.",
            anchor(*place),
        )


def comparison_notes(
    rows: Sequence[DetectionRow], entries: Sequence[Entry], pairs: Sequence[Pair]
) -> list[str]:
    """Sentences that say what the numbers are, on what they were measured, and what marks mean."""
    lines = noise_notes(rows, entries, "map50", "mAP50")
    lines += start_notes(row.method for row in rows)
    lines += [*interval_notes(rows), *verdict_notes(pairs)]
    lines.append(f"FLOPs = 2 {TIMES} MACs of the deployed file at the stated size.")
    lines += hardware_notes(entries, "preprocessing, network, NMS")
    lines += tile_notes(rows) + precision_notes(rows)
    lines += mark_notes(rows) + _uncounted(rows) + _flags(rows)
    if any(row.is_control for row in rows):
        lines.append("Below the rule: controls, which learn nothing and mark floor and ceiling.")
    shown = dict.fromkeys(row.method for row in rows if row.method in MEANINGS)
    lines += [f"{CONTROL_TITLES[name]}: {MEANINGS[name]}." for name in shown]
    return lines + absences(entries)


def _uncounted(rows: Sequence[DetectionRow]) -> list[str]:
    names = [row.title for row in rows if row.engine == OWN_RUNNER]
    why = "its framework writes no file in the suite's signature: scored from its own predictions, timed by"
    return [f"{name}: {why} its own runner, not counted." for name in dict.fromkeys(names)]


def _flags(rows: Sequence[DetectionRow]) -> list[str]:
    return [
        f"{row.title} on {row.dataset}, {row.protocol}, scores {row.flags}: "
        "outside the range of the controls, never bold."
        for row in rows
        if row.flags
    ]
