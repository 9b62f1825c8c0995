"""Escape and overkill by hand; the threshold with the best F1."""

import pytest
from measure_cases import make_box, make_truth, random_case

from defectbench.measure.bootstrap import match
from defectbench.measure.operating_point import best_f1_threshold, escape_at_overkill

HERE, AWAY = [0, 0, 40, 40], [100, 100, 40, 40]


def test_defect_free_images_are_the_base_where_there_are_enough():
    truth = make_truth([[(0, HERE)], [(1, HERE)], *[[] for _ in range(20)]])
    results = [make_box(1, 0, HERE, 0.9), make_box(2, 1, HERE, 0.3)]
    results += [make_box(3, 0, AWAY, 0.5), make_box(4, 0, AWAY, 0.4)]
    found = escape_at_overkill(truth, results, overkill_rate=0.05)
    assert (found.overkill_base, found.n_overkill_base) == ("defect_free_images", 20)
    # One of 20 may be rejected, so the threshold is the second false alarm; 0.3 then escapes.
    assert (found.threshold, found.escape_rate_images, found.escape_rate_boxes) == (0.4, 0.5, 0.5)
    strict = escape_at_overkill(truth, results, overkill_rate=0.0)
    assert (strict.threshold, strict.escape_rate_images) == (0.5, 0.5)
    loose = escape_at_overkill(truth, results, overkill_rate=1.0)
    assert (loose.threshold, loose.escape_rate_images) == (0.0, 0.0)


def test_without_defect_free_images_false_alarms_on_all_images_count():
    truth = make_truth([[(0, HERE)], [(0, HERE), (0, AWAY)]])
    results = [make_box(1, 0, AWAY, 0.8), make_box(1, 0, HERE, 0.7), make_box(2, 1, HERE, 0.9)]
    found = escape_at_overkill(truth, results, overkill_rate=0.0)
    assert (found.overkill_base, found.n_overkill_base) == ("all_images", 2)
    assert found.threshold == 0.8
    # Image 2 is rejected (by a box of another class); one of its boxes and image 1 are not seen.
    assert found.escape_rate_images == 0.5
    assert found.escape_rate_boxes == pytest.approx(2 / 3)


def test_no_detection_lets_everything_pass_and_no_defect_gives_no_rate():
    assert escape_at_overkill(make_truth([[(0, HERE)]]), []).escape_rate_images == 1.0
    nothing = escape_at_overkill(make_truth([[]]), [])
    assert (nothing.escape_rate_images, nothing.n_defective_images) == (None, 0)


def test_escape_falls_as_overkill_rises():
    truth, results = random_case(4, images=60)
    rates = [
        escape_at_overkill(truth, results, rate).escape_rate_images for rate in (0, 0.1, 0.3, 1)
    ]
    assert rates == sorted(rates, reverse=True)


def test_best_f1_by_hand():
    truth = make_truth([[(0, HERE), (0, AWAY)]])
    results = [make_box(1, 0, HERE, 0.9), make_box(1, 0, AWAY, 0.6)]
    results += [make_box(1, 0, [60, 0, 9, 9], s) for s in (0.4, 0.2)]
    assert best_f1_threshold(match(truth, results)) == (0.5, 1.0)
    assert best_f1_threshold(match(truth, results[2:])) == (0.25, 0.0)


def test_equal_scores_are_taken_together():
    truth = make_truth([[(0, HERE)]])
    results = [make_box(1, 0, HERE, 0.5), make_box(1, 0, AWAY, 0.5)]
    threshold, f1 = best_f1_threshold(match(truth, results))
    assert (threshold, f1) == (0.25, pytest.approx(2 / 3))
