"""Methods compared over all data sets of a study, and their mean ranks.

A set counts under one protocol, the first in the order of tables under which no test image shows surface seen in
training. Leaked protocols are never pooled; two protocols of one set share its images, so that they are no two sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from ...measure.pooled import LEVEL, SetDifference, pooled_difference, seeds_to_settle
from ...measure.seeds import holm
from .cells import Entry, Key, key_of
from .comparison import UNKNOWN, ByFigure, difference_on_a_set

LEAST_SETS = 2
LEAST_METHODS = 3  # of a figure of ranks
LEAST_GROUPS_OF_A_SET = 2

Place = tuple[str, str]  # dataset, protocol


@dataclass(frozen=True)
class PooledPair:
    """Two methods beside each other over all data sets that both stand on, in one figure.

    Attributes:
        figure: ``map50`` or ``map50_95``; of classifiers ``accuracy`` or ``balanced_accuracy``.
        first: The method that scored higher in the mean of the sets.
        second: The other one.
        difference: First minus second, mean over the sets.
        low: Lower end of its 95 % interval, uncorrected.
        high: Upper end.
        n_sets: Number of sets.
        n_ahead: Sets on which the first one scored higher.
        n_seeds: Fewest seeds of either method on any set.
        n_groups: Groups of all test parts together.
        sets: Names of the sets with their protocols.
        given: Sets on which one of both has a single seed, so that their trained networks are given; may be empty.
        p_value: Two-sided, by Student's distribution.
        p_corrected: The same, corrected by Holm's procedure over all pairs in this figure.
        verdict: ``<first> is better``, if the interval lies above 0 and ``p_corrected`` below 0.05, or ``not
            distinguishable``.
        seeds_needed: As of a ``Pair``: seeds of each method on each set.
        seeds_limit: As of a ``Pair``.
    """

    figure: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    n_sets: int
    n_ahead: int
    n_seeds: int
    n_groups: int
    sets: str
    given: str
    p_value: float
    p_corrected: float
    verdict: str
    seeds_needed: int | None = None
    seeds_limit: str | None = None


@dataclass(frozen=True)
class MeanRank:
    """A method's place among those that stand on all sets.

    Attributes:
        method: Name of the method.
        mean: Mean over the sets of its rank; 1 is the best score, equal scores share a rank.
        ranks: Its rank on each set.
    """

    method: str
    mean: float
    ranks: tuple[float, ...]


def honest_entries(entries: Iterable[Entry]) -> dict[Place, list[Entry]]:
    """Methods by data set under its first protocol that shows no test image in training; controls are left out."""
    by_place: dict[Place, list[Entry]] = {}
    taken: dict[str, str] = {}
    for entry in entries:
        dataset, protocol, _ = key_of(entry)
        groups = entry.first.accuracy["figures"]["n_groups"]
        if entry.leak_share > 0 or groups < LEAST_GROUPS_OF_A_SET or entry.first.is_control:
            continue
        if taken.setdefault(dataset, protocol) == protocol:
            by_place.setdefault((dataset, protocol), []).append(entry)
    return by_place


def compare_over_sets(
    entries: Sequence[Entry], figures: Sequence[str], runs: Mapping[Key, ByFigure | None]
) -> list[PooledPair]:
    """Compare all methods that stand on two honest sets or more, pair by pair.

    Args:
        entries: Rows of one task, in the order of tables.
        figures: What they are compared in.
        runs: Scores of all seeds on resamples of each test part.

    Returns:
        Pairs by figure and falling difference; nothing where there are fewer than two honest sets.
    """
    places = honest_entries(entries)
    if len(places) < LEAST_SETS:
        return []
    pairs = []
    for figure in figures:
        made = [_pooled(shared, figure, runs) for shared in _pairs_on_sets(places)]
        pairs += _decided(made, _titles(entries))
    return pairs


def _titles(entries: Iterable[Entry]) -> dict[str, str]:
    return {entry.first.method: entry.title for entry in entries}


def _pairs_on_sets(places: Mapping[Place, Sequence[Entry]]) -> Iterator[list[tuple[Entry, Entry]]]:
    """Of each pair of methods that share enough sets, both entries on each of them."""
    by_method = {
        place: {entry.first.method: entry for entry in here} for place, here in places.items()
    }
    names = dict.fromkeys(name for here in by_method.values() for name in here)
    for first, second in combinations(names, 2):
        shared = [
            (here[first], here[second])
            for here in by_method.values()
            if first in here and second in here
        ]
        if len(shared) >= LEAST_SETS:
            yield shared


def _pooled(
    shared: Sequence[tuple[Entry, Entry]], figure: str, runs: Mapping[Key, ByFigure | None]
) -> tuple[PooledPair, list[SetDifference]]:
    """One pair, the higher score first, its verdict open; with the differences that it was made of."""

    def on_each_set(pairs: Sequence[tuple[Entry, Entry]]) -> list[SetDifference]:
        return [
            difference_on_a_set(a, b, (runs.get(key_of(a)), runs.get(key_of(b))), figure)
            for a, b in pairs
        ]

    differences = on_each_set(shared)
    if np.mean([one.estimate for one in differences]) < 0:
        shared = [(b, a) for a, b in shared]
        differences = on_each_set(shared)
    made = pooled_difference(differences)
    places = [", ".join(key_of(first)[:2]) for first, _ in shared]
    given = [place for place, one in zip(places, differences, strict=True) if one.n_seeds == 1]
    pair = PooledPair(
        figure=figure,
        first=shared[0][0].first.method,
        second=shared[0][1].first.method,
        difference=made.interval.estimate,
        low=made.interval.low,
        high=made.interval.high,
        n_sets=len(shared),
        n_ahead=sum(one.estimate > 0 for one in differences),
        n_seeds=min(one.n_seeds for one in differences),
        n_groups=sum(one.n_groups for one in differences),
        sets="; ".join(places),
        given="; ".join(given),
        p_value=made.p_value,
        p_corrected=made.p_value,
        verdict=UNKNOWN,
    )
    return pair, differences


def _decided(
    made: Sequence[tuple[PooledPair, Sequence[SetDifference]]], titles: Mapping[str, str]
) -> list[PooledPair]:
    """Give each pair of one figure its verdict, or the seeds that it would take; all of them count as one family."""
    corrected = holm([pair.p_value for pair, _ in made])
    decided = []
    for (pair, differences), p_corrected in zip(made, corrected, strict=True):
        if pair.low > 0 and p_corrected < LEVEL:
            verdict = f"{titles[pair.first]} is better"
            decided.append(replace(pair, p_corrected=p_corrected, verdict=verdict))
            continue
        settled = seeds_to_settle(differences, LEVEL / len(made))
        needs = {"seeds_needed": settled.seeds, "seeds_limit": settled.limit}
        decided.append(replace(pair, p_corrected=p_corrected, **needs))
    return sorted(decided, key=lambda pair: -pair.difference)


def mean_ranks(entries: Sequence[Entry], figure: str) -> list[MeanRank]:
    """Mean ranks of the methods that stand on all honest sets, best first.

    Args:
        entries: Rows of one task.
        figure: What they are ranked by: the mean over seeds.

    Returns:
        Nothing where there are fewer than two sets, or fewer than three such methods.
    """
    places = honest_entries(entries)
    on_all = [
        name
        for name in dict.fromkeys(e.first.method for here in places.values() for e in here)
        if all(name in {e.first.method for e in here} for here in places.values())
    ]
    if len(places) < LEAST_SETS or len(on_all) < LEAST_METHODS:
        return []
    ranks = []
    for here in places.values():
        by_method = {entry.first.method: entry for entry in here}
        scores = [_score(by_method[name], figure) for name in on_all]
        ranks.append(stats.rankdata([-score for score in scores]))
    made = [
        MeanRank(name, float(np.mean(own)), tuple(map(float, own)))
        for name, own in zip(on_all, np.transpose(ranks), strict=True)
    ]
    return sorted(made, key=lambda rank: rank.mean)


def _score(entry: Entry, figure: str) -> float:
    return float(np.mean([cell.accuracy["figures"][figure] for cell in entry.cells]))


def joined_groups(names: Sequence[str], is_told: Callable[[str, str], bool]) -> list[list[str]]:
    """Largest groups of methods of which no two are told apart; each has two members or more.

    Args:
        names: Methods, in the order of the figure.
        is_told: Whether two of them are told apart.

    Example:
        >>> told = {frozenset("ac")}
        >>> joined_groups("abc", lambda x, y: frozenset([x, y]) in told)
        [['a', 'b'], ['b', 'c']]
    """
    groups = []

    def grow(members: list[str], candidates: list[str], done: list[str]) -> None:
        if not candidates and not done:
            groups.append(sorted(members, key=names.index))
        for name in list(candidates):
            beside = [[m for m in some if not is_told(name, m)] for some in (candidates, done)]
            grow([*members, name], [m for m in beside[0] if m != name], beside[1])
            candidates.remove(name)
            done.append(name)

    grow([], list(names), [])
    held = [group for group in groups if len(group) > 1]
    return sorted(held, key=lambda group: [names.index(name) for name in group])
