"""Intervals cover, paired differences are told apart, seeds aggregate to Student's interval."""

import math

import numpy as np
import pytest
from measure_cases import make_box, make_truth, random_case
from scipy import stats

from defectbench.base.errors import MeasurementError
from defectbench.measure.bootstrap import match
from defectbench.measure.evaluator import score
from defectbench.measure.seeds import Runs, difference_of
from defectbench.measure.statistics import (
    aggregate_seeds,
    bootstrap_precision,
    corrected_interval,
    percentile_interval,
    resample_weights,
    resampled_precision,
)


def steel(images, found, seed=0):
    """One box an image; each is found with the given probability."""
    random = np.random.default_rng(seed)
    truth = make_truth([[(0, [5, 5, 40, 40])] for _ in range(images)], classes=1)
    hits = random.random(images) < found
    results = [make_box(n + 1, 0, [5, 5, 40, 40], 0.9) for n in np.flatnonzero(hits)]
    return truth, results


def test_interval_contains_the_evaluators_figure():
    truth, results = random_case(0, images=40)
    groups = [str(n // 2) for n in range(40)]
    intervals = bootstrap_precision(match(truth, results), groups, resamples=300)
    for name, expected in (
        ("map50", score(truth, results).map50),
        ("map50_95", score(truth, results).map50_95),
    ):
        assert intervals[name].estimate == pytest.approx(expected, abs=1e-9)
        assert intervals[name].low <= expected <= intervals[name].high
        assert (intervals[name].n, intervals[name].unit) == (20, "groups")


def test_larger_groups_widen_the_interval():
    truth, results = random_case(1, images=60)
    matches = match(truth, results)
    width = {}
    for size in (1, 12):
        one = bootstrap_precision(matches, [str(n // size) for n in range(60)], 400)["map50"]
        width[size] = one.high - one.low
    assert width[12] != width[1]
    certain = bootstrap_precision(matches, ["one"] * 60, 50)["map50"]
    assert certain.low == certain.high == pytest.approx(certain.estimate)


def one_run(case, groups, figure="map50"):
    return Runs((0,), (resampled_precision(match(*case), groups, 400)[figure],))


def test_clear_difference_is_seen_and_a_tie_is_not():
    groups = [str(n) for n in range(80)]
    good, poor = one_run(steel(80, 0.95), groups), one_run(steel(80, 0.4, seed=1), groups)
    better, worse = difference_of(good, poor), difference_of(poor, good)
    assert better.interval.low > 0
    assert better.p_value < 0.01
    assert (worse.interval.low, worse.p_value) == pytest.approx(
        (-better.interval.high, better.p_value), abs=0.01
    )
    same = difference_of(one_run(steel(80, 0.7, 2), groups), one_run(steel(80, 0.7, 3), groups))
    assert same.interval.low < 0 < same.interval.high
    assert same.p_value > 0.05
    equal = difference_of(poor, poor)
    assert (equal.interval.estimate, equal.p_value) == (0.0, 1.0)


def test_methods_scored_on_other_groups_are_refused():
    one, two = (one_run(steel(n, 0.5), [str(g) for g in range(n)]) for n in (5, 6))
    with pytest.raises(MeasurementError, match="compare on one test part"):
        difference_of(one, two)


def test_weights_leave_out_each_group_then_draw():
    weights = resample_weights(["b", "a", "b"], 5)
    assert weights.shape == (1 + 2 + 5, 3)
    assert weights[:3].tolist() == [[1, 1, 1], [1, 0, 1], [0, 1, 0]]
    assert (weights[3:, 0] == weights[3:, 2]).all()


def test_seeds_by_hand():
    found = aggregate_seeds([0.5, 0.6, 0.7])
    reach = 4.302652729911275 * 0.1 / math.sqrt(3)
    assert found.estimate == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((0.6 - reach, 0.6 + reach))
    assert math.isnan(aggregate_seeds([0.5]).low)
    with pytest.raises(MeasurementError):
        aggregate_seeds([])


def test_corrected_interval_equals_scipy():
    data = np.random.default_rng(0).exponential(size=30)
    random = np.random.default_rng(1)
    draws = np.array([random.choice(data, 30).mean() for _ in range(20_000)])
    left_out = np.array([np.delete(data, n).mean() for n in range(30)])
    # as far out as Student's interval of a mean, whose resamples spread too little
    reach = math.sqrt(30 / 29) * stats.t.ppf(0.975, 29)
    expected = stats.bootstrap(
        (data,),
        np.mean,
        confidence_level=1 - 2 * stats.norm.sf(reach),
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(2),
    ).confidence_interval
    found = corrected_interval(data.mean(), draws, left_out)
    assert found == pytest.approx((expected.low, expected.high), rel=0.02)


def test_few_groups_reach_as_far_as_students_interval():
    random = np.random.default_rng(0)
    data = random.standard_normal(8)
    draws = random.choice(data, (200_000, 8)).mean(axis=1)
    left_out = np.array([np.delete(data, n).mean() for n in range(8)])
    low, high = corrected_interval(data.mean(), draws, left_out)
    width = 2 * stats.t.ppf(0.975, 7) * data.std(ddof=1) / math.sqrt(8)
    assert high - low == pytest.approx(width, rel=0.08)


def test_interval_of_draws_on_one_side_is_the_percentile_interval():
    draws = np.array([0.0, 0.0, 0.0, 0.1])
    assert corrected_interval(0.2, draws, draws) == percentile_interval(draws)


def test_interval_of_nothing_is_refused():
    with pytest.raises(MeasurementError, match="only NaN"):
        percentile_interval(np.array([np.nan]))
