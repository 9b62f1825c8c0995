"""Scores of starts from published weights and from scratch, against pictures or against epochs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ...base.variants import data_title
from ..records.starts import Trained
from .style import MARKERS, PALETTE, Look

By = Literal["train_images", "epochs"]
Curves = Mapping[str, Sequence[Sequence[Trained]]]
LABELS = {"train_images": "training images", "epochs": "epochs"}
COLUMNS = 2
SHIFT = 0.02  # of a place, between the lines of one panel, so that bars do not cover each other


def curves_of(trained: Sequence[Trained], by: By) -> dict[str, list[list[Trained]]]:
    """Lines by panel: one start of one method, all equal but for one thing; panels that hold no such start have none.

    What a line joins has one recipe, side, batch and tiles. Where a method has several of the latter, so do panels.

    Args:
        trained: All rows.
        by: What grows along a line.
    """
    lines: dict[tuple[str, str, str, str | None, str], list[Trained]] = defaultdict(list)
    budgets: dict[str, set[str]] = defaultdict(set)
    for one in trained:
        budgets[one.method].add(one.budget)
    is_told = any(len(some) > 1 for some in budgets.values())
    for one in trained:
        if by == "train_images" and one.share is None:
            continue
        fixed = f"{one.epochs} epochs" if by == "train_images" else _share_words(one)
        panel = f"{one.dataset}, {one.protocol}, {fixed}"
        if is_told:
            panel = f"{panel}, {one.budget}"
        lines[panel, one.method, one.title, one.start, one.recipe].append(one)
    panels: dict[str, list[list[Trained]]] = defaultdict(list)
    for (panel, *_), line in sorted(
        lines.items(), key=lambda item: (item[0][0], item[0][2], item[0][3] or "")
    ):
        if len({getattr(one, by) for one in line}) > 1:
            panels[panel].append(sorted(line, key=lambda one: getattr(one, by)))
    return {name: lines for name, lines in panels.items() if any(line[0].start for line in lines)}


def _share_words(one: Trained) -> str:
    share = "" if one.share in (None, 100) else f" ({one.share} %)"
    return f"{one.train_images:,} training images{share}"


def transfer_figure(curves: Curves, by: By, label: str) -> Figure:
    """A panel a set and what is equal, a line a method and start.

    Args:
        curves: Lines by panel.
        by: What grows along a line.
        label: Name of the score.
    """
    names = sorted({line[0].method for lines in curves.values() for line in lines})
    style = {
        name: Look(PALETTE[n % len(PALETTE)], MARKERS[n % len(MARKERS)])
        for n, name in enumerate(names)
    }
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    width = 7.2 if columns > 1 else 4.8
    figure = Figure(figsize=(width, 0.5 + 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, (panel, lines) in zip(axes, curves.items(), strict=False):
        _draw_panel(axis, lines, by, style)
        axis.set_title(panel, loc="left")
        axis.set_ylabel(label)
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    figure.legend(handles=_handles(curves, style), loc="outside lower center", ncols=2 * columns)
    return figure


def _draw_panel(
    axis: Axes, lines: Sequence[Sequence[Trained]], by: By, style: Mapping[str, Look]
) -> None:
    places = sorted({getattr(one, by) for line in lines for one in line})
    for n, line in enumerate(lines):
        look, shift = style[line[0].method], 1 + SHIFT * (n - (len(lines) - 1) / 2)
        scores = [100 * one.score for one in line]
        below = [max(0.0, 100 * (one.score - one.score_low)) for one in line]
        above = [max(0.0, 100 * (one.score_high - one.score)) for one in line]
        axis.errorbar(
            [getattr(one, by) * shift for one in line],
            scores,
            yerr=[below, above],
            color=look.colour,
            marker=look.marker,
            markersize=4.5,
            markerfacecolor=look.colour if line[0].start else "white",
            linestyle="-" if line[0].start else "--",
            linewidth=1.2,
            elinewidth=0.7,
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(places))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_ylim(bottom=0)
    axis.set_xlabel(LABELS[by])


def _handles(curves: Curves, style: Mapping[str, Look]) -> list[Line2D]:
    """One entry a method and start, as they are drawn."""
    shown = {(line[0].title, line[0].start): line[0] for lines in curves.values() for line in lines}
    made = []
    for (title, start), one in sorted(
        shown.items(), key=lambda item: (item[0][0], item[0][1] or "")
    ):
        look = style[one.method]
        made.append(
            Line2D(
                [],
                [],
                color=look.colour,
                marker=look.marker,
                markersize=4.5,
                markerfacecolor=look.colour if start else "white",
                linestyle="-" if start else "--",
                label=f"{title}, from {data_title(start) if start else 'scratch'}",
            )
        )
    return made
