"""The evaluator equals pycocotools to 1e-9, and hand-made cases to the exact value."""

import contextlib
import io

import numpy as np
import pytest
from measure_cases import make_box, make_truth, random_case
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from defectbench.base.errors import MeasurementError
from defectbench.measure.evaluator import restrict, score


def reference(truth, results):
    """Precision [T, R, K, A] and recall [T, K, A] of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        found = coco.loadRes(results) if results else COCO()
        if not results:
            found.dataset = truth | {"annotations": []}
            found.createIndex()
        run = COCOeval(coco, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tied", [False, True])
def test_equals_pycocotools_on_random_cases(seed, tied):
    truth, results = random_case(seed, tied_scores=tied)
    run = reference(truth, results)
    ours = score(truth, results)
    expected = [ours.map50_95, ours.map50, ours.map75]
    expected += [ours.map_of_size(name) for name in ("small", "medium", "large")]
    theirs = np.where(run.stats[:6] < 0, np.nan, run.stats[:6])
    np.testing.assert_allclose(expected, theirs, atol=1e-9)
    np.testing.assert_allclose(ours.recall_100, run.stats[8], atol=1e-9)
    table = run.eval["precision"][:, :, :, 0, 2]
    by_class = np.where(table < 0, np.nan, table).mean(axis=1)
    np.testing.assert_allclose(ours.precision, by_class, atol=1e-9)


def test_more_than_100_boxes_of_a_class_are_cut():
    truth, results = random_case(3, detections=250, images=2)
    run = reference(truth, results)
    assert score(truth, results).map50_95 == pytest.approx(run.stats[0], abs=1e-9)


def test_crowd_boxes_count_for_nobody():
    truth, results = random_case(5)
    for box in truth["annotations"][::4]:
        box["iscrowd"] = 1
    run = reference(truth, results)
    assert score(truth, results).map50_95 == pytest.approx(run.stats[0], abs=1e-9)


def test_perfect_detection_scores_one():
    truth = make_truth([[(0, [10, 10, 50, 50])], [(1, [0, 0, 20, 20]), (0, [40, 40, 60, 60])]])
    results = [
        make_box(box["image_id"], box["category_id"], box["bbox"], 0.9)
        for box in truth["annotations"]
    ]
    scores = score(truth, results)
    assert (scores.map50_95, scores.map50, scores.map75, scores.recall_100) == (1, 1, 1, 1)
    assert (scores.map_of_size("small"), scores.map_of_size("medium")) == (1, 1)


def test_iou_of_exactly_one_half_counts_at_0_5_only():
    truth = make_truth([[(0, [0, 0, 10, 10])]])
    scores = score(truth, [make_box(1, 0, [0, 0, 10, 5], 0.9)])
    assert scores.map50 == 1.0
    assert scores.map50_95 == pytest.approx(0.1)


def test_half_the_boxes_found_gives_51_of_101_recall_points():
    truth = make_truth([[(0, [0, 0, 10, 10]), (0, [50, 50, 10, 10])]])
    assert score(truth, [make_box(1, 0, [0, 0, 10, 10], 0.9)]).map50 == pytest.approx(51 / 101)


def test_false_alarm_above_the_hit_halves_precision():
    truth = make_truth([[(0, [0, 0, 10, 10])]])
    results = [make_box(1, 0, [50, 50, 5, 5], 0.9), make_box(1, 0, [0, 0, 10, 10], 0.8)]
    assert score(truth, results).map50 == pytest.approx(0.5)


def test_first_true_box_is_found_whatever_its_id():
    """COCO's matching marks "free" with 0; a true box of id 0 must still count."""
    truth = make_truth([[(0, [0, 0, 10, 10])]])
    truth["annotations"][0]["id"] = 0
    assert score(truth, [make_box(1, 0, [0, 0, 10, 10], 0.9)]).map50 == 1.0


def test_absent_class_is_left_out_of_the_mean():
    truth = make_truth([[(0, [0, 0, 10, 10])]], classes=3)
    scores = score(truth, [make_box(1, 0, [0, 0, 10, 10], 0.9)])
    assert scores.map50 == 1.0
    assert np.isnan(scores.precision[0, 1:]).all()


def test_no_detection_scores_zero_and_no_true_box_scores_nan():
    truth = make_truth([[(0, [0, 0, 10, 10])]])
    assert score(truth, []).map50_95 == 0.0
    assert np.isnan(score(make_truth([[]]), []).map50_95)


def test_inputs_are_not_changed():
    truth, results = random_case(1)
    before = repr((truth, results))
    score(truth, results)
    assert repr((truth, results)) == before


def test_restriction_keeps_listed_images_and_their_boxes():
    truth = make_truth([[(0, [0, 0, 5, 5])], [(1, [0, 0, 5, 5])], []])
    part = restrict(truth, ["image2.png", "image3.png"], "test.txt")
    assert [image["id"] for image in part["images"]] == [2, 3]
    assert [box["image_id"] for box in part["annotations"]] == [2]
    with pytest.raises(MeasurementError, match="ghost"):
        restrict(truth, ["ghost.png"], "test.txt")
