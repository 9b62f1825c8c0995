"""Resampled average precision equals the evaluator on the resampled dataset."""

import numpy as np
import pytest
from measure_cases import make_box, make_truth, random_case

from defectbench.measure.bootstrap import (
    group_weights,
    match,
    mean_precision,
    pairwise_iou,
    weighted_precision,
)
from defectbench.measure.evaluator import score


def repeated(truth, results, weights):
    """The dataset with every image repeated as often as its weight says."""
    images, boxes, found, ids = [], [], [], {}
    for image, weight in zip(truth["images"], weights, strict=True):
        for _ in range(weight):
            images.append(image | {"id": len(images) + 1})
            ids.setdefault(image["id"], []).append(len(images))
    for source, target in ((truth["annotations"], boxes), (results, found)):
        for row in source:
            target += [row | {"image_id": new} for new in ids.get(row["image_id"], [])]
    for number, box in enumerate(boxes, start=1):
        box["id"] = number
    return truth | {"images": images, "annotations": boxes}, found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tied", [False, True])
def test_weight_one_is_the_evaluator(seed, tied):
    truth, results = random_case(seed, tied_scores=tied)
    ones = np.ones((1, len(truth["images"])), dtype=int)
    precision = weighted_precision(match(truth, results), ones)
    np.testing.assert_allclose(precision[0], score(truth, results).precision, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_whole_weights_are_repeated_images(seed):
    truth, results = random_case(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (1, len(truth["images"])))
    precision = weighted_precision(match(truth, results), weights)
    expected = score(*repeated(truth, results, weights[0].tolist())).precision
    np.testing.assert_allclose(precision[0], expected, atol=1e-9)


def test_rows_do_not_depend_on_each_other():
    truth, results = random_case(2)
    matches = match(truth, results)
    weights = group_weights([str(n // 2) for n in range(len(truth["images"]))], 20)
    together = weighted_precision(matches, weights)
    alone = np.concatenate([weighted_precision(matches, row[None]) for row in weights])
    np.testing.assert_array_equal(together, alone)


def test_groups_are_drawn_whole_and_as_often_as_there_are_groups():
    groups = ["a", "a", "b", "c", "c", "c"]
    weights = group_weights(groups, 500, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    np.testing.assert_array_equal(weights, group_weights(groups, 500, seed=1))
    assert abs(weights[:, 0].mean() - 1) < 0.15


def test_class_without_a_drawn_true_box_is_left_out():
    truth = make_truth([[(0, [0, 0, 9, 9])], [(1, [0, 0, 9, 9])]])
    results = [make_box(1, 0, [0, 0, 9, 9], 0.9)]
    precision = weighted_precision(match(truth, results), np.array([[2, 0], [0, 1], [1, 1]]))
    assert mean_precision(precision)["map50"].tolist() == [1.0, 0.0, 0.5]


def test_nothing_drawn_is_not_a_number():
    truth = make_truth([[(0, [0, 0, 9, 9])]])
    assert np.isnan(mean_precision(weighted_precision(match(truth, []), np.array([[0]])))["map50"])


def test_iou_by_hand():
    first = np.array([[0, 0, 10, 10], [5, 5, 0, 0]], float)
    second = np.array([[0, 0, 10, 5], [20, 20, 1, 1], [5, 5, 0, 0]], float)
    assert pairwise_iou(first, second).tolist() == [[0.5, 0, 0], [0, 0, 0]]
