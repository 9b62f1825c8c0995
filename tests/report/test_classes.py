"""The table of classifiers: rows, files, page, and that it stands apart from the comparison of detectors."""

import csv
import json
import shutil
from itertools import combinations

import cv2
import numpy as np
import pytest
from report_parts import make_tables, said
from shelf import CLASSES, Shelf

from defectbench.base.errors import ReportError
from defectbench.base.records import write_record
from defectbench.measure.classification import evaluate_classes
from defectbench.report.records.comparison import OVER_SEEDS, OVERLAP, classifier_runs, paired_test
from defectbench.report.render import render_report
from defectbench.report.topics.compression import compression_notes

N = 8
FILES = (
    "classification.csv",
    "classification.md",
    "classification.tex",
    "classification_per_class.csv",
    "classification_pairs.csv",
)
DETECTION_FILES = (
    "comparison.csv",
    "comparison.md",
    "comparison.tex",
    "pairs.csv",
    "leakage.csv",
    "leakage.md",
    "per_class.csv",
)


class ClassShelf(Shelf):
    """A results folder with a set for classification: eight images of two classes in four groups."""

    def _write_truth(self):
        images = [
            {"id": n, "file_name": f"plate_{n}.png", "width": 9, "height": 9}
            for n in range(1, N + 1)
        ]
        boxes = [
            {"id": n, "image_id": n, "category_id": n % 2, "bbox": [0, 0, 9, 9]}
            for n in range(1, N + 1)
        ]
        categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES)]
        truth = {"info": {"task": "classification"}, "images": images}
        truth |= {"annotations": boxes, "categories": categories}
        (self.data / "images").mkdir(parents=True)
        for n in range(1, N + 1):
            cv2.imwrite(
                str(self.data / "images" / f"plate_{n}.png"), np.full((9, 9), 10 * n, np.uint8)
            )
        (self.data / "annotations.json").write_text(json.dumps(truth))
        rows = "".join(f"plate_{n}.png,{n // 2}\n" for n in range(1, N + 1))
        (self.data / "groups.csv").write_text("file_name,group\n" + rows)
        return truth

    def classify(self, folder, wrong=()):
        """Score predictions that are right but for some images."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {"image_id": n, "probabilities": np.eye(2)[(n + (n in wrong)) % 2].tolist()}
            for n in range(1, N + 1)
        ]
        (folder / "predictions.json").write_text(json.dumps(rows))
        files = (self.data / "annotations.json", folder / "predictions.json")
        lists = self.data / "clean" / "test.txt"
        evaluate_classes(*files, lists, self.data / "groups.csv", folder / "accuracy.json")

    def classifier(self, name, wrong=(), params_m=4.0, seed=0, recipe=None):
        """A trained classifier with all its records."""
        trained = {"val_accuracy": 0.75, "val_accuracy_last": 0.5}
        folder = self.method(name, seed=seed, params_m=params_m, trained=trained)
        lines = ["epoch,loss,lr,images_per_s,val_accuracy", "1,2,0.1,9,", "2,1,0.1,9,0.75"]
        (folder / "history.csv").write_text("\n".join(lines) + "\n")
        self.classify(folder, wrong)
        if recipe is not None:
            record = json.loads((folder / "train.json").read_text())
            (folder / "train.json").write_text(json.dumps(record | {"recipe": recipe}))
        return folder

    def cut(self, name, wrong, before, choose="cfp", seed=0):
        """A compressed classifier: what was cut, and both files timed side by side."""
        folder = self.classifier(name, wrong, params_m=1.0, seed=seed)
        pruned = folder / "pruned"
        self.classify(pruned, before)
        (pruned / "model.onnx").write_bytes(b"cut")
        figures = {"size_mib_before": 16.0, "size_mib": 4.0, "train_s": 9.0, "epochs": 3}
        settings = {"settings": {"how": "cfp", "choose": choose, "rates": "v39"}}
        settings["widths"] = {"conv1": [64, 19], "conv2": [64, 20]}
        write_record(pruned / "prune.json", "prune", figures, {}, None, settings)
        write_record(pruned / "complexity.json", "complexity", {}, {"model": pruned / "model.onnx"})
        record = json.loads((pruned / "accuracy.json").read_text())
        counted = json.loads((pruned / "complexity.json").read_text())
        record["model_sha256"] = counted["inputs"]["model"]["sha256"]
        (pruned / "accuracy.json").write_text(json.dumps(record))
        base = folder.parents[1] / name.partition("+")[0] / folder.name / "model.onnx"
        names = ("latency_ms_p50", "base_latency_ms_p50", "ratio_to_base")
        timed = {f"{key}{end}": 0.5 for key in names for end in ("_low", "", "_high")}
        timed |= {"valid": True, "invalid_because": []}
        inputs = {"model": folder / "model.onnx", "base": base}
        write_record(folder / "beside_base.json", "latency_beside", timed, inputs)
        return folder


@pytest.fixture
def filled(tmp_path):
    shelf = ClassShelf(tmp_path, dataset="plates", images=N)
    shelf.split("clean", test=N)
    shelf.classifier("vgg", wrong={1})
    shelf.cut("vgg+cfpv39", wrong={1, 2}, before={1, 3, 5, 7})
    shelf.classify(shelf.folder("control_class_prior"), wrong={1, 3, 5, 7})
    return shelf


@pytest.mark.parametrize(
    "recipe", [{"keep": "last"}, {"keep": "best", "sparsity": {"strength": 1.0}}]
)
def test_notes_say_which_epoch_counts(tmp_path, recipe):
    shelf = ClassShelf(tmp_path, dataset="plates", images=N)
    shelf.split("clean", test=N)
    shelf.classifier("vgg", recipe={"keep": "best", "sparsity": None})
    shelf.classifier("old", wrong={1})  # a record that does not say
    shelf.classifier("narrow", wrong={1, 2}, recipe=recipe)
    notes = make_tables([shelf.runs]).classes.notes
    best = "Weights are those of the best epoch on validation; its accuracy there and that of the last epoch: "
    assert f"{best}vgg 75.0 and 50.0; old 75.0 and 50.0." in notes
    assert "Weights are those of the last epoch; its accuracy on validation: narrow 75.0." in notes


def test_rows_say_what_compression_gave_and_cost(filled):
    tables = make_tables([filled.runs])
    assert (tables.entries, tables.rows) == ([], [])
    base, cut, control = tables.classes.rows
    assert (base.method, cut.method, control.method) == ("vgg", "vgg+cfpv39", "control_class_prior")
    assert base.accuracy == 7 / 8
    assert base.params_ratio is None
    assert cut.title == "vgg, pruned by CFP (v39)"
    assert cut.params_ratio == 4
    assert cut.accuracy_before == 0.5
    assert cut.accuracy_gain == pytest.approx(-1 / 8)
    assert cut.accuracy_gain_low <= cut.accuracy_gain <= cut.accuracy_gain_high
    assert cut.ratio_to_base == 0.5
    assert (cut.val_accuracy, cut.val_accuracy_last) == (0.75, 0.5)
    assert control.balanced_accuracy == 0.5


def test_the_gain_of_some_seeds_is_that_of_each_over_its_own_base(filled):
    filled.classifier("vgg", wrong={1, 2, 3}, seed=1)
    filled.cut("vgg+cfpv39", wrong={1, 2, 3, 4, 5}, before={1}, seed=1)
    _, cut, _ = make_tables([filled.runs]).classes.rows
    assert (cut.n_seeds, cut.interval_over) == (2, "seeds and groups")
    assert cut.accuracy_gain == pytest.approx((-1 / 8 - 2 / 8) / 2)
    assert cut.accuracy_gain_low < cut.accuracy_gain < cut.accuracy_gain_high
    pairs = make_tables([filled.runs]).classes.pairs
    (pair,) = [p for p in pairs if (p.figure, p.second) == ("accuracy", "vgg+cfpv39")]
    assert pair.test == OVER_SEEDS
    assert (-pair.high, -pair.low) == pytest.approx((cut.accuracy_gain_low, cut.accuracy_gain_high))
    (filled.folder("vgg") / "predictions.json").unlink()
    _, wide, _ = make_tables([filled.runs]).classes.rows
    assert wide.accuracy_gain == pytest.approx(cut.accuracy_gain)
    assert wide.accuracy_gain_low < cut.accuracy_gain_low


def test_base_cut_and_control_are_told_apart_or_not(filled):
    filled.cut("vgg+randomv39", wrong=set(range(1, N + 1)), before={1}, choose="random")
    tables = make_tables([filled.runs])
    found = {(p.figure, p.first, p.second): p for p in tables.classes.pairs}
    names = ("vgg", "vgg+cfpv39", "vgg+randomv39")
    both = ("accuracy", "balanced_accuracy")
    assert set(found) == {(f, a, b) for f in both for a, b in combinations(names, 2)}
    near, far = found["accuracy", *names[:2]], found["balanced_accuracy", *names[1:]]
    rows = {row.method: row for row in tables.classes.rows}
    gain = rows["vgg+cfpv39"]
    ends = (gain.accuracy_gain, gain.accuracy_gain_low, gain.accuracy_gain_high)
    assert (-near.difference, -near.high, -near.low) == pytest.approx(ends)
    assert (near.verdict, near.n_groups) == ("not distinguishable", 5)
    assert far.difference == pytest.approx(6 / 8)
    assert far.low > 0
    assert far.verdict == "vgg, pruned by CFP (v39) is better"
    assert far.test == paired_test(1000, 1)
    render_report([filled.runs], filled.out, "plates")
    with (filled.out / FILES[4]).open(newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 6
    page, text = ((filled.out / name).read_text() for name in ("pages/pairs.html", FILES[1]))
    for shown in (page, text):
        assert "vgg, pruned by CFP (v39) is better" in shown
    assert "+75.0 [" in text
    assert '+75.0<span class="aside">[' in page
    assert '<a href="pages/pairs.html">' in (filled.out / "index.html").read_text()


def test_runs_of_classifiers_hold_their_seeds(filled):
    filled.classifier("vgg", wrong=set(range(1, N + 1)), seed=1)
    filled.cut("vgg+cfpv39", wrong=set(range(1, N + 1)), before={1}, seed=1)
    (base, *_) = [e for e in make_tables([filled.runs]).classes.entries if e.first.method == "vgg"]
    runs = classifier_runs(base.cells, 300)["accuracy"]
    assert runs.seeds == (0, 1)
    assert runs.values.tolist() == [7 / 8, 0.0]


def test_without_predictions_intervals_of_classifiers_are_compared(filled):
    (filled.folder("vgg") / "predictions.json").unlink()
    pairs = make_tables([filled.runs]).classes.pairs
    assert {pair.test for pair in pairs} == {OVERLAP}


def teacher_c(filled, wrong=()):
    """Teacher C of a base: scored, with the record of a training as long."""
    folder = filled.folder("vgg") / "teacher_c"
    filled.classify(folder, wrong)
    shutil.copy(folder.parent / "train.json", folder / "train.json")
    return folder


def test_the_scores_of_teacher_c_stand_beside_its_base(filled):
    teacher_c(filled, wrong={1, 2, 3})
    tables = make_tables([filled.runs]).classes
    base, cut, _ = tables.rows
    assert (base.teacher_c_accuracy, base.teacher_c_balanced_accuracy) == (5 / 8, 5 / 8)
    assert cut.teacher_c_accuracy is None
    assert [
        line
        for line in tables.notes
        if "teacher C, not deployed: vgg on plates, clean, 62.5 and 62.5" in line
    ]
    render_report([filled.runs], filled.out, "plates")
    assert (
        "[teacher C](../runs/plates/clean/vgg/seed0/teacher_c/accuracy.json)"
        in (filled.out / "classification.md").read_text()
    )


def test_a_teacher_c_of_another_test_part_is_refused(filled):
    folder = teacher_c(filled)
    record = json.loads((folder / "accuracy.json").read_text())
    record["inputs"]["images"]["sha256"] = "0" * 64
    (folder / "accuracy.json").write_text(json.dumps(record))
    with pytest.raises(ReportError, match="score both on one test part"):
        make_tables([filled.runs])


def test_a_teacher_c_of_another_budget_is_left_from_an_earlier_study(filled):
    folder = teacher_c(filled)
    record = json.loads((folder / "train.json").read_text())
    record["figures"]["epochs"] += 1
    (folder / "train.json").write_text(json.dumps(record))
    assert make_tables([filled.runs]).classes.rows[0].teacher_c_accuracy is None
    render_report([filled.runs], filled.out, "plates")
    assert "teacher C" not in (filled.out / "classification.md").read_text()


def test_a_thin_network_is_a_control_beside_the_base(filled):
    filled.cut("vgg+thinv39", wrong={1}, before={1, 3, 5, 7}, choose="thin")
    stages = make_tables([filled.runs]).stages
    assert [(s.method, s.stage) for s in stages] == [
        *[("vgg+cfpv39", stage) for stage in ("base", "pruned", "recovered")],
        *[("vgg+thinv39", stage) for stage in ("base", "control")],
    ]
    assert not [line for line in compression_notes(stages) if line.startswith("No network")]
    render_report([filled.runs], filled.out, "plates")
    text = (filled.out / "compression.md").read_text()
    assert "## vgg, thin from scratch (v39): plates, clean, seed 0" in text
    assert "[vgg, thin from scratch (v39) (control, from scratch)](" in text
    rows = {row.method: row for row in make_tables([filled.runs]).classes.rows}
    assert rows["vgg+cfpv39"].accuracy_before is not None
    assert rows["vgg+thinv39"].accuracy_before is None  # nothing was cut for it


def test_a_fresh_network_is_a_control_too(filled):
    filled.cut("vgg+freshv39", wrong={1}, before={1, 3, 5, 7}, choose="fresh")
    ways = [s.stage for s in make_tables([filled.runs]).stages if s.method == "vgg+freshv39"]
    assert ways == ["base", "control"]


def test_a_control_of_other_widths_is_named(filled):
    folder = filled.cut("vgg+randomv39", wrong={1}, before={1}, choose="random")
    record = json.loads((folder / "pruned" / "prune.json").read_text())
    record["widths"]["conv2"] = [64, 21]
    (folder / "pruned" / "prune.json").write_text(json.dumps(record))
    match = r"randomv39/seed0/pruned/prune.json: widths.conv2: got 21; .*cfpv39.* has 20"
    with pytest.raises(ReportError, match=match):
        make_tables([filled.runs])
    record["settings"]["rates"] = "v39-u"
    (folder / "pruned" / "prune.json").write_text(json.dumps(record))
    assert len(make_tables([filled.runs]).classes.rows) == 4


def test_a_classifier_no_better_than_a_control_is_flagged(filled):
    filled.classifier("idle", wrong={1, 3, 5, 7})
    flags = {row.method: row.flags for row in make_tables([filled.runs]).classes.rows}
    assert flags["idle"] == "not above Class prior"
    assert flags["vgg"] == ""


def test_a_study_of_classifiers_renders_without_a_table_of_detectors(filled):
    render_report([filled.runs], filled.out, "plates")
    assert {file for file in FILES if (filled.out / file).is_file()} == set(FILES)
    assert not (filled.out / "comparison.csv").exists()
    figures = {path.name for path in (filled.out / "figures").iterdir()}
    names = ("confusion", "curves", "compression")
    assert figures == {f"{n}_plates_clean.{kind}" for n in names for kind in ("svg", "pdf", "png")}
    page = (filled.out / "pages" / "dataset-plates.html").read_text()
    for text in ("plates, clean", "vgg, pruned by CFP (v39)", "classification.csv"):
        assert text in page
    assert "Leakage premium" not in page
    assert "comparison.csv" not in page
    with (filled.out / FILES[3]).open(newline="") as handle:
        recalls = {(r["method"], r["class_name"]): r["recall"] for r in csv.DictReader(handle)}
    assert recalls["vgg", CLASSES[1]] == "0.75"
    assert "0.875" in (filled.out / FILES[0]).read_text()


def test_pages_show_what_a_classifier_takes_for_what(filled):
    render_report([filled.runs], filled.out, "plates")
    script = (filled.out / "pages" / "compare-data.js").read_text()
    (place,) = json.loads(script.removeprefix("const COMPARE = ").rstrip(";\n"))
    assert {shot["name"] for shot in place["shots"]} == {f"plate_{n}.png" for n in range(1, N + 1)}
    for method in (method["id"] for method in place["methods"]):
        words, badness, marks = zip(
            *(shot["answers"][method] for shot in place["shots"]), strict=True
        )
        accuracy = (
            filled.data.parents[1]
            / "runs"
            / "plates"
            / "clean"
            / method
            / "seed0"
            / "accuracy.json"
        )
        right = json.loads(accuracy.read_text())["figures"]["accuracy"]
        assert sum(value == 0 for value in badness) / N == right
        assert [", true: " in text for text in words] == [value > 0 for value in badness]
        assert not any(marks)


def test_both_tasks_stand_side_by_side(filled, shelf):
    folders = [filled.runs, shelf.method("alpha", results=shelf.oracle())]
    shelf.rescore(shelf.folder("alpha"), shelf.oracle())
    tables = said(render_report(folders, filled.out, "both"))
    assert [row.method for row in tables.rows] == ["alpha"]
    assert len(tables.classes.rows) == 3
    pages = [
        (filled.out / "pages" / f"dataset-{name}.html").read_text() for name in ("steel", "plates")
    ]
    assert [
        name for page in pages for name in ("comparison.csv", "classification.csv") if name in page
    ] == [
        "comparison.csv",
        "classification.csv",
    ]


def test_no_table_stays_from_another_study(filled, shelf):
    detector = shelf.method("alpha", results=shelf.oracle())
    shelf.rescore(shelf.folder("alpha"), shelf.oracle())
    render_report([filled.runs, detector], filled.out, "both")
    render_report([filled.runs], filled.out, "classifiers")
    left = {path.name for path in filled.out.glob("*.*")}
    assert left.isdisjoint(DETECTION_FILES)
    assert set(FILES) <= left
    render_report([detector], filled.out, "detectors")
    left = {path.name for path in filled.out.glob("*.*")}
    assert left.isdisjoint(FILES)
    assert "compression.csv" not in left
    assert set(DETECTION_FILES) <= left
