"""Assert what the tables of a study say, the default one's by default.

Usage: check_report.py results/report [config/demo-heavy.yaml]
"""

import csv
import sys
from pathlib import Path

from defectbench.base.cards import dataset_tasks
from defectbench.base.catalogue import load_catalogue
from defectbench.base.compressions import JOINT
from defectbench.base.studies import expand_cells, load_study
from defectbench.report.records.cells import method_title

FLOOR_MAP50 = 0.5
CLASS_CONTROLS = {"control_memoriser", "control_class_prior"}
CONTROLS = {"control_memoriser", "control_class_prior", "control_oracle", "control_label_jitter"}


def methods_of(study, task="detection"):
    """Names of the methods of a task that a study file trains, sorted."""
    known, found = load_catalogue(), load_study(study)
    sets = dataset_tasks({name for block in found.blocks for name in block.datasets})
    tasks = {**known.tasks, **sets}
    cells = expand_cells(found, known.names, study, known.heavy, tasks, known.prunable, known.rates)
    own = {cell.method for cell in cells if sets[cell.dataset] == task and not cell.is_control}
    return sorted(own)


def rows(path):
    """The rows of a CSV file, by method."""
    with path.open(newline="") as handle:
        return {row["method"]: row for row in csv.DictReader(handle)}


def number(row, field):
    """One figure of a row as a float."""
    assert row[field] not in ("", "nan"), f"{row['method']}: {field} is empty"
    return float(row[field])


def check_method(row):
    """A trained method: it has learnt, and each of its figures fits the others."""
    name = row["method"]
    assert FLOOR_MAP50 <= number(row, "map50") <= 1, f"{name}: map50 {row['map50']}"
    assert 0 < number(row, "map50_95") < number(row, "map50"), name
    assert number(row, "map50_low") <= number(row, "map50") <= number(row, "map50_high"), name
    assert (
        number(row, "gflops") == round(2 * number(row, "macs_g"), 9)
        or abs(number(row, "gflops") / number(row, "macs_g") - 2) < 1e-3
    ), f"{name}: gflops is not twice macs_g"
    p50, p90, p99 = (number(row, f"latency_ms_{p}") for p in ("p50", "p90", "p99"))
    assert 0 < p50 <= p90 <= p99, f"{name}: percentiles {p50} {p90} {p99}"
    assert abs(number(row, "fps") * p50 / 1000 - 1) < 0.02, f"{name}: fps is not 1000 / p50"
    assert number(row, "size_mib") * 2**20 >= 3.9 * number(row, "params_m") * 1e6, name
    assert number(row, "train_s") > 0, name


def check_controls(table):
    """Floor and ceiling: what learns nothing scores nothing on a clean split, truth scores 1."""
    assert number(table["control_oracle"], "map50") > 0.999
    assert number(table["control_memoriser"], "map50") == 0
    assert number(table["control_class_prior"], "map50") < 0.2
    assert 0.5 < number(table["control_label_jitter"], "map50_95") < 1


def check_classifiers(folder, names):
    """Every classifier has learnt more than the controls, and each of its figures fits the others."""
    path = folder / "classification.csv"
    assert path.is_file() == bool(names), f"{path}: {names}"
    if not names:
        return
    table = rows(path)
    assert set(table) == {*names, *CLASS_CONTROLS}, f"rows {sorted(table)}"
    for name in names:
        row = table[name]
        scores = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
        for score in scores:
            low, value, high = (number(row, f"{score}{end}") for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1, f"{name}: {score} {low} {value} {high}"
        floor = max(number(table[c], "balanced_accuracy") for c in CLASS_CONTROLS)
        margin = 0 if JOINT in name else 0.1
        assert number(row, "balanced_accuracy") > floor + margin, f"{name}: not above {floor}"
        assert row["macro_recall"] == row["balanced_accuracy"], name
        assert abs(number(row, "gflops") / number(row, "macs_g") - 2) < 1e-3, name
        assert number(row, "latency_ms_p50") <= number(row, "latency_ms_p99"), name
        if JOINT in name:
            # what fine-tuning is for
            assert number(row, "accuracy_before") < number(row, "accuracy"), name
            assert number(row, "params_ratio") > 2, name
            assert number(row, "train_s") > number(table[name.partition(JOINT)[0]], "train_s"), name
    equal = {row["params_m"] for name, row in table.items() if JOINT in name}
    assert len(equal) <= 1, f"controls of other widths: {equal}"
    with (folder / "classification_per_class.csv").open(newline="") as handle:
        recalls = [line for line in csv.DictReader(handle) if line["method"] in names]
    assert len(recalls) == len(names) * len({line["class_name"] for line in recalls})
    with (folder / "classification_pairs.csv").open(newline="") as handle:
        pairs = list(csv.DictReader(handle))
    assert len(pairs) == len(names) * (len(names) - 1), "two figures of each pair"
    assert all(float(p["low"]) <= float(p["difference"]) <= float(p["high"]) for p in pairs)
    assert list((folder / "figures").glob("confusion*.png"))
    for name in ("classification.md", "classification.tex", "index.html"):
        text = (folder / name).read_text()
        assert not [n for n in names if method_title(n) not in text], name


def check_compression(folder, names):
    """Every compressed method stands in the table of compression, and each stage fits the others."""
    path = folder / "compression.csv"
    assert path.is_file() == bool(names), f"{path}: {names}"
    if not names:
        return
    with path.open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    for name in names:
        way = {row["stage"]: row for row in lines if row["method"] == name}
        stages = [
            stage for stage in ("base", "sparse", "channels", "pruned", "recovered") if stage in way
        ]
        assert list(way) == stages, f"{name}: {list(way)}"
        assert ("sparse" in way) == (way["base"]["score_name"] == "map50"), name
        size = {stage: number(row, "stored_mib") for stage, row in way.items()}
        assert size["base"] == size.get("sparse", size["base"]), f"{name}: {size}"
        assert size["base"] > size["pruned"] == size["recovered"], f"{name}: {size}"
        assert size.get("channels", size["base"]) > size["pruned"], f"{name}: {size}"
        assert number(way["recovered"], "macs_g") < number(way["base"], "macs_g"), name
        factor = number(way["recovered"], "factor")
        assert abs(factor - size["base"] / size["recovered"]) < 1e-6 * factor, f"{name}: {factor}"
        epochs = [number(row, "epochs") for row in way.values()]
        assert epochs == sorted(epochs), f"{name}: {epochs}"
        ends = [number(way["recovered"], f"ratio_to_base{end}") for end in ("_low", "", "_high")]
        assert 0 < ends[0] <= ends[1] <= ends[2], f"{name}: {ends}"
        # what the recovery is for
        assert number(way["recovered"], "score") >= number(way["pruned"], "score"), name
    assert list((folder / "figures").glob("compression*.png"))
    assert "Compression" in (folder / "index.html").read_text()


def main(folder, study="config/demo.yaml"):
    """Check every file of the report."""
    table, methods = rows(folder / "comparison.csv"), methods_of(study)
    assert set(table) == {*methods, *CONTROLS}, f"rows {sorted(table)}"
    for name in methods:
        check_method(table[name])
    check_controls(table)
    golden = {"lidd_net": 616520, "nanodet_plus_m": 1157634, "yolov8n_ultralytics": 3006802}
    for name, params in ((k, v) for k, v in golden.items() if k in methods):
        assert round(number(table[name], "params_m") * 1e6) == params, name
    titles = [method_title(name) for name in methods]
    for name in ("comparison.md", "comparison.tex", "index.html"):
        text = (folder / name).read_text()
        missing = [title for title in titles if title not in text]
        assert not missing, f"{name} lacks {missing}"
    classifiers = methods_of(study, "classification")
    check_classifiers(folder, classifiers)
    check_compression(folder, [name for name in [*methods, *classifiers] if JOINT in name])
    assert list((folder / "figures").glob("pareto*.png"))
    assert list((folder / "gallery").glob("*.png"))
    print(f"report: {len(table)} rows hold")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
