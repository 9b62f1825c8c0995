"""Figures: accuracy against cost, and training curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..base.errors import ReportError
from .collect import Cell, Entry
from .columns import Section, sections
from .rows import Row
from .style import GREY, Look, figure_style, looks, save

COSTS = (
    ("latency_ms_p50", "latency p50, ms (batch 1)"),
    ("params_m", "parameters, M"),
    ("macs_g", "MACs, G"),
)
VALIDATION = ("val_map50_95", "val_map50", "val_accuracy")
LOG_FROM = 8.0
LEGEND_CHARACTERS = 26
LEGEND_COLUMNS = 5
_VALIDATION_TITLES = {
    "val_map50_95": "validation mAP50-95, %",
    "val_map50": "validation mAP50, %",
    "val_accuracy": "validation accuracy, %",
}


def draw_figures(entries: Sequence[Entry], folder: Path, known: Sequence[Row]) -> None:
    """Draw ``pareto_*`` and ``curves_*`` of each dataset and protocol that has methods.

    Args:
        entries: Cells by method.
        folder: Where to draw; it is there.
        known: Rows of the same entries.

    Raises:
        ReportError: A history is missing.
    """
    style = looks(entries)
    with figure_style():
        for section in sections(known):
            if not section.methods:
                continue
            name = f"{section.dataset}_{section.protocol}"
            save(pareto_figure(section, style), folder, f"pareto_{name}")
            own = [e for e in entries if _belongs(e, section)]
            save(curves_figure(own, style), folder, f"curves_{name}")


def _belongs(entry: Entry, section: Section) -> bool:
    place = (entry.first.dataset, entry.first.protocol)
    return place == (section.dataset, section.protocol) and not entry.first.is_control


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


def pareto_figure(section: Section, style: dict[str, Look]) -> Figure:
    """mAP50 against latency, parameters and MACs, with intervals and the front."""
    handles = _legend(section, style)
    height = 2.3 + 0.16 * math.ceil(len(handles) / LEGEND_COLUMNS)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots(1, len(COSTS), sharey=True)
    for axis, (cost, label) in zip(axes, COSTS, strict=True):
        known = [row for row in section.methods if getattr(row, cost) is not None]
        _draw_front(axis, known, cost)
        for row in known:
            _draw_point(axis, row, cost, style[row.method])
        if known:
            _scale_cost(axis, known, cost)
        axis.set_xlabel(label)
    axes[0].set_ylabel("mAP50, % (95 % interval)")
    _limit_scores(axes[0], section.methods)
    _draw_controls(axes[-1], axes, section.controls)
    title = f"{section.dataset}, {section.protocol}: {section.leak}"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    figure.legend(handles=handles, loc="outside lower center", ncols=LEGEND_COLUMNS)
    return figure


def _draw_point(axis: Axes, row: Row, cost: str, look: Look) -> None:
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


def _draw_front(axis: Axes, rows: Sequence[Row], cost: str) -> None:
    """A line through the points that none beats; invalid timings carry no front."""
    known = [row for row in rows if row.latency_valid or not cost.startswith("latency")]
    front = pareto_front([(getattr(row, cost), 100 * row.map50) for row in known])
    if len(known) < 2:
        return
    costs, scores = zip(*front, strict=True)
    axis.step(costs, scores, where="post", color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=2)


def _scale_cost(axis: Axes, rows: Sequence[Row], cost: str) -> None:
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


def _limit_scores(axis: Axes, rows: Sequence[Row]) -> None:
    low = min(100 * row.map50_low for row in rows)
    high = max(100 * row.map50_high for row in rows)
    room = max(0.12 * (high - low), 1.0)
    axis.set_ylim(max(0.0, low - room), min(102.0, high + room))
    axis.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))


def _draw_controls(labelled: Axes, axes: Sequence[Axes], controls: Sequence[Row]) -> None:
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


def _legend(section: Section, style: dict[str, Look]) -> list[Line2D]:
    handles = [_handle(row.title, style[row.method]) for row in section.methods]
    if len(section.methods) > 1:
        dashes = {"color": GREY, "linewidth": 1, "linestyle": (0, (4, 2))}
        handles.append(Line2D([], [], label="Pareto front", **dashes))
    if any(row.latency_valid is False for row in section.methods):
        hollow = _handle("hollow: invalid timing", Look(GREY, "o"))
        hollow.set_markerfacecolor("white")
        handles.append(hollow)
    return handles


def _handle(label: str, look: Look) -> Line2D:
    short = label if len(label) <= LEGEND_CHARACTERS else label.partition(" (")[0]
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=short)


def read_history(cell: Cell) -> dict[str, list[tuple[float, float]]]:
    """The training history of a cell: (epoch, value) by column, empty fields left out.

    Raises:
        ReportError: The file is missing, or has no column ``epoch`` or ``loss``.
    """
    path = cell.folder / "history.csv"
    if not path.is_file():
        fix = f"make it with: snakemake --cores 8 --forcerun {path} -- {path}"
        raise ReportError(path, "history", "nothing", fix)
    with path.open(newline="") as handle:
        reader = csv.DictReader(handle)
        names = reader.fieldnames or []
        for needed in ("epoch", "loss"):
            if needed not in names:
                raise ReportError(path, "columns", list(names), f"write a column {needed!r}")
        lines = list(reader)
    return {
        name: [(float(line["epoch"]), float(line[name])) for line in lines if line[name]]
        for name in names
    }


def curves_figure(entries: Sequence[Entry], style: dict[str, Look]) -> Figure:
    """Training loss and validation score over epochs, one line a seed."""
    histories = [(e, [read_history(cell) for cell in e.cells]) for e in entries]
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    seen = {name for _, seeds in histories for history in seeds for name in history}
    score = next((name for name in VALIDATION if name in seen), VALIDATION[0])
    for entry, seeds in histories:
        look = style[entry.first.method]
        for history in seeds:
            _draw_curve(left, history["loss"], look, markers=False)
            points = [(epoch, 100 * value) for epoch, value in history.get(score, [])]
            _draw_curve(right, points, look, markers=True)
    _scale_loss(left)
    left.set_title("training loss, each method's own", loc="left")
    right.set_title(_VALIDATION_TITLES[score], loc="left")
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.set_xlim(left=0)
    first = entries[0].first
    figure.suptitle(f"{first.dataset}, {first.protocol}: training", fontsize=8.5, x=0.01, ha="left")
    handles = [_handle(entry.title, style[entry.first.method]) for entry in entries]
    for handle in handles:
        handle.set_linestyle("-")
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _scale_loss(axis: Axes) -> None:
    """Logarithmic, with plain numbers at the ticks."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    few = high / low > LOG_FROM * LOG_FROM
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _draw_curve(
    axis: Axes, points: Sequence[tuple[float, float]], look: Look, markers: bool
) -> None:
    if not points:
        return
    epochs, values = zip(*points, strict=True)
    marker = look.marker if markers else "None"
    axis.plot(epochs, values, color=look.colour, linewidth=1.2, marker=marker, markersize=3.5)
