"""Confusion matrices of classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..records.cells import Entry

COLUMNS = 4
PANEL_IN = 1.9
TITLE_CHARACTERS = 30


def confusion_figure(entries: Sequence[Entry]) -> Figure:
    """A confusion matrix a method, all seeds together: shares of each true class, with the counts."""
    names = entries[0].first.accuracy["classes"]
    columns = min(COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    side = max(PANEL_IN, 0.27 * len(names))
    figure = Figure(
        figsize=(side * columns + 1.1, (side + 0.35) * rows + 0.9), layout="constrained"
    )
    axes = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for axis, entry in zip(axes, entries, strict=False):
        seeds = [np.array(cell.accuracy["figures"]["confusion"]) for cell in entry.cells]
        _draw_matrix(axis, np.sum(seeds, axis=0), names, fill(entry.title, TITLE_CHARACTERS))
    for axis in axes[len(entries) :]:
        axis.set_visible(False)
    for n, axis in enumerate(axes[: len(entries)]):
        axis.tick_params(labelbottom=n + columns >= len(entries), labelleft=n % columns == 0)
    first = entries[0].first
    title = f"{first.dataset}, {first.protocol}: true class (rows) and predicted class (columns), images"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    return figure


def _draw_matrix(axis: Axes, counts: np.ndarray, names: Sequence[str], title: str) -> None:
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axis.grid(visible=False)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.55 else "black"
            axis.text(
                column, row, str(int(count)), ha="center", va="center", fontsize=6, color=colour
            )
    ticks = range(len(names))
    axis.set_xticks(ticks, names, rotation=90)
    axis.set_yticks(ticks, names)
    axis.set_title(title, loc="left", fontsize=7)
