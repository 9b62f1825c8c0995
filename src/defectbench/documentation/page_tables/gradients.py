"""How far gradients of fresh networks lie from those in float64."""

from __future__ import annotations

from statistics import median
from typing import Any

from ...report.numbers import number
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts


def _small_percent(share: float) -> str:
    """A share in percent that may be a small part of one."""
    return number(100 * share)


_GRADIENTS = (
    word_column("method", "method", NAME),
    word_column("way", "memory and batch norm"),
    Column("n", "networks"),
    Column("error", "error of the gradient, median", "% of its norm", _small_percent),
    Column("worst", "largest", "% of its norm", _small_percent),
    Column("ms", "loss and gradient, median", "ms", number),
)


def gradients_table(facts: Facts) -> Table:
    """How far gradients of fresh networks lie from those in float64, by layout and batch norm."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in facts.rows("numerics/gradients.csv"):
        groups.setdefault((line["method"], line["way"]), []).append(line)
    rows = []
    for (method, way), lines in groups.items():
        errors = [line["error"] for line in lines]
        values = {"method": method, "way": way, "n": len(lines), "error": median(errors)}
        rows.append(Row(values | {"worst": max(errors), "ms": median(r["ms"] for r in lines)}))
    return Table("gradients", "Gradients", _GRADIENTS, rows)


TABLES = {
    "gradients": gradients_table,
}
