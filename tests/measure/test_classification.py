"""Scores of classifiers, by hand; intervals that hold them; controls that learn nothing."""

import json

import numpy as np
import pytest

from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.measure.class_controls import control_classes
from defectbench.measure.classification import (
    FIGURES,
    confusion,
    evaluate_classes,
    resampled_figures,
    summarise_classes,
)

# Rows are true: 4 of a (3 hit), 2 of b (1 hit), c never shown but said once
TRUE = [0, 0, 0, 0, 1, 1]
SAID = [0, 0, 0, 1, 1, 2]


@pytest.fixture
def home(tmp_path):
    """A dataset of three classes and six images, its test part, and a training part of two more."""
    labels = [*TRUE, 0, 1]
    names = [f"p{n}.png" for n in range(len(labels))]
    images = [{"id": n, "file_name": f, "width": 9, "height": 9} for n, f in enumerate(names, 1)]
    boxes = [
        {"id": n, "image_id": n, "category_id": c, "bbox": [0, 0, 9, 9]}
        for n, c in enumerate(labels, 1)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate("abc")]
    content = {"info": {"task": "classification"}, "images": images, "annotations": boxes}
    (tmp_path / "annotations.json").write_text(json.dumps({**content, "categories": categories}))
    rows = "".join(f"{name},{n // 2}\n" for n, name in enumerate(names))
    (tmp_path / "groups.csv").write_text("file_name,group\n" + rows)
    folder = tmp_path / "clean" / "split0"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("".join(f"{name}\n" for name in names[:6]))
    (folder / "train.txt").write_text("".join(f"{name}\n" for name in names[6:]))
    head = "image_a,image_b,dx,dy,correlation,shared_area,kind\n"
    (tmp_path / "overlaps.csv").write_text(head + "p0.png,p7.png,3,0,0.9,0.5,shift\n")
    return tmp_path


def predict(home, said):
    rows = [{"image_id": n, "probabilities": np.eye(3)[c].tolist()} for n, c in enumerate(said, 1)]
    (home / "predictions.json").write_text(json.dumps(rows))
    return home / "predictions.json"


def evaluated(home, predictions):
    lists = home / "clean" / "split0" / "test.txt"
    out = home / "accuracy.json"
    return evaluate_classes(home / "annotations.json", predictions, lists, home / "groups.csv", out)


def test_figures_by_hand(home):
    record = evaluated(home, predict(home, SAID))
    figures = record["figures"]
    assert record["task"] == "classification"
    assert figures["confusion"] == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert figures["macro_recall"] == figures["balanced_accuracy"]
    assert figures["macro_precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures["macro_f1"] == pytest.approx((6 / 7 + 2 / 4) / 2)
    assert figures["per_class"]["a"] == {
        "recall": 0.75,
        "precision": 1.0,
        "f1": pytest.approx(6 / 7),
        "n_images": 4,
    }
    assert figures["per_class"]["c"] == {
        "recall": None,
        "precision": 0.0,
        "f1": None,
        "n_images": 0,
    }
    assert (figures["n_images"], figures["n_groups"]) == (6, 3)
    for name in FIGURES:
        assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]


def test_whole_weights_are_repeated_images():
    true, said = np.array(TRUE), np.array(SAID)
    weights = np.array([[2, 0, 1, 1, 3, 1]])
    repeated = confusion(true.repeat(weights[0]), said.repeat(weights[0]), 3, np.ones((1, 8)))
    assert np.array_equal(confusion(true, said, 3, weights), repeated)


def test_perfect_and_wrong_everywhere():
    true = np.array(TRUE)
    perfect = summarise_classes(confusion(true, true, 3, np.ones((1, 6))))
    assert {name: float(values[0]) for name, values in perfect.items()} == dict.fromkeys(FIGURES, 1)
    wrong = summarise_classes(confusion(true, 1 - true, 3, np.ones((1, 6))))
    assert {name: float(values[0]) for name, values in wrong.items()} == dict.fromkeys(FIGURES, 0)


def test_equal_seeds_draw_the_same_groups():
    groups = ["x", "x", "y", "y", "z", "z"]
    first, again = (
        resampled_figures(np.array(TRUE), np.array(SAID), 3, groups, 50) for _ in range(2)
    )
    assert np.array_equal(first["macro_f1"].draws, again["macro_f1"].draws)
    assert first["accuracy"].draws.shape == (50,)
    assert first["accuracy"].left_out.shape == (3,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "write a list of image_id and probabilities"),
        ([{"image_id": 1, "probabilities": [1, 0, 0]}], "predict on the part"),
        ([{"image_id": n, "probabilities": [1, 0]} for n in range(1, 7)], "give 3 finite"),
        ([{"image_id": n, "probabilities": [1, 0, 0]} for n in (1, 2, 3, 4, 5, 6, 6)], "twice"),
    ],
)
def test_predictions_that_do_not_fit_are_named_errors(home, rows, message):
    path = home / "predictions.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(MeasurementError, match=message):
        evaluated(home, path)


def test_a_detection_set_is_refused(home):
    content = json.loads((home / "annotations.json").read_text())
    del content["info"]
    (home / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="needs a dataset for classification"):
        evaluated(home, predict(home, SAID))


def test_controls(home):
    out = home / "predictions.json"
    control_classes("class_prior", home, "clean", out)
    assert [row["probabilities"] for row in json.loads(out.read_text())] == [[0.5, 0.5, 0]] * 6
    control_classes("memoriser", home, "clean", out)
    said = [row["probabilities"] for row in json.loads(out.read_text())]
    assert said == [[0, 1, 0], *[[0.5, 0.5, 0]] * 5]  # p0 shows the steel of p7, which is a b
    assert evaluated(home, out)["figures"]["n_images"] == 6
    with pytest.raises(ConfigError, match="memoriser, class_prior"):
        control_classes("oracle", home, "clean", out)
