"""Floors of the gate: how little a run of a method may score before something is wrong.

Two runs of one method differ: by the seed, and by the processor, whose rounding makes another network of the same
seed. ``benchmarks/seed_spread.py`` measures that spread. A floor is the mean over the measured runs minus four
standard deviations; twice the class prior is asked of every method in any case.

Few seeds tell a standard deviation badly, so each method's is the larger of its own and of the pooled one of its task.
What is pooled is the deviation relative to the mean: low scores spread over fewer points than high ones.

Cells that are made of others, or by a program, have rows of their own (``benchmarks/cell_spread.py``) and the same
rule. Their pooled deviation is that of all runs of the task; they leave the floors of the methods as they are.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t

DEVIATIONS = 4.0
SPREAD = Path("results/reference/demo-spread/spread.csv")
CELLS = SPREAD.with_name("cells.csv")
FLOORS = Path(".ci/floors.csv")
FIELDS = ("method", "task", "n", "mean", "sd", "own_sd", "floor")


@dataclass(frozen=True)
class Floor:
    """The least validation score of a method.

    Attributes:
        method: Name of the method.
        task: What it solves; it says which score this is.
        n: Measured runs.
        mean: Their mean score, 0..1.
        sd: Standard deviation that the floor is made with.
        own_sd: Standard deviation of these runs alone.
        floor: ``mean`` minus four ``sd``, at least 0.
    """

    method: str
    task: str
    n: int
    mean: float
    sd: float
    own_sd: float
    floor: float


def unmeasured(method: str, task: str) -> Floor:
    """The floor of a method whose spread nobody has measured: what is asked of every method is asked of it, no more."""
    return Floor(method, task, 0, 0.0, 0.0, 0.0, 0.0)


def floors_of(
    runs: Iterable[Mapping[str, str]], beside: Iterable[Mapping[str, str]] = ()
) -> list[Floor]:
    """Floors of all methods.

    Args:
        runs: Rows of ``method``, ``task``, ``recipe_sha256`` and ``val_score``; two or more runs of each method.
        beside: Runs of others, which count for the pooled deviation and have no floor here.

    Raises:
        ValueError: A method has a single run, or runs by two recipes.
    """
    scores: dict[tuple[str, str], list[float]] = {}
    recipes: dict[str, str] = {}
    for run in runs:
        scores.setdefault((run["task"], run["method"]), []).append(float(run["val_score"]))
        if recipes.setdefault(run["method"], run["recipe_sha256"]) != run["recipe_sha256"]:
            raise ValueError(f"runs of {run['method']} are by two recipes; keep those of one")
    lone = sorted(method for (_, method), values in scores.items() if len(values) < 2)
    if lone:
        raise ValueError(f"one run says nothing of spread: {', '.join(lone)}")
    others: dict[tuple[str, str], list[float]] = {}
    for run in beside:
        others.setdefault((run["task"], run["method"]), []).append(float(run["val_score"]))
    pooled = {
        task: _relative([v for (of, _), v in (*scores.items(), *others.items()) if of == task])
        for task, _ in scores
    }
    return [_floor(*key, values, pooled[key[0]]) for key, values in sorted(scores.items())]


def _floor(task: str, method: str, values: list[float], pooled: float) -> Floor:
    mean = sum(values) / len(values)
    own = _relative([values]) * mean
    sd = max(own, pooled * mean)
    least = max(mean - DEVIATIONS * sd, 0.0)
    return Floor(method, task, len(values), *(round(v, 4) for v in (mean, sd, own, least)))


def _relative(groups: list[list[float]]) -> float:
    """Standard deviation within groups, each relative to its own mean, which is above 0."""
    means = [sum(values) / len(values) for values in groups]
    squares = sum((v / m - 1) ** 2 for vs, m in zip(groups, means, strict=True) for v in vs)
    return math.sqrt(squares / sum(len(values) - 1 for values in groups))


def made_floors(spread: Path = SPREAD, cells: Path = CELLS) -> tuple[list[Floor], list[Floor]]:
    """Floors of the methods, and of the cells that are made of others or by a program."""
    methods, others = read_spread(spread), read_spread(cells)
    return floors_of(methods), floors_of(others, beside=methods)


def false_alarm(floors: list[Floor], beside: Iterable[Floor] = ()) -> float:
    """Chance that a sound run of all methods falls below at least one floor.

    Assumes that scores of a method are normal, that runs to come are drawn as the measured ones were, and that the
    relative deviation is the same for all methods of a task: the score of a new run then lies below its floor with a
    tail of Student's t, with as many degrees of freedom as the pooled deviation has. A floor of 0 is never missed.
    Methods are taken as independent; the sum bounds it if they are not.

    Args:
        floors: The floors.
        beside: Floors of others whose runs count for the pooled deviation.
    """
    pooled = [*floors, *beside]
    freedom = {
        task: sum(f.n - 1 for f in pooled if f.task == task) for task in {f.task for f in floors}
    }
    asked = [floor for floor in floors if floor.floor > 0]
    tails = [t.sf(DEVIATIONS / math.sqrt(1 + 1 / f.n), freedom[f.task]) for f in asked]
    return 1 - math.prod(1 - float(tail) for tail in tails)


def read_spread(path: Path = SPREAD) -> list[dict[str, str]]:
    """Rows of the measured runs."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def write_floors(floors: list[Floor], path: Path = FLOORS) -> None:
    """Write the floors as CSV."""
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows([getattr(floor, field) for field in FIELDS] for floor in floors)


def read_floors(path: Path = FLOORS) -> dict[str, Floor]:
    """The floors by method."""
    with path.open(newline="") as handle:
        return {
            row["method"]: Floor(
                row["method"],
                row["task"],
                int(row["n"]),
                *(float(row[field]) for field in FIELDS[3:]),
            )
            for row in csv.DictReader(handle)
        }
