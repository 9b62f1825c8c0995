"""Trainings by which budgets and recipes were chosen."""

from __future__ import annotations

from typing import Any

from ...report.numbers import number, percent, points
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts

OWN_RECIPE = "own"  # name of that way in benchmarks/recipe_ways.yaml
_TRIALS = (
    word_column("method", "method", NAME),
    word_column("tag", "trial"),
    word_column("set", "images"),
    Column("val_images", "of them in validation"),
    Column("seed", "seed"),
    Column("size_px", "size", "px"),
    Column("epochs", "epochs"),
    Column("batch", "batch"),
    Column("val_map50_95", "validation mAP50-95", "%", percent),
    Column("fresh_map50_95", "mAP50-95 on further images", "%", percent),
    Column("cpu_s", "processor time", "s", number),
)
_RECIPES = (
    word_column("method", "method", NAME),
    word_column("way", "way"),
    Column("val_score", "validation mAP50-95", "%", percent),
    Column("val_map50", "validation mAP50", "%", percent),
    Column("difference", "mAP50-95 minus that of its own recipe", "points", points),
    word_column("taken", "taken"),
    Column("cpu_s", "processor time", "s", number),
)


def trials_table(facts: Facts) -> Table:
    """The trainings by which budgets were chosen, by method."""
    lines = facts.rows("demo-budgets/trials.csv")
    rows = [Row(line) for line in sorted(lines, key=lambda line: line["method"])]
    return Table("trials", "Trials", _TRIALS, rows)


def recipes_table(facts: Facts) -> Table:
    """What each way of a recipe for short runs comes to on validation, and which one the procedure takes."""
    by_method: dict[str, list[dict[str, Any]]] = {}
    for line in facts.rows("recipes/trials.csv"):
        by_method.setdefault(line["method"], []).append(line)
    rows = []
    for _, lines in sorted(by_method.items()):
        own = next(line["val_score"] for line in lines if line["way"] == OWN_RECIPE)
        best = max(lines, key=lambda line: line["val_score"])
        for line in lines:
            values = line | {"taken": "taken" if line is best else ""}
            if line["way"] != OWN_RECIPE:
                values["difference"] = line["val_score"] - own
            rows.append(Row(values))
    return Table("recipes", "Recipes for short runs", _RECIPES, rows)


TABLES = {
    "trials": trials_table,
    "recipes": recipes_table,
}
