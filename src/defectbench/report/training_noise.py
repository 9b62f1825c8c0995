"""What a table of one seed lacks: the noise of training, and how large it was measured to be.

The noise is that of the study's own methods with several seeds on the same set; where there are none, that of
``training_noise.csv`` beside this module: the spread of the default study over seeds, of the same methods and the same
set where it has them, else of all its methods. ``benchmarks/training_noise.py`` makes that file from
``results/reference/demo-spread/spread.csv``, so that an installed suite has it without the reference records.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt
from pathlib import Path
from statistics import stdev
from typing import Any

from .columns import GROUPS
from .numbers import percent
from .records.cells import Entry

MEASURED = Path(__file__).with_suffix(".csv")
STUDY = "the default study"


@dataclass(frozen=True)
class Noise:
    """How far seeds of one method lie apart.

    Attributes:
        dataset: Name of the set.
        method: Name of the method.
        figure: ``map50`` or ``accuracy``.
        n_seeds: Number of seeds.
        deviation: Standard deviation of the figure over seeds.
    """

    dataset: str
    method: str
    figure: str
    n_seeds: int
    deviation: float


def measured_noise() -> list[Noise]:
    """What the suite brings: the spread of the default study."""
    with MEASURED.open(newline="", encoding="utf-8") as handle:
        return [
            Noise(
                line["dataset"],
                line["method"],
                line["figure"],
                int(line["n_seeds"]),
                float(line["deviation"]),
            )
            for line in csv.DictReader(handle)
        ]


def noise_of(entries: Iterable[Entry], figure: str) -> list[Noise]:
    """That of a study's own methods with several seeds, where no test image was seen in training."""
    return [
        Noise(
            entry.first.dataset,
            entry.first.method,
            figure,
            len(entry.cells),
            stdev(cell.accuracy["figures"][figure] for cell in entry.cells),
        )
        for entry in entries
        if len(entry.cells) > 1 and not entry.first.is_control and not entry.leak_share
    ]


def noise_notes(
    rows: Sequence[Any], entries: Sequence[Entry], figure: str, heading: str
) -> list[str]:
    """A sentence a set on which a method has one seed; nothing where all have several.

    Args:
        rows: Rows of a comparison.
        entries: The cells behind them.
        figure: The figure whose noise is told, ``map50`` or ``accuracy``.
        heading: Its name in tables.
    """
    single = [row for row in rows if not row.is_control and row.interval_over == GROUPS]
    if not single:
        return []
    several = any(not row.is_control and row.interval_over != GROUPS for row in rows)
    whose = "Intervals of methods with one seed" if several else "One seed: these intervals"
    by_source: dict[str, list[str]] = {}
    ordered = sorted(single, key=lambda row: row.dataset)
    for dataset, here in groupby(ordered, key=lambda row: row.dataset):
        methods = {row.method for row in here}
        told = _told(dataset, methods, noise_of(entries, figure), figure)
        by_source.setdefault(told, []).append(dataset)
    told = "; ".join(f"for {' and '.join(sets)}, {text}" for text, sets in by_source.items())
    return [
        f"{whose} lack the noise of training. How large it was measured to be, as the standard deviation of {heading} "
        f"over seeds, in points: {told}."
    ]


def _told(dataset: str, methods: set[str], own: Sequence[Noise], figure: str) -> str:
    """How large the noise is for some methods on a set, in words, by the nearest measurement that there is."""
    here = [noise for noise in own if noise.dataset == dataset]
    if here:
        return f"{_figures(here)} on this set in this study"
    brought = [noise for noise in measured_noise() if noise.figure == figure]
    same = [noise for noise in brought if noise.dataset == dataset and noise.method in methods]
    if same:
        return f"{_figures(same)} on this set in the short trainings of {STUDY}, on validation"
    return (
        f"{_figures(brought)} in the short trainings of {STUDY} (another set, on validation), since this study has no "
        "method with several seeds there"
    )


def _figures(noises: Sequence[Noise]) -> str:
    deviations = [noise.deviation for noise in noises]
    seeds = sorted({noise.n_seeds for noise in noises})
    counted = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    ends = f" ({percent(min(deviations))} to {percent(max(deviations))})" if len(noises) > 1 else ""
    methods = f"{len(noises)} method{'s' if len(noises) > 1 else ''}"
    return f"{percent(pooled_deviation(noises))}{ends}, {methods} of {counted} seeds,"


def pooled_deviation(noises: Sequence[Noise]) -> float:
    """The root of the mean variance of some methods, each weighed by its degrees of freedom."""
    freedom = sum(noise.n_seeds - 1 for noise in noises)
    return sqrt(sum((noise.n_seeds - 1) * noise.deviation**2 for noise in noises) / freedom)
