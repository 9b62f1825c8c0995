"""Controls on hand-made data: copied boxes, typical boxes, the truth, a second annotator."""

import csv

import numpy as np
import pytest
from measure_cases import make_truth

from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.base.files import atomic_write_json, read_json
from defectbench.measure.agreement import Overlap, label_agreement, labels_by_image
from defectbench.measure.controls import control
from defectbench.measure.evaluator import score
from defectbench.measure.label_jitter import fit_jitter, jitter


def dataset(folder, truth, train, test, overlaps=(), protocol="clean"):
    """Write what a control reads."""
    atomic_write_json(folder / "annotations.json", truth)
    part = folder / protocol / "split0"
    part.mkdir(parents=True, exist_ok=True)
    for name, ids in (("train", train), ("test", test)):
        (part / f"{name}.txt").write_text("".join(f"image{n}.png\n" for n in ids))
    with (folder / "overlaps.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_a", "image_b", "dx", "dy", "correlation", "shared_area", "kind"])
        writer.writerows([*row, "shift"] if len(row) == 6 else row for row in overlaps)
    return folder


def test_memoriser_shifts_clips_and_scores(tmp_path):
    truth = make_truth([[(1, [10, 20, 40, 40]), (0, [150, 150, 20, 20])], []])
    pair = ("image2.png", "image1.png", 0, 0, 0.9, 0.5)
    shifted = (*pair[:2], -30, 100, *pair[4:])
    folder = dataset(tmp_path, truth, [1], [2], [shifted])
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    # Class 1 moves to x -20..20, so half of it stays; class 0 leaves the image below.
    assert results == [
        {"image_id": 2, "category_id": 1, "bbox": [0.0, 120.0, 20.0, 40.0], "score": 0.225}
    ]
    assert read_json(tmp_path / "predictions.json") == results


def test_memoriser_reads_a_pair_from_either_side(tmp_path):
    truth = make_truth([[], [(0, [50, 50, 40, 40])]])
    folder = dataset(tmp_path, truth, [2], [1], [("image2.png", "image1.png", 30, 10, 1.0, 0.8)])
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert results[0]["bbox"] == [20.0, 40.0, 40.0, 40.0]


def test_memoriser_knows_nothing_without_a_leak(tmp_path):
    truth = make_truth([[(0, [0, 0, 40, 40])], [(0, [0, 0, 40, 40])], []])
    pairs = [("image2.png", "image3.png", 0, 0, 1.0, 1.0)]
    folder = dataset(tmp_path, truth, [1], [2, 3], pairs)
    assert control("memoriser", folder, "clean", tmp_path / "predictions.json") == []


def test_memoriser_merges_at_iou_0_4(tmp_path):
    truth = make_truth([[(0, [0, 0, 40, 40])], [(0, [0, 0, 40, 36])], []])
    pairs = [("image3.png", f"image{n}.png", 0, 0, 1.0, 0.5 + n / 10) for n in (1, 2)]
    folder = dataset(tmp_path, truth, [1, 2], [3], pairs)
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert [row["bbox"][3] for row in results] == [36.0]


def test_class_prior_says_the_typical_boxes_for_every_image(tmp_path):
    layout = [[(0, [10, 10, 50, 50])]] * 3 + [[(1, [0, 0, 200, 20])]] + [[], []]
    truth = make_truth(layout)
    folder = dataset(tmp_path, truth, [1, 2, 3, 4], [5, 6])
    results = control("class_prior", folder, "clean", tmp_path / "predictions.json")
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [
        (5, 0, 0.75),
        (5, 1, 0.25),
        (6, 0, 0.75),
        (6, 1, 0.25),
    ]
    assert results[0]["bbox"] == [10.0, 10.0, 50.0, 50.0]


def crowded(images=40):
    random = np.random.default_rng(0)
    return make_truth(
        [
            [(int(random.integers(2)), [*random.uniform(0, 100, 2), *random.uniform(20, 90, 2)])]
            for _ in range(images)
        ]
    )


def test_oracle_scores_one(tmp_path):
    truth = crowded()
    folder = dataset(tmp_path, truth, [1], range(1, 41))
    results = control("oracle", folder, "clean", tmp_path / "predictions.json")
    assert score(truth, results).map50_95 == pytest.approx(1.0)


def test_label_jitter_lies_between_and_depends_on_the_seed(tmp_path):
    truth = crowded(200)
    folder = dataset(tmp_path, truth, [1], range(1, 201))
    first = control("label_jitter", folder, "clean", tmp_path / "a.json", seed=0)
    again = control("label_jitter", folder, "clean", tmp_path / "b.json", seed=0)
    other = control("label_jitter", folder, "clean", tmp_path / "c.json", seed=1)
    assert first == again != other
    scores = score(truth, first)
    assert 0.55 < scores.map50 < 0.9
    assert scores.map75 < scores.map50


def test_jitter_is_fitted_to_the_agreement():
    random = np.random.default_rng(1)
    boxes = np.concatenate([random.uniform(0, 99, (800, 2)), random.uniform(9, 99, (800, 2))], 1)
    noise = random.standard_normal(boxes.shape)
    assert fit_jitter(boxes, noise, 1.0, 1.0)[1] == 0.0
    sigma, misplaced = fit_jitter(boxes, noise, 0.85, 0.54)
    assert 0.02 < sigma < 0.2
    assert 0.0 < misplaced < 0.2
    np.testing.assert_allclose(jitter(boxes, noise, 0.0), boxes)


def test_agreement_by_hand():
    # Image 2 shows image 1 shifted by 100 px: x 100..200 of the first is x 0..100 of the second.
    first = [(0, [110, 10, 40, 40]), (1, [120, 100, 40, 40]), (0, [10, 10, 40, 40])]
    second = [(0, [10, 10, 40, 20]), (0, [20, 100, 40, 40])]
    labels = labels_by_image(make_truth([first, second]))
    half = label_agreement(labels, [Overlap(1, 2, 100.0, 0.0, 0.9, 0.5)])
    assert sorted(half.tolist()) == [0.0, 0.0, 0.5, 0.5]
    assert label_agreement(labels, [Overlap(1, 2, 100.0, 0.0, 0.9, 0.29)]).size == 0
    assert label_agreement(labels, []).size == 0


def test_wrong_kind_and_foreign_lists_are_named(tmp_path):
    folder = dataset(tmp_path, make_truth([[]]), [1], [1])
    with pytest.raises(ConfigError, match="control: got 'magic'"):
        control("magic", folder, "clean", tmp_path / "p.json")
    (folder / "clean" / "split0" / "test.txt").write_text("ghost.png\n")
    with pytest.raises(MeasurementError, match="ghost"):
        control("oracle", folder, "clean", tmp_path / "p.json")


def test_a_dataset_of_another_task_is_refused(tmp_path):
    truth = {"info": {"task": "classification"}, **make_truth([[(0, [0, 0, 40, 40])], []])}
    folder = dataset(tmp_path, truth, [1], [2])
    with pytest.raises(ConfigError, match=r"annotations\.json: task: got 'classification'"):
        control("oracle", folder, "clean", tmp_path / "p.json")
