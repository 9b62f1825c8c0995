"""The record of scores of whole images: thresholds of two parts, intervals, classes, refusals, and controls."""

import json

import cv2
import numpy as np
import pytest

from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.base.records import read_record, write_record
from defectbench.measure.anomaly import FIGURES, POINT, evaluate_anomaly
from defectbench.measure.anomaly_controls import ANOMALY_CONTROLS, control_anomaly
from defectbench.measure.cell import measure_controls

FREE, PITS, CRACKS = 20, 6, 4
KINDS = [-1] * FREE + [0] * PITS + [1] * CRACKS
PARTS = {"train": [-1] * 10, "val": [*KINDS], "test": [*KINDS]}


@pytest.fixture
def home(tmp_path):
    """A dataset whose images are grey: those with a defect are darker; two images a group."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    parts = folder / "clean" / "split0"
    parts.mkdir(parents=True)
    images, boxes, groups = [], [], ["file_name,group\n"]
    for part, kinds in PARTS.items():
        names = [f"{part}_{n}.png" for n in range(len(kinds))]
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            key = len(images) + 1
            images.append({"id": key, "file_name": name, "width": 8, "height": 8})
            if kind >= 0:
                box = {"id": len(boxes) + 1, "image_id": key, "category_id": kind}
                boxes.append({**box, "bbox": [0, 0, 8, 8]})
            level = 120 + number % 5 - (60 if kind >= 0 else 0)
            cv2.imwrite(str(folder / "images" / name), np.full((8, 8), level, np.uint8))
            groups.append(f"{name},{part}{number // 2}\n")
        (parts / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    categories = [{"id": n, "name": name} for n, name in enumerate(("pit", "crack"))]
    content = {"info": {"task": "anomaly"}, "images": images, "annotations": boxes}
    (folder / "annotations.json").write_text(json.dumps({**content, "categories": categories}))
    (folder / "groups.csv").write_text("".join(groups))
    return folder


def write_scores(home, free, bad, out):
    """Scores of the test part's images, those without a defect first."""
    first = len(PARTS["train"]) + len(PARTS["val"]) + 1
    out.mkdir(parents=True, exist_ok=True)
    rows = [{"image_id": first + n, "anomaly": s} for n, s in enumerate([*free, *bad])]
    (out / "predictions.json").write_text(json.dumps(rows))
    return out / "predictions.json"


def evaluated(home, predictions):
    lists, out = home / "clean" / "split0" / "test.txt", predictions.with_name("accuracy.json")
    return evaluate_anomaly(home / "annotations.json", predictions, lists, home / "groups.csv", out)


def test_figures_by_hand(home, tmp_path):
    predictions = write_scores(home, range(20), [5.5, 17, 18, 19, 21, 22, 30, 30, 30, 30], tmp_path)
    write_record(tmp_path / POINT, "operating_point", {"threshold": 16.5}, {})
    record = evaluated(home, predictions)
    figures = record["figures"]
    won = 6 + 17.5 + 18.5 + 19.5 + 6 * 20
    assert figures["auroc"] == pytest.approx(won / 200)
    assert figures["threshold"] == 18
    assert figures["escape_rate"] == pytest.approx(3 / 10)
    assert figures["threshold_val"] == 16.5
    assert figures["escape_rate_val"] == pytest.approx(1 / 10)
    assert figures["overkill_rate_val"] == pytest.approx(3 / 20)
    assert figures["n_images"] == 30
    assert (figures["n_defect_free_images"], figures["n_defective_images"]) == (20, 10)
    assert figures["n_groups"] == 15
    assert figures["per_class"]["crack"] == {
        "auroc": 1.0,
        "escape_rate_val": 0.0,
        "n_images": 4,
    }
    for name in FIGURES:
        assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]
    assert record["task"] == "anomaly"
    assert "operating_point" in record["inputs"]


def test_without_a_threshold_of_validation_its_figures_are_not_known(home, tmp_path):
    figures = evaluated(home, write_scores(home, range(20), range(30, 40), tmp_path))["figures"]
    assert figures["auroc"] == 1.0
    assert figures["escape_rate"] == 0.0
    for name in ("threshold_val", "escape_rate_val", "overkill_rate_val", "overkill_rate_val_low"):
        assert figures[name] is None


def test_few_images_without_a_defect_tell_no_rate_of_overkill(home, tmp_path):
    lists = home / "clean" / "split0" / "test.txt"
    names = lists.read_text().splitlines(keepends=True)
    lists.write_text("".join(names[1:]))
    predictions = write_scores(home, range(20), range(30, 40), tmp_path)
    predictions.write_text(json.dumps(json.loads(predictions.read_text())[1:]))
    figures = evaluated(home, predictions)["figures"]
    assert figures["n_defect_free_images"] == 19
    assert (figures["threshold"], figures["escape_rate"], figures["auroc"]) == (None, None, 1.0)


def test_a_threshold_of_another_model_is_refused(home, tmp_path):
    predictions = write_scores(home, range(20), range(30, 40), tmp_path)
    for name, path in (("one", tmp_path / "one"), ("two", tmp_path / "two")):
        path.write_text(name)
    write_record(
        tmp_path / "predictions.record.json",
        "predictions",
        {},
        {"model": tmp_path / "one", "predictions": predictions},
    )
    write_record(
        tmp_path / POINT, "operating_point", {"threshold": 1.0}, {"model": tmp_path / "two"}
    )
    with pytest.raises(MeasurementError, match="from one model file"):
        evaluated(home, predictions)


@pytest.mark.parametrize("value", [-1, None, "3", True, float("inf")])
def test_scores_that_are_none_are_refused(home, tmp_path, value):
    predictions = write_scores(home, range(20), [*range(30, 39), value], tmp_path)
    with pytest.raises((MeasurementError, ConfigError), match=r"anomaly|finite|JSON"):
        evaluated(home, predictions)


def test_a_part_of_one_kind_is_refused(home, tmp_path):
    lists = home / "clean" / "split0" / "test.txt"
    lists.write_text("".join(lists.read_text().splitlines(keepends=True)[:FREE]))
    predictions = write_scores(home, range(20), [], tmp_path)
    with pytest.raises(MeasurementError, match="both kinds"):
        evaluated(home, predictions)


def test_controls_know_lighting_and_chance_and_are_scored_like_methods(home, tmp_path):
    measure_controls(ANOMALY_CONTROLS, home, "clean", tmp_path / "runs")
    areas, points = {}, {}
    for kind in ANOMALY_CONTROLS:
        cell = tmp_path / "runs" / f"control_{kind}" / "seed0"
        figures = read_record(cell / "accuracy.json", "accuracy")["figures"]
        areas[kind] = figures["auroc"]
        points[kind] = figures["threshold_val"]
    assert areas["mean_grey"] == 0.0
    assert areas["grey_deviation"] == 1.0
    assert 0.2 < areas["random_score"] < 0.8
    assert points["mean_grey"] == 124
    assert points["grey_deviation"] == pytest.approx(2.0, abs=0.5)


def test_a_random_score_is_the_same_for_the_same_seed(home, tmp_path):
    outs = [tmp_path / name / "predictions.json" for name in "abc"]
    for out, seed in zip(outs, (0, 0, 1), strict=True):
        control_anomaly("random_score", home, "clean", out, seed)
    texts = [out.read_text() for out in outs]
    assert texts[0] == texts[1] != texts[2]
    with pytest.raises(ConfigError, match="name one of random_score"):
        control_anomaly("oracle", home, "clean", outs[0])
