"""Scores by class beside how far the labels of the class agree with themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...measure.label_noise import Agreement, LabelNoise
from ..records.cells import Entry
from .style import FAINT, GREY, Look, method_handle

HALF = 0.42  # of a class's column
LEAST_BAND = 0.4  # points: a share without a width is seen, too
LEGEND_COLUMNS = 5
PANELS = (("ap50", "agreement50", "AP50, %"), ("ap75", "agreement75", "AP75, %"))


def classes_figure(
    entries: Sequence[Entry], noise: Mapping[str, LabelNoise], style: Mapping[str, Look]
) -> Figure:
    """AP50 and AP75 of each method by class, means over seeds, and the agreement of labels at the same IoU as a band.

    Args:
        entries: Methods of one dataset and protocol.
        noise: Agreement by class; classes without objects that were annotated twice have no band.
        style: Looks of the methods.
    """
    classes = list(entries[0].first.accuracy["figures"]["per_class"])
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for axis, (score, key, title) in zip(axes, PANELS, strict=True):
        for place, name in enumerate(classes):
            if name in noise:
                _draw_band(axis, place, getattr(noise[name], key))
        for number, entry in enumerate(entries):
            offset = HALF * ((number + 0.5) / len(entries) * 2 - 1) * 0.9
            _draw_scores(axis, entry, classes, score, offset, style[entry.first.method])
        axis.set_title(title, loc="left")
        axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
        axis.set_xlim(-0.5, len(classes) - 0.5)
        axis.grid(visible=False, axis="x")
    axes[0].set_ylim(0, 102)
    first = entries[0].first
    title = f"{first.dataset}, {first.protocol}: scores by class"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    handles = [method_handle(entry.title, style[entry.first.method]) for entry in entries]
    band = Patch(facecolor=FAINT, edgecolor=GREY, label="labels agree")
    figure.legend(handles=[*handles, band], loc="outside lower center", ncols=LEGEND_COLUMNS)
    return figure


def _draw_band(axis: Axes, place: int, agreement: Agreement) -> None:
    """The interval of the agreement as a band, its share as a line."""
    share = 100 * agreement.share
    ends = (agreement.low, agreement.high)
    low, high = (share if end is None else 100 * end for end in ends)
    if high - low < LEAST_BAND:
        low, high = share - LEAST_BAND / 2, share + LEAST_BAND / 2
    left, right = place - HALF, place + HALF
    axis.fill_between([left, right], low, high, color=FAINT, linewidth=0, zorder=1)
    axis.plot([left, right], [share, share], color=GREY, linewidth=1, zorder=2)


def _draw_scores(
    axis: Axes, entry: Entry, classes: Sequence[str], score: str, offset: float, look: Look
) -> None:
    for place, name in enumerate(classes):
        seeds = [
            cell.accuracy["figures"]["per_class"].get(name, {}).get(score) for cell in entry.cells
        ]
        measured = [100 * value for value in seeds if value is not None]
        if measured:
            mean = sum(measured) / len(measured)
            axis.plot(
                [place + offset], [mean], look.marker, color=look.colour, markersize=4.5, zorder=3
            )
