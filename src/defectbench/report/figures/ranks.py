"""Mean ranks over several data sets, with bars over what cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..records.across import MeanRank
from .style import GREY, LEGEND_CHARACTERS, Look

BAR_STEP = 0.6


def ranks_figure(
    ranks: Sequence[MeanRank],
    groups: Sequence[Sequence[str]],
    titles: Mapping[str, str],
    style: Mapping[str, Look],
    label: str,
) -> Figure:
    """A row a method, best above: its mean rank, its rank on each set, and to the right the bars.

    After Demšar (JMLR 7, 2006), whose bars join methods within one critical difference of ranks; here they join those
    that the pooled comparison does not tell apart, since few sets tell nothing by ranks alone.

    Args:
        ranks: Methods by rising mean rank.
        groups: Methods of which no two are told apart.
        titles: Names of methods in tables.
        style: Looks of the methods.
        label: What the ranks are of.
    """
    rows = {rank.method: n for n, rank in enumerate(ranks)}
    figure = Figure(figsize=(7.2, 1.0 + 0.24 * len(ranks)), layout="constrained")
    width = max(0.25 * len(groups), 0.5)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[5.5 - width, width])
    for rank in ranks:
        look, row = style[rank.method], rows[rank.method]
        left.plot(rank.ranks, [row] * len(rank.ranks), ".", color=look.colour, alpha=0.45, zorder=2)
        left.plot([rank.mean], [row], look.marker, color=look.colour, markersize=7, zorder=3)
    left.set_yticks(range(len(ranks)), [_short(titles[rank.method]) for rank in ranks])
    left.set_ylim(len(ranks) - 0.5, -0.5)
    left.set_xlim(0.7, len(ranks) + 0.3)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_xlabel(label)
    _draw_bars(right, groups, rows)
    return figure


def _draw_bars(axis: Axes, groups: Sequence[Sequence[str]], rows: Mapping[str, int]) -> None:
    """A vertical bar a group, with a dot at each member: a row between that it passes over is none of it."""
    for n, group in enumerate(groups):
        places = sorted(rows[name] for name in group)
        axis.plot([n, n], [places[0], places[-1]], color=GREY, linewidth=2.5, zorder=2)
        axis.plot([n] * len(places), places, "o", color=GREY, markersize=5, zorder=3)
    axis.set_xlim(-BAR_STEP, max(len(groups) - 1, 0) + BAR_STEP)
    axis.set_xticks([])
    axis.tick_params(left=False)
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.set_xlabel("not told apart" if groups else "all told apart")


def _short(title: str) -> str:
    return title if len(title) <= LEGEND_CHARACTERS else title.partition(" (")[0]
