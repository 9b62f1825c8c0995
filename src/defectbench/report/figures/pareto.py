"""Accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..columns import place_block
from ..topics.detection.rows import DetectionRow
from .style import GREY, LOG_FROM, Look, method_handle

COSTS = (
    ("latency_ms_p50", "latency p50, ms (batch 1)"),
    ("params_m", "parameters, M"),
    ("macs_g", "MACs, G"),
)
LEGEND_COLUMNS = 5


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats: none is as cheap and better, or cheaper and as good.

    Args:
        points: Pairs of cost and score.

    Returns:
        The front by rising cost.

    Example:
        >>> pareto_front([(1, 0.5), (2, 0.4), (3, 0.7)])
        [(1, 0.5), (3, 0.7)]
    """
    front: list[tuple[float, float]] = []
    for cost, score in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front


def pareto_figure(rows: Sequence[DetectionRow], style: dict[str, Look]) -> Figure:
    """mAP50 against latency, parameters and MACs, with intervals and the front.

    Args:
        rows: Methods and controls of one dataset and protocol.
        style: Looks of the methods.
    """
    methods = [row for row in rows if not row.is_control]
    handles = _legend(methods, style)
    height = 2.3 + 0.16 * math.ceil(len(handles) / LEGEND_COLUMNS)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots(1, len(COSTS), sharey=True)
    for axis, (cost, label) in zip(axes, COSTS, strict=True):
        measured = [row for row in methods if getattr(row, cost) is not None]
        _draw_front(axis, measured, cost)
        for row in measured:
            _draw_point(axis, row, cost, style[row.method])
        if measured:
            _scale_cost(axis, measured, cost)
        axis.set_xlabel(label)
    axes[0].set_ylabel("mAP50, % (95 % interval)")
    _limit_scores(axes[0], methods)
    _draw_controls(axes[-1], axes, [row for row in rows if row.is_control])
    first = rows[0]
    title = f"{first.dataset}, {first.protocol}: {place_block(first, []).lead}"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS)
    return figure


def _draw_point(axis: Axes, row: DetectionRow, cost: str, look: Look) -> None:
    value, score = getattr(row, cost), 100 * row.map50
    low, high = (getattr(row, f"{cost}_{end}", None) for end in ("low", "high"))
    across = None if low is None or high is None else [[value - low], [high - value]]
    up = [[score - 100 * row.map50_low], [100 * row.map50_high - score]]
    hollow = cost.startswith("latency") and not row.latency_valid
    axis.errorbar(
        value,
        score,
        xerr=across,
        yerr=up,
        color=look.colour,
        marker=look.marker,
        markersize=6,
        markerfacecolor="white" if hollow else look.colour,
        markeredgewidth=1.2,
        elinewidth=1,
        capsize=2,
        zorder=3,
    )


def _draw_front(axis: Axes, rows: Sequence[DetectionRow], cost: str) -> None:
    """A line through the points that none beats; invalid timings carry no front."""
    valid = [row for row in rows if row.latency_valid or not cost.startswith("latency")]
    front = pareto_front([(getattr(row, cost), 100 * row.map50) for row in valid])
    if len(valid) < 2:
        return
    costs, scores = zip(*front, strict=True)
    axis.step(costs, scores, where="post", color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=2)


def _scale_cost(axis: Axes, rows: Sequence[DetectionRow], cost: str) -> None:
    """From zero, so that lengths compare; logarithmic where costs differ by much."""
    values = [getattr(row, cost) for row in rows]
    if max(values) > LOG_FROM * min(values):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlim(min(values) / 1.6, max(values) * 1.6)
    else:
        ends = [getattr(row, f"{cost}_high", getattr(row, cost)) for row in rows]
        axis.set_xlim(0, 1.15 * max(ends))


def _limit_scores(axis: Axes, rows: Sequence[DetectionRow]) -> None:
    low = min(100 * row.map50_low for row in rows)
    high = max(100 * row.map50_high for row in rows)
    room = max(0.12 * (high - low), 1.0)
    axis.set_ylim(max(0.0, low - room), min(102.0, high + room))
    axis.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))


def _draw_controls(labelled: Axes, axes: Sequence[Axes], controls: Sequence[DetectionRow]) -> None:
    """Lines of the controls that fall into the window of the scores."""
    bottom, top = labelled.get_ylim()
    for row in controls:
        score = 100 * row.map50
        if not bottom < score < top:
            continue
        for axis in axes:
            axis.axhline(score, color=GREY, linewidth=0.9, linestyle=":", zorder=1)
        labelled.annotate(
            row.title,
            (1, score),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=6.5,
            va="center",
        )


def _legend(methods: Sequence[DetectionRow], style: dict[str, Look]) -> list[Line2D]:
    handles = [method_handle(row.title, style[row.method]) for row in methods]
    if len(methods) > 1:
        dashes = {"color": GREY, "linewidth": 1, "linestyle": (0, (4, 2))}
        handles.append(Line2D([], [], label="Pareto front", **dashes))
    if any(row.latency_valid is False for row in methods):
        hollow = method_handle("hollow: invalid timing", Look(GREY, "o"))
        hollow.set_markerfacecolor("white")
        handles.append(hollow)
    return handles
