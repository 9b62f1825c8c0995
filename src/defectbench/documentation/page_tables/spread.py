"""How far sound runs of one method lie apart: over seeds, first weights and processors."""

from __future__ import annotations

from statistics import mean, median, stdev
from typing import Any

from scipy import stats

from ...base.tasks import TASKS
from ...report.numbers import percent, points
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts

FLOORS = "../../.ci/floors.csv"  # as seen from the folder of references
SEED_SPREAD = "demo-spread/spread.csv"
_SPREAD = (
    word_column("method", "method", NAME),
    word_column("score", "score"),
    Column("n", "runs"),
    Column("mean", "mean", "%", percent),
    Column("sd", "standard deviation", "points", percent),
    Column("own_sd", "that of its own runs", "points", percent),
    Column("floor", "floor", "%", percent),
)
_MOVED = (
    word_column("method", "method", NAME),
    Column("n", "seeds"),
    Column("sd", "standard deviation over seeds", "points", percent),
    Column("moved_sd", "the same, first weights moved", "points", percent),
    Column("change", "a seed's score changes by, median", "points", percent),
)
_MAKES = (
    word_column("method", "method", NAME),
    word_column("processor", "second processor"),
    Column("n", "seeds"),
    Column("mean", "validation score on the first, mean", "%", percent),
    Column("other", "on the second, mean", "%", percent),
    Column("difference", "second minus first, seed by seed", "points (Student, 95 %)", points),
    Column("sd", "standard deviation over seeds, first", "points", percent),
    Column("change", "a seed's score changes by, median", "points", percent),
    Column("largest", "largest", "points", percent),
)


def spread_table(facts: Facts) -> Table:
    """How far runs of one method lie apart, and the floor that follows."""
    lines = facts.rows(FLOORS)
    return Table(
        "spread",
        "Spread",
        _SPREAD,
        [Row(line | {"score": TASKS[line["task"]].validation_title}) for line in lines],
    )


def moved_table(facts: Facts) -> Table:
    """How far scores move with first weights that are moved by a part in a million, on one processor."""
    scores: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for line in facts.rows(SEED_SPREAD):
        of_method = scores.setdefault((line["method"], line["processor"]), {})
        of_method.setdefault(line["moved"], {})[line["seed"]] = line["val_score"]
    rows = []
    for (method, _), ways in scores.items():
        for moved_by in filter(None, ways):
            drawn, moved = ways[0], ways[moved_by]
            changes = [abs(moved[seed] - drawn[seed]) for seed in moved]
            spreads = {"sd": stdev(drawn.values()), "moved_sd": stdev(moved.values())}
            values = {"method": method, "n": len(moved), **spreads, "change": median(changes)}
            rows.append(Row(values))
    return Table("moved", "Moved first weights", _MOVED, rows)


def processors_table(facts: Facts) -> Table:
    """How far scores of the same seeds lie apart on two processors: a method's first one, and each other one."""
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for line in facts.rows(SEED_SPREAD):
        if not line["moved"]:
            of_method = scores.setdefault(line["method"], {})
            of_method.setdefault(line["processor"], {})[line["seed"]] = line["val_score"]
    rows = []
    for method, (first, *others) in ((name, tuple(of.items())) for name, of in scores.items()):
        for processor, there in others:
            seeds = sorted(set(first[1]) & set(there))
            here = [first[1][seed] for seed in seeds]
            moved = [there[seed] for seed in seeds]
            values: dict[str, Any] = {"method": method, "processor": processor, "n": len(seeds)}
            values |= {"mean": mean(here), "other": mean(moved), "sd": stdev(here)}
            low, high = stats.ttest_rel(moved, here).confidence_interval(0.95)
            values |= {"difference": (low + high) / 2}
            values |= {"difference_low": float(low), "difference_high": float(high)}
            changes = [abs(b - a) for a, b in zip(here, moved, strict=True)]
            rows.append(Row(values | {"change": median(changes), "largest": max(changes)}))
    return Table("processors", "Processors", _MAKES, rows)


TABLES = {
    "spread": spread_table,
    "moved": moved_table,
    "processors": processors_table,
}
