"""Figure of compression: score against stored size from each base on, and where the ways end."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..topics.compression.stages import (
    BASE,
    BEFORE_CUT,
    CHANNELS,
    CONTROL,
    PRUNED,
    RECOVERED,
    SCORE_TITLES,
    STAGE_TITLES,
    StageRow,
    ways,
)
from .style import GREY, PALETTE

MARKERS = {
    BASE: "o",
    **dict.fromkeys(BEFORE_CUT, "s"),
    CHANNELS: "^",
    PRUNED: "v",
    RECOVERED: "D",
    CONTROL: "X",
}
ASIDE = 1.03  # from one way to the next, of its size
FEW_TICKS = (
    5  # below this ratio of the ends, steps of 1, 2 and 5 leave an axis nearly without ticks
)


def compression_figure(stages: Sequence[StageRow]) -> Figure:
    """Left the ways, score against MiB stored; right where they end, score with its interval beside the bases.

    Left, what is cut to one size stands a little beside each other; stages without a size are left out.

    Args:
        stages: Stages of some compressed cells and their controls, of one dataset and protocol.
    """
    drawn = ways(stages)
    ends = _ends(drawn)
    height = max(3.0, 1.5 + 0.24 * len(ends))
    figure = Figure(figsize=(7.6, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 0.9))
    _draw_ways(left, drawn)
    _draw_ends(right, ends, [stage for stage in stages if stage.stage == BASE])
    unit = f"{SCORE_TITLES[stages[0].score_name]}, % (95 % interval)"
    left.set_ylabel(unit)
    right.set_xlabel(unit)
    title = f"{stages[0].dataset}, {stages[0].protocol}: compression"
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    shown = dict.fromkeys(stage.stage for stage in stages)
    handles = [
        Line2D([], [], color=GREY, marker=MARKERS[name], linestyle="", label=STAGE_TITLES[name])
        for name in shown
    ]
    handles.append(Line2D([], [], color=GREY, linestyle="--", linewidth=0.9, label="of a base"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
    return figure


def _draw_ways(axis: Axes, drawn: Sequence[Sequence[StageRow]]) -> None:
    """The way of each compressed cell, and the controls of some size."""
    for number, way in enumerate(drawn):
        beside = ASIDE ** (number - (len(drawn) - 1) / 2)
        at = [
            (stage, stage.stored_mib * (1.0 if stage.stage == BASE else beside))
            for stage in way
            if stage.stored_mib is not None
        ]
        line = [(place, 100 * stage.score) for stage, place in at if stage.stage != CONTROL]
        axis.plot([x for x, _ in line], [y for _, y in line], color=_colour(number), zorder=2)
        for stage, place in at:
            _draw(axis, stage, GREY if stage.stage == BASE else _colour(number), place)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    steps = (1.0, 2.0, 5.0) if high > FEW_TICKS * low else (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    axis.xaxis.set_major_locator(LogLocator(subs=steps))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("stored, MiB (float32, before folding)")
    axis.set_ylim(bottom=0)


def _ends(drawn: Sequence[Sequence[StageRow]]) -> list[tuple[StageRow, str]]:
    """The last stage of each way and each control once, with the colour of its way; the lowest score first."""
    last_stages: dict[str, tuple[StageRow, str]] = {}
    for number, way in enumerate(drawn):
        passed = [s for s in way if s.stage != CONTROL]
        last = passed[-1:] if passed[-1].stage != BASE else []
        for stage in (*last, *(s for s in way if s.stage == CONTROL)):
            last_stages.setdefault(stage.record, (stage, _colour(number)))
    return sorted(last_stages.values(), key=lambda end: (end[0].score, end[0].record))


def _draw_ends(axis: Axes, ends: Sequence[tuple[StageRow, str]], bases: Sequence[StageRow]) -> None:
    """One line a network, its name at the left; bases as vertical lines."""
    for base in {stage.record: stage for stage in bases}.values():
        axis.axvline(100 * base.score, color=GREY, linestyle="--", linewidth=0.9, zorder=1)
    several = len({stage.seed for stage, _ in ends}) > 1
    for place, (stage, colour) in enumerate(ends):
        _draw(axis, stage, colour, place, across=True)
    names = [f"{s.title}, seed {s.seed}" if several else s.title for s, _ in ends]
    axis.set_yticks(range(len(ends)), names)
    axis.set_ylim(-0.6, len(ends) - 0.4)


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _draw(axis: Axes, stage: StageRow, colour: str, place: float, across: bool = False) -> None:
    """One stage with its interval, its score upwards or ``across``."""
    score = 100 * stage.score
    ends = [[score - 100 * stage.score_low], [100 * stage.score_high - score]]
    axis.errorbar(
        score if across else place,
        place if across else score,
        xerr=ends if across else None,
        yerr=None if across else ends,
        color=colour,
        marker=MARKERS[stage.stage],
        markersize=5.5,
        elinewidth=1,
        capsize=2,
        zorder=3,
    )
