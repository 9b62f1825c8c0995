"""What the engine's trainings and the jobs of the default study cost, and the engine beside the program."""

from __future__ import annotations

from ...report.numbers import number, points
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts

_ARMS = {
    "engine": "engine, LIDD-Net",
    "loader": "plain loader with OpenCV, LIDD-Net",
    "yolo": "`yolo train`, YOLOv8n",
}
_COSTS = (
    word_column("job", "job", NAME),
    word_column("method", "method"),
    Column("before", "before", "core seconds", number),
    Column("after", "after", "core seconds", number),
    Column("jobs", "jobs, after"),
    Column("memory_mib", "memory, after", "MiB", number),
)
_LEAST_COST_S = 4.0  # of jobs that get a line of their own


def training_table(facts: Facts) -> Table:
    """How fast the engine trains beside others."""
    columns = (
        word_column("arm", "arm", NAME),
        Column("images_per_s", "images/s", write=number),
        Column("ratio", "engine's ratio", write=number),
    )
    record = "benchmarks/training.json"
    rows = [
        Row(
            {
                "arm": words,
                "images_per_s": facts.value(record, f"{arm}_images_per_s"),
                "ratio": None if arm == "engine" else facts.value(record, f"engine_over_{arm}"),
            }
        )
        for arm, words in _ARMS.items()
    ]
    return Table("training", "Training", columns, rows)


def parity_table(facts: Facts) -> Table:
    """The engine minus the program on one network."""
    folder = "parity/demo-steel/clean/yolov8n"
    columns = (
        word_column("figure", "figure", NAME),
        Column("difference", "engine minus program", "points (Welch, 95 %)", points),
    )
    rows = []
    for figure, heading in (("map50", "mAP50"), ("map50_95", "mAP50-95")):
        difference, low, high = facts.welch(folder, f"{folder}_ultralytics", figure)
        values = {"difference": difference, "difference_low": low, "difference_high": high}
        rows.append(Row({"figure": heading, **values}))
    return Table("parity", "Parity", columns, rows)


def costs_table(facts: Facts) -> Table:
    """What the jobs of the default study cost, before and after it was shortened."""
    before = {(r["job"], r["method"]): r for r in facts.rows("demo-costs/before.csv")}
    after = {(r["job"], r["method"]): r for r in facts.rows("demo-costs/after.csv")}
    rows, small = [], {"job": "others", "method": None, "before": 0.0, "after": 0.0, "jobs": 0}
    sums = [("snakemake", None), ("in all", None)]
    jobs = [key for key in dict.fromkeys([*after, *before]) if key not in sums]
    for key in [*jobs, *sums]:
        costs = {
            "before": before.get(key, {}).get("cpu_s"),
            "after": after.get(key, {}).get("cpu_s"),
        }
        more = {name: after.get(key, {}).get(name) for name in ("jobs", "memory_mib")}
        if key not in sums and max(cost or 0.0 for cost in costs.values()) < _LEAST_COST_S:
            for name in ("before", "after"):
                small[name] += costs[name] or 0.0
            small["jobs"] += more["jobs"] or 0
        else:
            rows.append(Row({"job": key[0], "method": key[1], **costs, **more}))
    return Table("costs", "Costs", _COSTS, [*rows[:-2], Row(small), *rows[-2:]])


TABLES = {
    "costs": costs_table,
    "training": training_table,
    "parity": parity_table,
}
