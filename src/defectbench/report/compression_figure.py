"""Figure of compression: score against stored size, one line from each base to its compressed form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .compression import BASE, CONTROL, STAGE_TITLES, Stage
from .compression_table import SCORE_TITLES, by_place, ways
from .style import GREY, PALETTE, figure_style, save

MARKERS = {BASE: "o", "sparse": "s", "pruned": "v", "recovered": "D", CONTROL: "X"}
FEW_TICKS = (
    5  # below this ratio of the ends, steps of 1, 2 and 5 leave an axis nearly without ticks
)


def draw_compression(stages: Sequence[Stage], folder: Path) -> None:
    """Draw ``compression_*`` of each dataset and protocol that has compressed cells."""
    with figure_style():
        for place, own in by_place(stages).items():
            save(compression_figure(own), folder, f"compression_{'_'.join(place)}")


def compression_figure(stages: Sequence[Stage]) -> Figure:
    """Score with its interval against MiB stored, of one dataset and protocol; stages without a size are left out.

    Args:
        stages: Stages of some compressed cells and their controls.
    """
    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    axis = figure.subplots()
    handles = []
    for number, way in enumerate(ways(stages)):
        colour = PALETTE[number % len(PALETTE)]
        own = [s for s in way if s.stage != CONTROL and s.stored_mib is not None]
        axis.plot(
            [s.stored_mib or 0 for s in own], [100 * s.score for s in own], color=colour, zorder=2
        )
        for stage in own:
            _draw(axis, stage, colour)
        for stage in way:
            if stage.stage == CONTROL and stage.stored_mib is not None:
                _draw(axis, stage, colour)
        last = own[-1] if own else way[-1]
        handles.append(Line2D([], [], color=colour, label=f"{last.title}, seed {last.seed}"))
    shown = dict.fromkeys(stage.stage for stage in stages)
    handles += [
        Line2D([], [], color=GREY, marker=MARKERS[name], linestyle="", label=STAGE_TITLES[name])
        for name in shown
    ]
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    steps = (1.0, 2.0, 5.0) if high > FEW_TICKS * low else (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
    axis.xaxis.set_major_locator(LogLocator(subs=steps))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("stored, MiB (float32, before folding)")
    axis.set_ylabel(f"{SCORE_TITLES[stages[0].score_name]}, % (95 % interval)")
    axis.set_ylim(bottom=0)
    first = stages[0]
    figure.suptitle(
        f"{first.dataset}, {first.protocol}: compression", fontsize=8.5, x=0.01, ha="left"
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw(axis: Axes, stage: Stage, colour: str) -> None:
    """One stage with its interval."""
    score = 100 * stage.score
    up = [[score - 100 * stage.score_low], [100 * stage.score_high - score]]
    axis.errorbar(
        stage.stored_mib or 0,
        score,
        yerr=up,
        color=colour,
        marker=MARKERS[stage.stage],
        markersize=5.5,
        elinewidth=1,
        capsize=2,
        zorder=3,
    )
