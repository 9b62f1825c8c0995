"""Statistics made for few seeds: intervals, paired comparison, aggregation.

"Not distinguishable" is a result like any other. With three seeds no test over seeds can reach
p < 0.05 (a sign-flip test has eight outcomes), so methods are compared over the groups of the test
part, which share no pixels, and seeds are aggregated with their own interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..base.errors import MeasurementError
from .bootstrap import Matches, group_weights, mean_precision, weighted_precision

CONFIDENCE = 0.95
RESAMPLES = 2000

Verdict = Literal["first is better", "second is better", "not distinguishable"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: The figure on the data as they are.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of independent units behind it.
        unit: What was counted: ``groups`` or ``seeds``.
    """

    estimate: float
    low: float
    high: float
    n: int
    unit: str


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two methods on the same test part.

    Attributes:
        difference: First minus second, with its interval.
        p_value: Two-sided share of resamples on the other side of zero.
        verdict: Which is better, or "not distinguishable".
    """

    difference: Interval
    p_value: float
    verdict: Verdict


def percentile_interval(
    draws: NDArray[np.float64], confidence: float = CONFIDENCE
) -> tuple[float, float]:
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
    estimate: float,
    draws: NDArray[np.float64],
    left_out: NDArray[np.float64],
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated (BCa) interval.

    Resampled average precision lies above the figure of the whole data, since a repeated image
    repeats its hits; the percentile interval would lie too high with it. Source: Efron, JASA 1987.

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
    tail = (1 - confidence) / 2
    reach = bias + stats.norm.ppf([tail, 1 - tail])
    low, high = np.quantile(known, stats.norm.cdf(bias + reach / (1 - bend * reach)))
    return float(low), float(high)


def bootstrap_precision(
    matches: Matches, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """BCa intervals of ``map50_95``, ``map50`` and ``map75`` by resampling groups.

    Args:
        matches: Matched detections of one method.
        groups: [I], group of each image, in the order of ``matches.image_ids``.
        resamples: Number of resamples.
        seed: Seed of the draws.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    whole = np.ones((1, len(groups)), dtype=np.int64)
    without = (member[None] != np.arange(len(names))[:, None]).astype(np.int64)
    weights = np.concatenate([whole, without, group_weights(groups, resamples, seed)])
    values = mean_precision(weighted_precision(matches, weights))
    found = {}
    for name, value in values.items():
        left_out, draws = value[1 : 1 + len(names)], value[1 + len(names) :]
        ends = corrected_interval(float(value[0]), draws, left_out)
        found[name] = Interval(float(value[0]), *ends, len(names), "groups")
    return found


def compare(
    first: Matches,
    second: Matches,
    groups: Sequence[str],
    figure: str = "map50_95",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two methods on the same images by a paired bootstrap over groups.

    Args:
        first: Matched detections of one method.
        second: Those of the other, over the same images.
        groups: [I], group of each image.
        figure: ``map50_95``, ``map50`` or ``map75``.
        resamples: Number of resamples, the same draws for both.
        seed: Seed of the draws.

    Raises:
        MeasurementError: The two were scored on different images.
    """
    if not np.array_equal(first.image_ids, second.image_ids):
        seen = (len(first.image_ids), len(second.image_ids))
        raise MeasurementError("comparison", "images", seen, "compare on one test part")
    whole = np.ones((1, len(groups)), dtype=np.int64)
    weights = np.concatenate([whole, group_weights(groups, resamples, seed)])
    values = [mean_precision(weighted_precision(m, weights))[figure] for m in (first, second)]
    differences = values[0] - values[1]
    low, high = percentile_interval(differences[1:])
    interval = Interval(float(differences[0]), low, high, len(set(groups)), "groups")
    return Comparison(interval, _two_sided(differences[1:]), _verdict(low, high))


def _two_sided(differences: NDArray[np.float64]) -> float:
    known = differences[~np.isnan(differences)]
    below = (np.sum(known <= 0) + 1) / (len(known) + 1)
    above = (np.sum(known >= 0) + 1) / (len(known) + 1)
    return float(min(1.0, 2 * min(below, above)))


def _verdict(low: float, high: float) -> Verdict:
    if low > 0:
        return "first is better"
    return "second is better" if high < 0 else "not distinguishable"


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
