"""Intervals of one trained network's figures: groups of images are resampled.

"Given this trained network" is what they hold: another training of the same method is not in them. Figures of several
seeds are in ``seeds.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..base.errors import MeasurementError
from .bootstrap import Matches, group_weights, mean_precision, weighted_precision

CONFIDENCE = 0.95
RESAMPLES = 2000
INTERVAL = "BCa bootstrap over groups, tails by Student's distribution: given this trained network"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: The figure on the data as they are.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of independent units behind it, of the first kind that ``unit`` names.
        unit: What it is over: ``groups``, ``seeds``, or ``seeds and groups``.
    """

    estimate: float
    low: float
    high: float
    n: int
    unit: str


@dataclass(frozen=True)
class Resampled:
    """A figure of one trained network, on a test part and on parts that are made of its groups.

    Attributes:
        whole: The figure on the data as they are.
        left_out: [G], the figure without each group in turn, in the order of the groups' names.
        draws: [B], the figure of each resample; paired between networks that are scored on one test part.
    """

    whole: float
    left_out: Floats
    draws: Floats


def resample_weights(groups: Sequence[str], resamples: int, seed: int = 0) -> NDArray[np.int64]:
    """How often each image counts: as it is, without each group in turn, and in each resample of groups.

    Args:
        groups: [I], group of each image.
        resamples: Number of resamples B.
        seed: Seed of the draws.

    Returns:
        [1 + G + B, I]; ``resampled`` takes figures of these apart again.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    whole = np.ones((1, len(groups)), dtype=np.int64)
    without = (member[None] != np.arange(len(names))[:, None]).astype(np.int64)
    return np.concatenate([whole, without, group_weights(groups, resamples, seed)])


def resampled(figures: Mapping[str, Floats], groups: Sequence[str]) -> dict[str, Resampled]:
    """Figures [1 + G + B] of ``resample_weights``, by name, taken apart."""
    count = len(set(groups))
    return {
        name: Resampled(float(values[0]), values[1 : 1 + count], values[1 + count :])
        for name, values in figures.items()
    }


def percentile_interval(draws: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Ends of the percentile interval of resampled figures; NaN draws are left out.

    Raises:
        MeasurementError: No draw is a number.
    """
    known = draws[~np.isnan(draws)]
    if not known.size:
        raise MeasurementError("bootstrap", "draws", "only NaN", "score a part with true boxes")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def corrected_interval(
    estimate: float, draws: Floats, left_out: Floats, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated (BCa) interval, widened for few groups.

    Resampled average precision lies above the figure of the whole data, since a repeated image repeats its hits; the
    percentile interval would lie too high with it. Resamples of few groups spread too little, and their tails are those
    of a normal distribution: both ends are taken as far out as Student's interval of a mean would have them.
    Sources: Efron, JASA 1987; Hesterberg, The American Statistician 2015, section 5.3 (expanded percentiles).

    Args:
        estimate: The figure on the data as they are.
        draws: [B], the figure of each resample.
        left_out: [G], the figure without each group in turn.
        confidence: Share of the interval.

    Returns:
        The ends; those of the percentile interval where there is but one group, or where all draws
        lie on one side of the estimate.
    """
    known, without = draws[~np.isnan(draws)], left_out[~np.isnan(left_out)]
    below = float((np.sum(known < estimate) + np.sum(known == estimate) / 2) / max(known.size, 1))
    if not 0 < below < 1 or without.size < 2:
        return percentile_interval(draws, confidence)
    bias = stats.norm.ppf(below)
    spread = without.mean() - without
    cube, square = float((spread**3).sum()), float((spread**2).sum())
    bend = cube / (6 * square**1.5) if square > 0 else 0.0
    tails = np.array([-1.0, 1.0]) * _reach_of_few(without.size, confidence)
    reach = bias + tails
    low, high = np.quantile(known, stats.norm.cdf(bias + reach / (1 - bend * reach)))
    return float(low), float(high)


def _reach_of_few(groups: int, confidence: float) -> float:
    """Standard errors of resamples from the estimate to an end: Student's, and the resamples' own lack of spread."""
    return float(np.sqrt(groups / (groups - 1)) * stats.t.ppf(0.5 + confidence / 2, groups - 1))


def resampled_precision(
    matches: Matches, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Resampled]:
    """``map50_95``, ``map50`` and ``map75`` of one network on a test part and on resamples of its groups.

    Args:
        matches: Matched detections.
        groups: [I], group of each image, in the order of ``matches.image_ids``.
        resamples: Number of resamples.
        seed: Seed of the draws; equal seeds give paired draws for two networks.
    """
    weights = resample_weights(groups, resamples, seed)
    return resampled(mean_precision(weighted_precision(matches, weights)), groups)


def bootstrap_precision(
    matches: Matches, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of ``map50_95``, ``map50`` and ``map75``; arguments as of ``resampled_precision``."""
    return {
        name: interval_over_groups(one)
        for name, one in resampled_precision(matches, groups, resamples, seed).items()
    }


def interval_over_groups(one: Resampled, confidence: float = CONFIDENCE) -> Interval:
    """The BCa interval of one trained network's figure."""
    ends = corrected_interval(one.whole, one.draws, one.left_out, confidence)
    return Interval(one.whole, *ends, len(one.left_out), "groups")


def aggregate_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean over seeds with Student's interval; one seed has none (NaN ends).

    Raises:
        MeasurementError: There is no value.

    Example:
        >>> aggregate_seeds([0.5, 0.6, 0.7]).n
        3
    """
    data = np.asarray(values, dtype=np.float64)
    if not data.size:
        raise MeasurementError("seeds", "values", [], "name at least one finished seed")
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1, "seeds")
    spread = float(data.std(ddof=1)) / np.sqrt(data.size)
    reach = float(stats.t.ppf(0.5 + confidence / 2, data.size - 1)) * spread
    return Interval(mean, mean - reach, mean + reach, int(data.size), "seeds")
