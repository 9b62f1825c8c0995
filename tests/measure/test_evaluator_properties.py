"""What must hold for any truth and any result list."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from measure_cases import make_box, random_case

from defectbench.measure.evaluator import score

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_order_of_results_does_not_matter(seed):
    truth, results = random_case(seed, images=5)
    shuffled = [results[n] for n in np.random.default_rng(seed).permutation(len(results))]
    np.testing.assert_array_equal(score(truth, shuffled).precision, score(truth, results).precision)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_only_the_order_of_scores_matters(seed):
    truth, results = random_case(seed, images=5)
    squared = [row | {"score": row["score"] ** 2 / 7} for row in results]
    np.testing.assert_array_equal(score(truth, squared).precision, score(truth, results).precision)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_a_false_alarm_below_all_others_changes_nothing(seed):
    truth, results = random_case(seed, images=5, detections=20)
    lower = [*results, make_box(1, 0, [190, 190, 5, 5], -1.0)]
    np.testing.assert_array_equal(score(truth, lower).precision, score(truth, results).precision)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_precision_falls_with_the_threshold_and_stays_within_0_and_1(seed):
    truth, results = random_case(seed, images=8)
    precision = score(truth, results).precision
    known = precision[:, ~np.isnan(precision).any(axis=0)]
    assert (np.diff(known, axis=0) <= 1e-12).all()
    assert ((known >= 0) & (known <= 1)).all()


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_the_truth_at_the_top_scores_one(seed):
    truth, results = random_case(seed, images=5, detections=20)
    perfect = [
        make_box(box["image_id"], box["category_id"], box["bbox"], 2.0)
        for box in truth["annotations"]
    ]
    precision = score(truth, perfect + results).precision
    np.testing.assert_allclose(precision[~np.isnan(precision)], 1.0)
