"""What fits into a time: how many methods, epochs and seeds, by measured seconds a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST_STEPS = 300  # updates of a training, below which a score tells little of a method
MOST_STEPS = 4000  # beyond which seeds are worth more than steps
MOST_SEEDS = 3
SIDE_BY_SIDE = 0.85  # what trainings that run at once keep of their speed
RACE_S = 20.0  # of a timing of all files, and the report


@dataclass(frozen=True)
class Timing:
    """Seconds that a method takes on this machine, with one thread.

    Attributes:
        method: Its name.
        step_s: Of a step.
        fixed_s: Of all around its steps: start, validation, export, measures.
    """

    method: str
    step_s: float
    fixed_s: float


@dataclass(frozen=True)
class TimePlan:
    """What is trained within a time.

    Attributes:
        methods: Those that fit, the cheapest first.
        epochs: Passes of each over the training part.
        seeds: Seeds of each.
        expected_s: What it should take, seconds.
        left_out: Seconds in all that would take in each of the others, by method.
        is_short: Whether the time is too short even for the least training of the cheapest.
    """

    methods: list[str]
    epochs: int
    seeds: list[int]
    expected_s: float
    left_out: dict[str, float] = field(default_factory=dict)
    is_short: bool = False


def plan_time(
    timings: Sequence[Timing], steps_per_epoch: int, seconds: float, cores: int
) -> TimePlan:
    """Take in as many methods as get the least training, the cheapest first; then more epochs, then more seeds.

    All methods get the same epochs and seeds, so that the table compares them.

    Args:
        timings: Of each method; at least one.
        steps_per_epoch: Steps of a pass over the training part.
        seconds: The time.
        cores: Trainings that run side by side.

    Example:
        >>> plan = plan_time([Timing("a", 0.1, 10), Timing("b", 9.0, 10)], 20, 600, 2)
        >>> plan.methods, plan.seeds, list(plan.left_out)
        (['a'], [0, 1, 2], ['b'])
    """
    ranked = sorted(timings, key=lambda timing: timing.step_s)
    least = math.ceil(LEAST_STEPS / steps_per_epoch)
    most = max(least, math.ceil(MOST_STEPS / steps_per_epoch))

    def needed(count: int, epochs: int, seeds: int) -> float:
        return _seconds(ranked[:count], epochs * steps_per_epoch, seeds, cores)

    fitting = [n for n in range(1, len(ranked) + 1) if needed(n, least, 1) <= seconds]
    count = max(fitting, default=1)
    first = least if fitting else 1
    epochs = max(
        (e for e in range(first, most + 1) if needed(count, e, 1) <= seconds), default=first
    )
    seeds = 1
    while epochs == most and seeds < MOST_SEEDS and needed(count, epochs, seeds + 1) <= seconds:
        seeds += 1
    left_out = {
        ranked[n - 1].method: needed(n, least, 1) for n in range(count + 1, len(ranked) + 1)
    }
    return TimePlan(
        [timing.method for timing in ranked[:count]],
        epochs,
        list(range(seeds)),
        needed(count, epochs, seeds),
        left_out,
        not fitting,
    )


def _seconds(timings: Sequence[Timing], steps: int, seeds: int, cores: int) -> float:
    """Wall time of trainings on some cores: shared out evenly, and not below the longest one."""
    each = [timing.step_s * steps + timing.fixed_s for timing in timings]
    at_once = min(cores, len(each) * seeds)
    speed = at_once * SIDE_BY_SIDE if at_once > 1 else 1.0
    alone = max(each) / (SIDE_BY_SIDE if at_once > 1 else 1.0)
    return max(sum(each) * seeds / speed, alone) + RACE_S
