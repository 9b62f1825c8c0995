"""One thing done in several ways, over seeds that all of them have."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

from scipy import stats

from ...measure.seeds import holm
from ...report.numbers import number, percent, points
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts
from .spread import SEED_SPREAD

_WAYS = (
    word_column("method", "method", NAME),
    word_column("way", "way"),
    Column("n", "seeds"),
    Column("mean", "validation mAP50-95, mean", "%", percent),
    Column("sd", "standard deviation", "points", percent),
    Column("difference", "minus the first way, seed by seed", "points (Student, 95 %)", points),
    Column("p", "p", write=number),
    Column("corrected_p", "p, corrected (Holm)", write=number),
)


def readings_table(facts: Facts) -> Table:
    """What each reading of LIDD-Net's text comes to on validation."""
    lines = facts.rows("lidd-net-readings/trials.csv")
    return Table("readings", "Readings", _WAYS, ways_by_seed(lines, "way"))


def batch_norm_table(facts: Facts) -> Table:
    """What networks trained with either batch norm come to on validation."""
    of_torch = facts.rows("numerics/batch-norm-scores.csv")
    compared = {line["method"] for line in of_torch}
    processors = {line["processor"] for line in of_torch}
    runs = [
        line
        for line in facts.rows(SEED_SPREAD)
        if line["method"] in compared and line["processor"] in processors
    ]
    lines = [
        *({**line, "way": "exact"} for line in runs if not line["moved"]),
        *({**line, "way": "the library's"} for line in of_torch),
        *({**line, "way": "exact, first weights moved"} for line in runs if line["moved"]),
    ]
    return Table("batch_norms", "Batch norms", _WAYS, ways_by_seed(lines, "way"))


def ways_by_seed(lines: list[dict[str, Any]], key: str) -> list[Row]:
    """Rows of ``_WAYS``: each way of a method against its first one, over the seeds that both have.

    Args:
        lines: Runs, with ``method``, ``seed``, ``val_score`` and the way.
        key: Heading of the way.
    """
    scores: dict[tuple[str, str], dict[int, float]] = {}
    for line in lines:
        scores.setdefault((line["method"], line[key]), {})[line["seed"]] = line["val_score"]
    first: dict[str, dict[int, float]] = {}
    rows = []
    for (method, way), of_seeds in sorted(scores.items(), key=lambda item: item[0][0]):
        values: dict[str, Any] = {"method": method, "way": way, "n": len(of_seeds)}
        values |= {"mean": mean(of_seeds.values())}
        values |= {"sd": stdev(of_seeds.values())} if len(of_seeds) > 1 else {}
        base = first.setdefault(method, of_seeds)
        pairs = [(of_seeds[seed], base[seed]) for seed in of_seeds if seed in base]
        if base is not of_seeds and len(pairs) > 1:
            test = stats.ttest_rel([score for score, _ in pairs], [score for _, score in pairs])
            low, high = (float(end) for end in test.confidence_interval(0.95))
            values |= {"difference": (low + high) / 2, "difference_low": low}
            values |= {"difference_high": high, "p": float(test.pvalue)}
        rows.append(values)
    tested = [values for values in rows if "p" in values]
    for values, corrected in zip(tested, holm([values["p"] for values in tested]), strict=True):
        values["corrected_p"] = corrected
    return [Row(values) for values in rows]


TABLES = {
    "batch_norms": batch_norm_table,
    "readings": readings_table,
}
