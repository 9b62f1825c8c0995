"""What a mean over training seeds varies by, where all seeds are scored on the same test groups.

A score, or a difference of two, is ``figure[s, g]`` of training seed ``s`` on test group ``g``: a mean, what the seed
does to all groups, what the group does to all seeds, and what is left for the two together. So the variance of the
mean over S seeds and G groups has three parts, and each is estimated once:

- the spread of the seeds' figures over S holds what seeds do, and what is left;
- the jackknife over groups of the seeds' *mean* holds what groups do, and what is left (a bootstrap would do, too);
- what is left is in both, so it is taken out once: the spread over seeds of the jackknife's own figures.

No seeds share anything but the groups, so that a group that is hard for all of them moves no figure of one seed away
from another's, and does not hide in the first part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

_HALVINGS = 50


@dataclass(frozen=True)
class VariancePart:
    """An estimated variance.

    Attributes:
        variance: [...], of the mean.
        freedom: Degrees of freedom of the estimate, one number or [...].
    """

    variance: Floats
    freedom: float | Floats


@dataclass(frozen=True)
class Spread:
    """The variance of a mean over seeds and groups, by its parts.

    Attributes:
        trainings: Variance from training: one part where both methods of a difference have the same seeds, one a
            method where they have others; none where the trained networks are given.
        groups: Variance from the choice of the test groups.
        shared: [...], variance that stands in ``trainings`` and in ``groups``.
    """

    trainings: tuple[VariancePart, ...]
    groups: VariancePart
    shared: Floats

    @property
    def parts(self) -> tuple[VariancePart, ...]:
        """All estimated variances that have degrees of freedom."""
        return tuple(part for part in (*self.trainings, self.groups) if np.min(part.freedom) > 0)

    def error(self) -> Floats:
        """Standard error [...] of the mean; never under that of training or that of groups alone."""
        trained = sum((part.variance for part in self.trainings), np.zeros_like(self.shared))
        groups = self.groups.variance
        return np.sqrt(np.maximum(trained + groups - self.shared, np.maximum(trained, groups)))

    def quantile(self, confidence: float) -> Floats:
        """Standard errors [...] from the mean to an end of its interval.

        The mean of two answers. Student's quantile at Satterthwaite's degrees of freedom covers too little where few
        seeds carry most of the noise: seeds that agree by chance make it trust the groups, of which there are many.
        The weighted mean of the parts' own quantiles covers too much where both parts are small and alike. Together
        they cover 93 to 97 % (``benchmarks/interval_coverage.py``).
        """
        if not self.parts:
            return np.full_like(self.shared, np.nan)
        shares, freedoms = self._shares()
        quantiles = special.stdtrit(freedoms, 0.5 + confidence / 2)
        weights = shares**3 * quantiles**2
        weighted = (weights * quantiles).sum(axis=-1) / weights.sum(axis=-1)
        return (weighted + special.stdtrit(self.freedom(), 0.5 + confidence / 2)) / 2

    def freedom(self) -> Floats:
        """Satterthwaite's degrees of freedom [...] of the error; at least one part has some."""
        shares, freedoms = self._shares()
        return 1 / (shares**2 / freedoms).sum(axis=-1)

    def _shares(self) -> tuple[Floats, Floats]:
        """What each part holds of their sum, and its degrees of freedom: [..., P]."""
        variances = np.stack([part.variance for part in self.parts])
        total = variances.sum(axis=0)
        shares = np.divide(variances, total, out=np.zeros_like(variances), where=total > 0)
        shares[0] = np.where(total > 0, shares[0], 1.0)
        freedoms = [np.broadcast_to(part.freedom, total.shape) for part in self.parts]
        return np.moveaxis(shares, 0, -1), np.stack(freedoms, axis=-1).astype(np.float64)

    def with_seeds(self, seeds: int) -> Spread:
        """What it would be with another number of seeds, at least two, of each method on the same groups.

        What groups do to all seeds stays; all else shrinks as seeds grow. Not for trained networks that are given.
        """
        trainings = tuple(
            VariancePart(part.variance * (part.freedom + 1) / seeds, seeds - 1)
            for part in self.trainings
        )
        now = sum(part.freedom + 1 for part in self.trainings) / len(self.trainings)
        shared = self.shared * now / seeds
        groups = VariancePart(self._groups_alone() + shared, self.groups.freedom)
        return Spread(trainings, groups, shared)

    def with_endless_seeds(self) -> Spread:
        """What would be left of it however many seeds there were: what groups do to all of them."""
        alone = VariancePart(self._groups_alone(), self.groups.freedom)
        return Spread((), alone, np.zeros_like(self.shared))

    def _groups_alone(self) -> Floats:
        return np.maximum(self.groups.variance - self.shared, 0.0)

    def reach(self, confidence: float) -> Floats:
        """Half the width [...] of the interval; NaN where nothing tells it."""
        return self.quantile(confidence) * self.error()

    def p_value(self, difference: float) -> float:
        """Least two-sided level at which a difference is told from zero; 1 where nothing tells it."""
        error = float(self.error())
        if not self.parts or difference == 0:
            return 1.0
        if error == 0:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            level = (low + high) / 2
            is_told = abs(difference) > float(self.quantile(1 - level)) * error
            low, high = (low, level) if is_told else (level, high)
        return high


def spread_of(values: ArrayLike, left_out: ArrayLike) -> Spread:
    """The variance of a mean over seeds.

    Args:
        values: [..., S], figure of each seed on all groups.
        left_out: [..., S, G], the same without each group in turn.

    Returns:
        Its parts; with one seed the network is given, and groups alone are left.
    """
    of_seed, without = np.asarray(values, np.float64), np.asarray(left_out, np.float64)
    seeds, groups = without.shape[-2:]
    centred = without - without.sum(axis=-1, keepdims=True) / max(groups, 1)
    mean = centred.mean(axis=-2, keepdims=True)
    jackknife = (groups - 1) / groups if groups else 0.0
    over_groups = VariancePart(jackknife * (mean**2).sum(axis=(-2, -1)), groups - 1)
    if seeds == 1:
        return Spread((), over_groups, np.zeros(of_seed.shape[:-1]))
    trained = VariancePart(of_seed.var(axis=-1, ddof=1) / seeds, seeds - 1)
    left = jackknife * ((centred - mean) ** 2).sum(axis=(-2, -1)) / (seeds * (seeds - 1))
    return Spread((trained,), over_groups, left)


def spread_apart(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> Spread:
    """The variance of a difference of two means over seeds that are not the same.

    Args:
        first: ``values`` [S] and ``left_out`` [S, G] of one method, as of ``spread_of``.
        second: Those of the other, over the same groups.
    """
    one, other = spread_of(*first), spread_of(*second)
    apart = first[1].mean(axis=0) - second[1].mean(axis=0)
    groups = spread_of(np.zeros(1), apart[None]).groups
    return Spread((*one.trainings, *other.trainings), groups, one.shared + other.shared)


def spread_of_ends(values: ArrayLike, lows: ArrayLike, highs: ArrayLike, groups: int) -> Spread:
    """The variance of a mean over seeds of which no more than each one's interval over groups is known.

    What groups do is taken to be the mean of the seeds' own variances over groups. That holds all that is left for
    seed and group together, too, so that the interval is somewhat too wide, and never too narrow.

    Args:
        values: [S], figure of each seed.
        lows: [S], lower end of each one's 95 % interval over groups.
        highs: [S], upper end.
        groups: Number of groups.
    """
    of_seed = np.asarray(values, np.float64)
    half = (np.asarray(highs, np.float64) - np.asarray(lows, np.float64)) / 2
    errors = half / special.stdtrit(groups - 1, 0.975) if groups > 1 else np.zeros_like(half)
    over_groups = VariancePart(np.asarray((errors**2).mean()), groups - 1)
    if len(of_seed) == 1:
        return Spread((), over_groups, np.zeros(()))
    trained = VariancePart(np.asarray(of_seed.var(ddof=1) / len(of_seed)), len(of_seed) - 1)
    return Spread((trained,), over_groups, np.zeros(()))


def spread_of_strangers(first: Spread, second: Spread) -> Spread:
    """The variance of a difference of two means as if they had been scored on different test parts.

    What a group does to both methods is not known to cancel, so that it is too large rather than too small.
    """
    groups = _joined([first.groups, second.groups])
    return Spread((*first.trainings, *second.trainings), groups, first.shared + second.shared)


def pooled_spread(spreads: Sequence[Spread]) -> Spread:
    """The variance of the plain mean of means that share neither seeds nor groups, such as those of several sets.

    What training does on all sets is one part, and what groups do is another: each with the degrees of freedom that
    Satterthwaite gives it, since many sets with two seeds each tell the noise of training as well as one set with many.

    Args:
        spreads: The variance of each mean; at least one.
    """
    trained = [part for spread in spreads for part in spread.trainings]
    share = 1 / len(spreads) ** 2
    trainings = (_joined(trained, share),) if trained else ()
    shared = share * np.sum([spread.shared for spread in spreads], axis=0)
    return Spread(trainings, _joined([spread.groups for spread in spreads], share), shared)


def _joined(parts: Sequence[VariancePart], share: float = 1.0) -> VariancePart:
    """The sum of independent variances, each times ``share``, with Satterthwaite's degrees of freedom."""
    told = [part for part in parts if np.min(part.freedom) > 0]
    if not told:
        return VariancePart(np.zeros_like(parts[0].variance), 0)
    total = np.sum([part.variance for part in told], axis=0)
    doubt = np.sum([part.variance**2 / part.freedom for part in told], axis=0)
    most = sum((np.asarray(part.freedom, np.float64) for part in told), np.zeros(()))
    safe = np.where(doubt > 0, doubt, 1.0)
    freedom = np.where(doubt > 0, total**2 / safe, most)
    return VariancePart(share * total, freedom)
