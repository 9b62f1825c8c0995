"""How far the scores of trainings without a change differ: by the seed, and by the rounding of another processor.

What is pooled is the standard deviation *relative* to the mean of a method, over the methods of a task: few seeds tell
the deviation of one method badly, and low scores spread over fewer points than high ones. A method whose own runs
spread more has its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

LEAST_FREEDOM = 2


@dataclass(frozen=True)
class TrainingNoise:
    """The measured noise of training of a task.

    Attributes:
        source: Where it was measured, in words.
        relative: Pooled standard deviation of one training's score, as a share of its method's mean.
        freedom: Degrees of freedom of that: runs minus methods.
        runs: Number of trainings.
        by_method: The same of those methods alone that spread more.
    """

    source: str
    relative: float
    freedom: int
    runs: int
    by_method: Mapping[str, float]

    @property
    def told(self) -> str:
        """How wide it is and where it was measured, in words."""
        width = (
            f"a training differs by {100 * self.relative:.1f} % of its score (standard deviation)"
        )
        return f"{width}, as {self.runs} trainings show: {self.source}"

    def deviation(self, method: str, mean: float) -> float:
        """Standard deviation of one training's score of a method that scores ``mean``, 0..1."""
        return self.by_method.get(method, self.relative) * mean

    def reach(self, method: str, mean: float, before: int, after: int, level: float) -> float:
        """How far apart the means of two sets of trainings lie by chance, at most.

        Student's distribution, two-sided; it takes scores of a method as normal, and the relative deviation as the same
        for all methods of the task whose own is no larger.

        Args:
            method: Name of the method.
            mean: Its score, 0..1.
            before: Number of trainings of the first mean.
            after: Number of trainings of the second one.
            level: Chance that two means without a change lie farther apart.
        """
        quantile = float(stats.t.ppf(1 - level / 2, self.freedom))
        return quantile * self.deviation(method, mean) * math.sqrt(1 / before + 1 / after)


def pooled_noise(scores: Mapping[str, Sequence[float]], source: str) -> TrainingNoise | None:
    """The noise that trainings show.

    Args:
        scores: By method the scores of its trainings, which differ by seed alone; methods with one training, or that
            score 0, tell nothing.
        source: Where they were measured, in words.

    Returns:
        None with under two degrees of freedom, by which nothing can be told.

    Example:
        >>> pooled_noise({"a": [0.4, 0.5, 0.6], "b": [0.2]}, "three seeds").freedom
        2
    """
    told = {
        name: list(values) for name, values in scores.items() if len(values) > 1 and sum(values)
    }
    freedom = sum(len(values) - 1 for values in told.values())
    if freedom < LEAST_FREEDOM:
        return None
    pooled = _relative(list(told.values()))
    own = {name: _relative([values]) for name, values in told.items()}
    wider = {name: value for name, value in own.items() if value > pooled}
    return TrainingNoise(source, pooled, freedom, sum(map(len, told.values())), wider)


def _relative(groups: Sequence[Sequence[float]]) -> float:
    """Standard deviation within groups, each relative to its own mean."""
    means = [sum(values) / len(values) for values in groups]
    squares = sum((v / m - 1) ** 2 for vs, m in zip(groups, means, strict=True) for v in vs)
    return math.sqrt(squares / sum(len(values) - 1 for values in groups))
