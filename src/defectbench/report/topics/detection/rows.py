"""Rows of the comparison: figures of all seeds of a method joined into one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...comparisons import by_place, place_of, row_head
from ...records.cells import CEILING, FLOORS, Entry, Key, key_of
from ...records.comparison import (
    FIGURES,
    UNKNOWN,
    ByFigure,
    Pair,
    compare_entries,
    runs_by_key,
)
from ...records.costs import COUNTS, Costs, costs_of, mean


@dataclass(frozen=True)
class DetectionRow(Costs):
    """One method on one dataset under one protocol; means over seeds. Field names carry units.

    What a control does not have is None. ``interval_over`` says what the ends ``_low`` and
    ``_high`` of the scores are drawn over; ``leak_share`` is the share of test images that show
    surface of a training image; ``flags`` says where a score leaves the range of the controls;
    ``best`` names the figures in which the row is distinguishably the best of its block.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    map50: float
    map50_low: float
    map50_high: float
    map50_95: float
    map50_95_low: float
    map50_95_high: float
    map75: float
    interval_over: str
    n_seeds: int
    seeds: str
    n_images: int
    n_boxes: int
    n_groups: int
    leak_share: float
    escape_rate_images: float | None


def build_rows(
    entries: Sequence[Entry], runs: Mapping[Key, ByFigure | None] | None = None
) -> tuple[list[DetectionRow], list[Pair]]:
    """Make the rows of the comparison and compare the methods with each other.

    Args:
        entries: What ``find_entries`` returns.
        runs: Scores of all seeds on resamples of the test part, where they are known already.

    Returns:
        Rows by dataset and protocol, methods by falling ``map50``, then controls; and all pairs.
    """
    rows: list[DetectionRow] = []
    pairs: list[Pair] = []
    scored = runs_by_key(entries) if runs is None else runs
    for rivals in by_place(entries):
        here = {entry.first.method: scored.get(key_of(entry)) for entry in rivals}
        decided = compare_entries(rivals, runs=here)
        block = mark_range([build_row(entry, here[entry.first.method]) for entry in rivals])
        rows += sorted(mark_best(block, decided), key=lambda row: place_of(row, "map50"))
        pairs += decided
    return rows, pairs


def build_row(entry: Entry, runs: ByFigure | None = None) -> DetectionRow:
    """Join the seeds of one method; ``runs`` are their figures on resamples, where predictions are at hand."""
    scores = [cell.accuracy["figures"] for cell in entry.cells]
    row = DetectionRow(
        **row_head(entry, FIGURES, runs),
        map75=mean(scores, "map75"),
        n_boxes=scores[0]["n_boxes"],
        escape_rate_images=_escape(scores),
    )
    return row if entry.first.is_control else replace(row, **costs_of(entry.cells))


def _escape(scores: Sequence[dict[str, Any]]) -> float | None:
    rates = [score.get("escape", {}).get("escape_rate_images") for score in scores]
    measured = [rate for rate in rates if rate is not None]
    return sum(measured) / len(measured) if measured else None


def mark_range(rows: Sequence[DetectionRow]) -> list[DetectionRow]:
    """Flag the methods whose ``map50`` lies outside the range of the controls beside them.

    Not above a floor, or above the ceiling of a detector, half the label jitter, with the whole interval.
    """
    controls = {row.method: row for row in rows if row.is_control}
    return [row if row.is_control else replace(row, flags=_flags(row, controls)) for row in rows]


def _flags(row: DetectionRow, controls: dict[str, DetectionRow]) -> str:
    below = [c for c in FLOORS if c in controls and row.map50 <= controls[c].map50]
    flags = [f"not above {controls[name].title}" for name in below]
    if CEILING in controls and row.map50_low > controls[CEILING].map50:
        flags.append(f"above {controls[CEILING].title}")
    return "; ".join(flags)


def mark_best(rows: Sequence[DetectionRow], pairs: Sequence[Pair]) -> list[DetectionRow]:
    """Name in each row the figures in which it is distinguishably the best.

    A score is best if every pair says so and no control flags it; a count if it is smaller than
    all others; a latency if all are valid and its interval, of the ratio to the reference where all have one, lies
    below all others.

    Args:
        rows: Rows of one dataset and protocol.
        pairs: Their comparisons.
    """
    methods = [row for row in rows if not row.is_control]
    if len(methods) < 2:
        return list(rows)
    best: dict[str, list[str]] = {row.method: [] for row in rows}
    for figure in FIGURES:
        leader = max(methods, key=lambda row: getattr(row, figure))
        if not leader.flags and _leads(leader, figure, pairs):
            best[leader.method].append(figure)
    for name in COUNTS:
        counted = [row for row in methods if getattr(row, name) is not None]
        ranked = sorted(counted, key=lambda row: getattr(row, name))
        if len(ranked) > 1 and getattr(ranked[0], name) < getattr(ranked[1], name):
            best[ranked[0].method].append(name)
    fastest = _fastest(methods)
    if fastest:
        timed = ["ratio_to_reference"] if fastest.ratio_to_reference is not None else []
        best[fastest.method] += [*timed, "latency_ms_p50", "fps"]
    return [replace(row, best=" ".join(best[row.method])) for row in rows]


def _leads(leader: DetectionRow, figure: str, pairs: Sequence[Pair]) -> bool:
    decided = [p for p in pairs if p.figure == figure and leader.method in (p.first, p.second)]
    return bool(decided) and all(p.first == leader.method and p.verdict != UNKNOWN for p in decided)


def _fastest(methods: Sequence[DetectionRow]) -> DetectionRow | None:
    cuts = {(row.tile_px, row.tile_overlap_px) for row in methods}
    if len(cuts) > 1 or not all(row.latency_valid for row in methods):
        return None  # a call of one is a tile, of another an image
    raced = all(row.ratio_to_reference is not None for row in methods)
    figure = "ratio_to_reference" if raced else "latency_ms_p50"
    first, *others = sorted(methods, key=lambda row: getattr(row, figure) or 0.0)
    lowest = min(getattr(row, f"{figure}_low") or 0.0 for row in others)
    return first if (getattr(first, f"{figure}_high") or 0.0) < lowest else None
