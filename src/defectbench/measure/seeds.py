"""Scores and differences over training seeds and test groups: what is printed, and how sure it is.

With two or more seeds an interval holds the noise of training and the choice of test groups (``spread.py``). With one
it holds the choice of groups alone, by the bias-corrected bootstrap: it speaks of *this trained network*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..base.errors import MeasurementError
from .spread import Spread, spread_apart, spread_of, spread_of_ends
from .statistics import (
    CONFIDENCE,
    Interval,
    Resampled,
    corrected_interval,
    interval_over_groups,
)

GROUPS = "groups"
SEEDS_AND_GROUPS = "seeds and groups"
LEAST_GROUPS = (
    30  # under these, intervals of lopsided scores cover less: benchmarks/interval_coverage.py
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """A figure of all trained networks of one method, on one test part.

    Attributes:
        seeds: Seed of each training, ascending.
        resampled: The figure of each, on the part and on parts made of it.
    """

    seeds: tuple[int, ...]
    resampled: tuple[Resampled, ...]

    @property
    def values(self) -> Floats:
        """[S], the figure of each seed."""
        return np.array([one.whole for one in self.resampled])

    @property
    def left_out(self) -> Floats:
        """[S, G], the figure of each seed without each group in turn."""
        return np.stack([one.left_out for one in self.resampled])

    @property
    def draws(self) -> Floats:
        """[B], mean over seeds of the figure on each resample of groups."""
        return np.mean([one.draws for one in self.resampled], axis=0)

    def of_seeds(self, seeds: Iterable[int]) -> Runs:
        """The runs of these seeds alone."""
        wanted = set(seeds)
        kept = [n for n, seed in enumerate(self.seeds) if seed in wanted]
        return Runs(tuple(self.seeds[n] for n in kept), tuple(self.resampled[n] for n in kept))


@dataclass(frozen=True)
class Difference:
    """One method's mean over seeds minus another's.

    Attributes:
        interval: The difference with its interval; ``unit`` says what it is over.
        p_value: Two-sided, by Student's distribution, uncorrected.
    """

    interval: Interval
    p_value: float


def score_over(runs: Runs) -> Interval:
    """The mean over seeds of a score, with its interval; between 0 and 1."""
    if len(runs.seeds) == 1:
        return interval_over_groups(runs.resampled[0])
    estimate = float(runs.values.mean())
    reach = float(spread_of(runs.values, _numbers(runs.left_out)).reach(CONFIDENCE))
    low, high = max(estimate - reach, 0.0), min(estimate + reach, 1.0)
    return Interval(estimate, low, high, len(runs.seeds), SEEDS_AND_GROUPS)


def score_over_records(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float], groups: int
) -> Interval:
    """As ``score_over``, from the seeds' records alone; arguments as of ``mean_over_records``."""
    if len(values) == 1:
        return Interval(values[0], lows[0], highs[0], groups, GROUPS)
    mean = mean_over_records(values, lows, highs, groups)
    return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, 1.0))


def mean_over_records(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float], groups: int
) -> Interval:
    """The mean over seeds of which each one's interval over groups is known; somewhat too wide where there are several.

    Args:
        values: [S], figure of each seed.
        lows: [S], lower end of each.
        highs: [S], upper end.
        groups: Number of groups.

    Raises:
        MeasurementError: There is no value.
    """
    if not values:
        raise MeasurementError("seeds", "values", [], "name at least one finished seed")
    if len(values) == 1:
        return Interval(values[0], lows[0], highs[0], groups, GROUPS)
    estimate = float(np.mean(values))
    reach = float(spread_of_ends(values, lows, highs, groups).reach(CONFIDENCE))
    return Interval(estimate, estimate - reach, estimate + reach, len(values), SEEDS_AND_GROUPS)


def difference_of(first: Runs, second: Runs) -> Difference:
    """One method minus another on the same test part.

    Methods with the same seeds, two or more, are compared seed by seed. Where they have others, each has a spread of
    its own. Where one has a single seed, the noise of its training is unknown: the difference is that of the given
    networks.

    Args:
        first: One method.
        second: The other.

    Raises:
        MeasurementError: The two have other groups or resamples.
    """
    shapes = [(runs.left_out.shape[1], runs.draws.shape) for runs in (first, second)]
    if shapes[0] != shapes[1]:
        raise MeasurementError("comparison", "groups", shapes, "compare on one test part")
    estimate = float(first.values.mean() - second.values.mean())
    spread = spread_between(first, second)
    if not spread.trainings:
        apart = first.left_out.mean(axis=0) - second.left_out.mean(axis=0)
        ends = corrected_interval(estimate, first.draws - second.draws, apart)
        interval = Interval(estimate, *ends, shapes[0][0], GROUPS)
        return Difference(interval, spread.p_value(estimate))
    reach = float(spread.reach(CONFIDENCE))
    seeds = min(len(first.seeds), len(second.seeds))
    interval = Interval(estimate, estimate - reach, estimate + reach, seeds, SEEDS_AND_GROUPS)
    return Difference(interval, spread.p_value(estimate))


def spread_between(first: Runs, second: Runs) -> Spread:
    """What the difference of two methods on one test part varies by; arguments as of ``difference_of``.

    Where one has a single seed, both are given, and groups alone are left.
    """
    first_left, second_left = _numbers_of_both(first.left_out, second.left_out)
    if min(len(first.seeds), len(second.seeds)) == 1:
        apart = first_left.mean(axis=0) - second_left.mean(axis=0)
        return spread_of(np.zeros(1), apart[None])
    if first.seeds == second.seeds:
        return spread_of(first.values - second.values, first_left - second_left)
    return spread_apart((first.values, first_left), (second.values, second_left))


def _numbers(left_out: Floats) -> Floats:
    """[S, G] without the groups that alone have true boxes: nothing is left to score without them."""
    return left_out[:, ~np.isnan(left_out).any(axis=0)]


def _numbers_of_both(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    told = ~(np.isnan(first).any(axis=0) | np.isnan(second).any(axis=0))
    return first[:, told], second[:, told]


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's procedure.

    Source: Holm, Scand. J. Statist. 6 (1979). The chance that any of the compared is told apart that is not different
    stays below the level.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
