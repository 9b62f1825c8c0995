"""A difference of two methods pooled over several sets: their mean, how sure it is, and how many seeds would settle it.

Each set counts once, whatever its size: the effect is the plain mean of the sets' differences. Sets share neither seeds
nor groups, so that their variances add. What is said is of *these* sets; what another set would do is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..base.errors import MeasurementError
from .seeds import GROUPS, SEEDS_AND_GROUPS, Difference, Runs, spread_between
from .spread import Spread, pooled_spread
from .statistics import CONFIDENCE, Interval

POWER = 0.8
LEVEL = 1 - CONFIDENCE
FEWEST_SEEDS = (
    3  # two tell the noise of training too poorly for the power that is worked out to hold
)
MOST_SEEDS = 1000
_SURE = 30.0  # standard errors beyond which scipy's tail is no number, and power is 1

GROUPS_LIMIT = "no number: groups limit it"
ONE_SEED = "not known: one seed"
TOO_CLOSE = f"more than {MOST_SEEDS:,}"


@dataclass(frozen=True)
class SetDifference:
    """One method minus another on one set.

    Attributes:
        estimate: The difference of their means over seeds.
        spread: What it varies by; without parts of training where one of both has a single seed.
        n_seeds: Seeds of the one that has fewer.
        n_groups: Groups of the test part.
    """

    estimate: float
    spread: Spread
    n_seeds: int
    n_groups: int


@dataclass(frozen=True)
class Settling:
    """How many seeds would settle a comparison.

    Attributes:
        seeds: Seeds of each method, on each set; None where no number is known to.
        limit: Why there is no number; empty where there is one.
    """

    seeds: int | None
    limit: str = ""


def set_difference(first: Runs, second: Runs) -> SetDifference:
    """One method minus another on one test part; arguments as of ``difference_of``."""
    return SetDifference(
        estimate=float(first.values.mean() - second.values.mean()),
        spread=spread_between(first, second),
        n_seeds=min(len(first.seeds), len(second.seeds)),
        n_groups=first.left_out.shape[1],
    )


def pooled_difference(differences: Sequence[SetDifference]) -> Difference:
    """The mean of the differences on several sets.

    Args:
        differences: One a set.

    Returns:
        The mean with its interval. It is over seeds and groups where every set has several seeds of both methods;
        else it is over groups, and the networks of sets with one seed are given.

    Raises:
        MeasurementError: There is no set.
    """
    if not differences:
        raise MeasurementError(
            "pooled comparison", "sets", [], "name sets that both methods stand on"
        )
    estimate = float(np.mean([one.estimate for one in differences]))
    spread = pooled_spread([one.spread for one in differences])
    reach = float(spread.reach(CONFIDENCE))
    unit = SEEDS_AND_GROUPS if all(one.n_seeds > 1 for one in differences) else GROUPS
    interval = Interval(estimate, estimate - reach, estimate + reach, len(differences), unit)
    return Difference(interval, spread.p_value(estimate))


def power_of(difference: float, spread: Spread, level: float = LEVEL) -> float:
    """Chance that a difference is told from zero, in its direction, if it and its variances are as given.

    Args:
        difference: The true difference.
        spread: Its true variance, by parts.
        level: Two-sided level of the test.
    """
    error = float(spread.error())
    if not spread.parts or difference == 0:
        return 0.0
    if error == 0 or abs(difference) / error > _SURE + float(spread.quantile(1 - level)):
        return 1.0
    shift = abs(difference) / error
    return float(stats.nct.sf(spread.quantile(1 - level), float(spread.freedom()), shift))


def seeds_to_settle(
    differences: Sequence[SetDifference], level: float = LEVEL, power: float = POWER
) -> Settling:
    """Fewest seeds, from three, of each method on each set with which their mean difference would be told from zero.

    Taken for true: the difference as measured, the variances of seeds and of groups as measured, and the same test
    parts, whose groups stay as many as they are.

    Args:
        differences: One a set, or that of one set alone.
        level: Two-sided level of the test; a corrected one where several pairs are a family.
        power: Chance of telling it.
    """
    if any(one.n_seeds == 1 for one in differences):
        return Settling(None, ONE_SEED)
    estimate = float(np.mean([one.estimate for one in differences]))
    spreads = [one.spread for one in differences]
    endless = pooled_spread([spread.with_endless_seeds() for spread in spreads])
    if estimate == 0 or (endless.parts and power_of(estimate, endless, level) < power):
        return Settling(None, GROUPS_LIMIT if estimate else TOO_CLOSE)

    def is_enough(seeds: int) -> bool:
        spread = pooled_spread([spread.with_seeds(seeds) for spread in spreads])
        return power_of(estimate, spread, level) >= power

    high = FEWEST_SEEDS
    while not is_enough(high):
        if high > MOST_SEEDS:
            return Settling(None, TOO_CLOSE)
        high *= 2
    low = max(high // 2, FEWEST_SEEDS - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return Settling(high) if high <= MOST_SEEDS else Settling(None, TOO_CLOSE)
