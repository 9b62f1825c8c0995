"""What the time of a part may be, from how much it has varied: no tolerance is guessed.

Logarithms of ratios are taken as normal. Limits are those of one more measurement, by Student's quantile, and corrected
by Bonferroni's method for the number of parts: without a change, any part of all exceeds them with a chance of 1 %.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import t as student

LEVEL = 0.01
RECORD = Path(__file__).parents[1] / "results" / "reference" / "benchmarks" / "parts.json"

Limits = tuple[float, float]


def limits_of(ratios: Sequence[float], parts: int) -> Limits:
    """Least and largest ratio that a further measurement of an unchanged part may come to.

    Args:
        ratios: Measured ones, at least two.
        parts: Number of parts that are held together.
    """
    logs = [math.log(ratio) for ratio in ratios]
    quantile = student.ppf(1 - LEVEL / (2 * parts), len(logs) - 1)
    reach = quantile * statistics.stdev(logs) * math.sqrt(1 + 1 / len(logs))
    middle = statistics.fmean(logs)
    return math.exp(middle - reach), math.exp(middle + reach)


def read_limits(path: Path = RECORD) -> dict[str, Limits]:
    """Limits of each part, from a record of repeats."""
    repeats = json.loads(path.read_text())["repeats"]
    names = list(repeats[0]["ratios"])
    return {name: limits_of([r["ratios"][name] for r in repeats], len(names)) for name in names}


def offence(name: str, ratio: float, limits: Mapping[str, Limits]) -> str | None:
    """The row of a part that has changed; None where it may be as it was."""
    low, high = limits[name]
    if low <= ratio <= high:
        return None
    word = "slower" if ratio > high else "faster"
    return f"{name}: {word}: {ratio:.3g} times the fixed work; the record holds {low:.3g} to {high:.3g}"
