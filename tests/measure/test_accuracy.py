"""The accuracy record: figures, intervals, groups of copies, files that do not fit."""

import csv

import pytest
from measure_cases import make_truth, random_case

from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.base.files import atomic_write_json
from defectbench.base.records import read_record, write_record
from defectbench.measure.accuracy import evaluate, groups_of
from defectbench.measure.evaluator import score


def write_groups(path, names, size=2):
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_id", "file_name", "group"])
        writer.writerows([n, name, n // size] for n, name in enumerate(names))


@pytest.fixture
def files(tmp_path):
    truth, results = random_case(7, images=30)
    names = [image["file_name"] for image in truth["images"]]
    atomic_write_json(tmp_path / "annotations.json", truth)
    atomic_write_json(tmp_path / "predictions.json", results)
    (tmp_path / "test.txt").write_text("\n".join(names) + "\n")
    write_groups(tmp_path / "groups.csv", names)
    stems = {"annotations": ".json", "predictions": ".json", "images": "", "groups": ".csv"}
    paths = {key: tmp_path / f"{key}{end}" for key, end in stems.items()}
    paths["images"] = tmp_path / "test.txt"
    return truth, results, paths


def test_record_has_the_evaluators_figures_and_intervals(files, tmp_path):
    truth, results, paths = files
    record = evaluate(**paths, out=tmp_path / "accuracy.json")
    assert record == read_record(tmp_path / "accuracy.json", "accuracy")
    figures, expected = record["figures"], score(truth, results)
    for name in ("map50", "map50_95", "map75", "recall_100"):
        assert figures[name] == pytest.approx(getattr(expected, name), abs=1e-12)
    assert figures["map50_low"] < figures["map50"] < figures["map50_high"]
    assert (figures["n_images"], figures["n_groups"]) == (30, 15)
    assert figures["n_boxes"] == len(truth["annotations"])
    assert list(figures["per_class"]) == ["class0", "class1", "class2"]
    assert figures["per_class"]["class0"]["ap50"] == pytest.approx(expected.precision[0, 0])
    assert sum(row["n_boxes"] for row in figures["per_class"].values()) == figures["n_boxes"]
    assert figures["escape"]["overkill_rate"] == 0.05
    assert set(record["inputs"]) == set(paths)


def test_a_score_says_which_model_was_scored(files, tmp_path):
    _, _, paths = files
    assert evaluate(**paths, out=tmp_path / "accuracy.json")["model_sha256"] is None
    model = tmp_path / "model.onnx"
    model.write_bytes(b"network")
    beside = tmp_path / "predictions.record.json"
    inputs = {"model": model, "predictions": paths["predictions"]}
    record = write_record(beside, "predictions", {}, inputs)
    scored = evaluate(**paths, out=tmp_path / "accuracy.json")
    assert scored["model_sha256"] == record["inputs"]["model"]["sha256"]


def test_predictions_that_their_record_does_not_know_are_refused(files, tmp_path):
    _, _, paths = files
    other = tmp_path / "other.json"
    other.write_text("[]")
    record = tmp_path / "predictions.record.json"
    write_record(record, "predictions", {}, {"model": other, "predictions": other})
    with pytest.raises(MeasurementError, match="predict again"):
        evaluate(**paths, out=tmp_path / "accuracy.json")
    assert not (tmp_path / "accuracy.json").exists()


def test_only_listed_images_are_scored(files, tmp_path):
    truth, results, paths = files
    kept = [image["file_name"] for image in truth["images"][:10]]
    paths["images"].write_text("\n".join(kept))
    with pytest.raises(MeasurementError, match="image_id: got 11"):
        evaluate(**paths, out=tmp_path / "accuracy.json")
    atomic_write_json(paths["predictions"], [row for row in results if row["image_id"] <= 10])
    assert evaluate(**paths, out=tmp_path / "accuracy.json")["figures"]["n_images"] == 10


def test_offline_copies_follow_their_source(tmp_path):
    write_groups(tmp_path / "groups.csv", ["a.jpg", "b.jpg"], size=1)
    truth = make_truth([[], [], []])
    for image, name in zip(truth["images"], ("b__aug0.png", "a__aug4.png", "a.jpg"), strict=True):
        image["file_name"] = name
    assert groups_of(truth, tmp_path / "groups.csv") == ["1", "0", "0"]
    truth["images"][0]["file_name"] = "c.png"
    with pytest.raises(MeasurementError, match=r"group: got 'c.png'"):
        groups_of(truth, tmp_path / "groups.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [({"a": 1}, "content: got 'dict'"), ([{"image_id": 1}], "result 0"), ([3], "result 0: got 3")],
)
def test_files_that_are_no_result_list_are_named(files, tmp_path, content, message):
    paths = files[2]
    atomic_write_json(paths["predictions"], content)
    with pytest.raises(MeasurementError, match=message):
        evaluate(**paths, out=tmp_path / "accuracy.json")
    assert not (tmp_path / "accuracy.json").exists()


def test_no_detection_is_a_result(files, tmp_path):
    paths = files[2]
    atomic_write_json(paths["predictions"], [])
    figures = evaluate(**paths, out=tmp_path / "accuracy.json")["figures"]
    assert (figures["map50"], figures["map50_low"], figures["map50_high"]) == (0, 0, 0)
    assert figures["escape"]["escape_rate_images"] == 1.0


def test_truth_of_another_task_is_refused(files, tmp_path):
    truth, _, paths = files
    atomic_write_json(paths["annotations"], {"info": {"task": "classification"}, **truth})
    with pytest.raises(ConfigError, match="task: got 'classification'"):
        evaluate(**paths, out=tmp_path / "accuracy.json")
