"""Tables of pages that are no part of a report: controls by protocol, and studies of the suite's own method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import mean, median, stdev
from typing import Any

from scipy import stats

from ..base.tasks import TASKS
from ..measure.seeds import holm
from ..report.numbers import number, percent, points
from ..report.records.cells import CONTROL_TITLES
from ..report.table import NAME, Column, Row, Table, word_column
from .facts import Facts
from .figure import PROTOCOLS
from .reference import comparisons


def _small_percent(share: float) -> str:
    """A share in percent that may be a small part of one."""
    return number(100 * share)


FLOORS = "../../.ci/floors.csv"  # as seen from the folder of references
SEED_SPREAD = "demo-spread/spread.csv"
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
_SPREAD = (
    word_column("method", "method", NAME),
    word_column("score", "score"),
    Column("n", "runs"),
    Column("mean", "mean", "%", percent),
    Column("sd", "standard deviation", "points", percent),
    Column("own_sd", "that of its own runs", "points", percent),
    Column("floor", "floor", "%", percent),
)
_RACE = {
    "median_change_of_ratio_under_load": "median change of the ratio to the reference model",
    "largest_change_of_ratio_under_load": "largest change of it",
    "median_change_of_wall_ratio_under_load": "median change of the ratio by the wall's clock",
    "median_change_of_milliseconds_under_load": "median change of milliseconds",
    "valid_share_under_load": "rows that are valid under load",
    "valid_share_without_load": "rows that are valid without it",
    "median_change_of_ratio_between_races_without_load": "median difference of the ratio between two races without it",
}
_REPEATED = (
    word_column("file", "file and engine", NAME),
    Column("ratio", "ratio to the reference model, median", write=number),
    Column("spread", "its spread", "%", percent),
    Column("sd", "its standard deviation", "%", percent),
    Column("spread_of_milliseconds", "spread of milliseconds", "%", percent),
    Column("valid", "valid races"),
)
_COSTS = (
    word_column("job", "job", NAME),
    word_column("method", "method"),
    Column("before", "before", "core seconds", number),
    Column("after", "after", "core seconds", number),
    Column("jobs", "jobs, after"),
    Column("memory_mib", "memory, after", "MiB", number),
)
_LEAST_COST_S = 4.0  # of jobs that get a line of their own
_GRADIENTS = (
    word_column("method", "method", NAME),
    word_column("way", "memory and batch norm"),
    Column("n", "networks"),
    Column("error", "error of the gradient, median", "% of its norm", _small_percent),
    Column("worst", "largest", "% of its norm", _small_percent),
    Column("ms", "loss and gradient, median", "ms", number),
)
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
_RECIPES = (
    word_column("method", "method", NAME),
    word_column("way", "way"),
    Column("val_score", "validation mAP50-95", "%", percent),
    Column("val_map50", "validation mAP50", "%", percent),
    Column("difference", "mAP50-95 minus that of its own recipe", "points", points),
    word_column("taken", "taken"),
    Column("cpu_s", "processor time", "s", number),
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
_ARMS = {
    "engine": "engine, LIDD-Net",
    "loader": "plain loader with OpenCV, LIDD-Net",
    "yolo": "`yolo train`, YOLOv8n",
}


def controls_table(facts: Facts, folder: str) -> Table:
    """What programs that learn nothing score under each protocol of a folder of reference."""
    (table,) = facts.references.study(folder).share(comparisons)
    (score,) = (column for column in table.columns if column.key == "map50")
    controls = [row for row in table.rows if row.is_control]
    kept_kinds = {row.values["method"] for row in controls}
    columns = [
        word_column("protocol", "protocol", NAME),
        Column("n_images", "test images", write="{:,}".format),
        Column("leak_share", "of them show surface seen in training", "%", percent),
        *(Column(name, title) for name, title in CONTROL_TITLES.items() if name in kept_kinds),
    ]
    rows = []
    for protocol in dict.fromkeys([*PROTOCOLS, *(row.values["protocol"] for row in controls)]):
        here = {r.values["method"]: r for r in controls if r.values["protocol"] == protocol}
        for row in list(here.values())[:1]:
            shown = {name: score.show(control) for name, control in here.items()}
            rows.append(Row(row.values, shown))
    return Table("controls", "Controls", columns, rows)


def trials_table(facts: Facts) -> Table:
    """The trainings by which budgets were chosen, by method."""
    lines = facts.rows("demo-budgets/trials.csv")
    rows = [Row(line) for line in sorted(lines, key=lambda line: line["method"])]
    return Table("trials", "Trials", _TRIALS, rows)


def spread_table(facts: Facts) -> Table:
    """How far runs of one method lie apart, and the floor that follows."""
    lines = facts.rows(FLOORS)
    return Table(
        "spread",
        "Spread",
        _SPREAD,
        [Row(line | {"score": TASKS[line["task"]].validation_title}) for line in lines],
    )


def race_table(facts: Facts) -> Table:
    """What a load changes in a race."""
    record = "race-under-load/switching-2s.json"
    columns = (
        word_column(
            "what",
            f"what the load does to the {facts.value(record, 'n_models')} files of the race",
            NAME,
        ),
        Column("share", "share", "%", percent),
    )
    rows = [Row({"what": what, "share": facts.value(record, key)}) for key, what in _RACE.items()]
    return Table("race", "The race", columns, rows)


def repeated_table(facts: Facts) -> Table:
    """How far the ratio of each file moves from race to race."""
    files = facts.value("race-repeatability/five-races.json", "files")
    rows = [Row({"file": name, **figures}) for name, figures in sorted(files.items())]
    return Table("repeated", "The race, repeated", _REPEATED, rows)


def gate_repeats_table(facts: Facts) -> Table:
    """What the gate's ratio of each file to a copy of itself came to, gate by gate."""
    columns = (
        word_column("method", "method", NAME),
        Column("n", "gates"),
        Column("told", "ratio can be trusted"),
        Column("offends", "offends"),
        Column("median", "ratio, median", write=number),
        Column("least", "least", write=number),
        Column("largest", "largest", write=number),
    )
    methods = facts.value("gate-under-load/ten-gates.json", "methods")
    rows = [Row({"method": name, **figures}) for name, figures in sorted(methods.items())]
    return Table("gate_repeats", "The gate under load", columns, rows)


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


def fuzz_table(facts: Facts) -> Table:
    """What damaged files of each format came to."""
    columns = (
        word_column("format", "format", NAME),
        Column("cases", "cases"),
        Column("results", "read"),
        Column("refused", "named errors"),
        Column("finds", "finds"),
    )
    formats = facts.value("fuzz/fuzz.json", "formats")
    rows = [
        Row({"format": name, **counts, "finds": len(counts["finds"])})
        for name, counts in formats.items()
    ]
    return Table("fuzz", "Damaged input", columns, rows)


def resilience_table(facts: Facts) -> Table:
    """What became of runs that were disturbed, by what happened to them."""
    return _cuts("resilience", word_column("what", "what happens", NAME), facts, "by_kind")


def resilience_jobs_table(facts: Facts) -> Table:
    """The same by the job that they were in."""
    return _cuts("resilience_jobs", word_column("what", "during", NAME), facts, "by_job")


def _cuts(name: str, first: Column, facts: Facts, figure: str) -> Table:
    columns = (
        first,
        Column("n", "cuts"),
        Column("runs_that_failed", "runs that failed"),
        Column("equal", "finished with equal bytes"),
    )
    counted = facts.value("resilience/resilience.json", figure)
    rows = [Row({"what": what.rpartition("/")[2], **counts}) for what, counts in counted.items()]
    return Table(name, "Resilience", columns, rows)


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


TABLES: Mapping[str, Callable[[Facts], Table]] = {
    "trials": trials_table,
    "spread": spread_table,
    "costs": costs_table,
    "gradients": gradients_table,
    "batch_norms": batch_norm_table,
    "readings": readings_table,
    "fuzz": fuzz_table,
    "moved": moved_table,
    "recipes": recipes_table,
    "processors": processors_table,
    "race": race_table,
    "repeated": repeated_table,
    "gate_repeats": gate_repeats_table,
    "resilience": resilience_table,
    "resilience_jobs": resilience_jobs_table,
    "training": training_table,
    "parity": parity_table,
}
