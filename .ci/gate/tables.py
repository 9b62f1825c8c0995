"""What must hold of the tables of a study on any machine: rows, figures that fit each other, controls.

Scores of the test part are held wide: above twice what the class prior comes to, and not below half of the floor that
the validation score of the method has. How well a method has learnt is asked of its cell (``cells.py``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from defectbench.base.compressions import JOINT
from defectbench.base.planning import CONTROL
from defectbench.base.tasks import CLASSIFICATION, DETECTION
from defectbench.report.records.cells import method_title

from .floors import Floor, unmeasured

Row = Mapping[str, str]
CLASS_CONTROLS = {f"{CONTROL}{kind}" for kind in CLASSIFICATION.controls}
# the labels of the embedded set agree with themselves, so that no study of it asks for their jitter
CONTROLS = {f"{CONTROL}{kind}" for kind in DETECTION.controls if kind != "label_jitter"}
PARAMS = {"lidd_net": 616520, "nanodet_plus_m": 1157634, "yolov8n_ultralytics": 3006802}


def rows(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a CSV file, by method."""
    with path.open(newline="") as handle:
        return {row["method"]: row for row in csv.DictReader(handle)}


def number(row: Row, field: str) -> float:
    """One figure of a row as a float."""
    assert row[field] not in ("", "nan"), f"{row['method']}: {field} is empty"
    return float(row[field])


def check_score(row: Row, prior: Row, floor: Floor) -> None:
    """A trained method's score on the test part, as far as it can be said beforehand."""
    name = row["method"]
    for field in ("map50", "map50_95"):
        twice = 2 * number(prior, field)
        assert twice < number(row, field) <= 1, f"{name}: {field} {row[field]}, prior {twice / 2}"
    assert number(row, "map50_95") >= floor.floor / 2, f"{name}: map50_95 {row['map50_95']}"


def check_method(row: Row) -> None:
    """A trained method: each of its figures fits the others."""
    name = row["method"]
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


def check_controls(table: Mapping[str, Row]) -> None:
    """Floor and ceiling: what learns nothing scores nothing on a clean split, truth scores 1."""
    assert number(table["control_oracle"], "map50") > 0.999
    assert number(table["control_memoriser"], "map50") == 0
    assert number(table["control_class_prior"], "map50") < 0.2


def check_classifiers(folder: Path, names: list[str]) -> None:
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


def check_compression(folder: Path, names: list[str]) -> None:
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


def check_detectors(folder: Path, names: list[str], floors: Mapping[str, Floor]) -> int:
    """The comparison: a row each method and control, in every file; returns the number of rows."""
    table = rows(folder / "comparison.csv")
    assert set(table) == {*names, *CONTROLS}, f"rows {sorted(table)}"
    for name in names:
        check_method(table[name])
        floor = floors.get(name, unmeasured(name, DETECTION.name))
        check_score(table[name], table["control_class_prior"], floor)
    check_controls(table)
    for name in PARAMS.keys() & set(names):
        assert round(number(table[name], "params_m") * 1e6) == PARAMS[name], name
    check_titles(folder, ("comparison.md", "comparison.tex", "index.html"), names)
    assert list((folder / "figures").glob("pareto*.png"))
    assert list((folder / "gallery").glob("*.webp"))
    pages = {path.name for path in (folder / "pages").glob("*.html")}
    assert pages >= {f"method-{name}.html" for name in names}, sorted(pages)
    return len(table)


def check_titles(folder: Path, files: Iterable[str], names: list[str]) -> None:
    """Every file names every method."""
    for file in files:
        text = (folder / file).read_text()
        missing = [method_title(name) for name in names if method_title(name) not in text]
        assert not missing, f"{file} lacks {missing}"
