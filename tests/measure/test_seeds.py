"""Scores and differences over seeds and groups, and the correction for many of them."""

import numpy as np
import pytest

from defectbench.base.errors import MeasurementError
from defectbench.measure.seeds import (
    Runs,
    difference_of,
    holm,
    mean_over_records,
    score_over,
    score_over_records,
)
from defectbench.measure.statistics import Resampled


def runs(scores, seeds=None, resamples=200):
    """Runs whose figure is a mean over groups, from scores [S, G]."""
    scores = np.asarray(scores, dtype=float)
    groups = scores.shape[1]
    weights = (
        np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), resamples)
        / groups
    )
    made = []
    for row in scores:
        left_out = (row.sum() - row) / (groups - 1)
        made.append(Resampled(float(row.mean()), left_out, weights @ row))
    return Runs(tuple(seeds or range(len(scores))), tuple(made))


def noisy(seeds=3, groups=40, level=0.5, training=0.05, seed=0):
    random = np.random.default_rng(seed)
    of_seed = training * random.standard_normal((seeds, 1))
    return np.clip(level + of_seed + 0.1 * random.standard_normal((seeds, groups)), 0, 1)


def test_one_network_is_given_and_several_are_not():
    scores = noisy()
    one, three = score_over(runs(scores[:1])), score_over(runs(scores))
    assert (one.unit, one.n) == ("groups", 40)
    assert (three.unit, three.n) == ("seeds and groups", 3)
    assert three.estimate == pytest.approx(scores.mean())
    assert three.low < three.estimate < three.high


def test_a_score_stays_within_0_and_1():
    wild = score_over(runs([[0.1] * 9, [0.9] * 9]))
    assert (wild.low, wild.high) == (0.0, 1.0)
    known = score_over_records([0.1, 0.9], [0.1, 0.9], [0.1, 0.9], 9)
    assert (known.low, known.high) == (0.0, 1.0)
    assert mean_over_records([0.1, 0.9], [0.1, 0.9], [0.1, 0.9], 9).low < 0


def test_one_record_keeps_its_interval():
    only = score_over_records([0.5], [0.4], [0.7], 9)
    assert (only.estimate, only.low, only.high, only.n, only.unit) == (0.5, 0.4, 0.7, 9, "groups")
    with pytest.raises(MeasurementError, match="at least one finished seed"):
        mean_over_records([], [], [], 9)


def test_shared_groups_cancel_in_a_difference():
    hard = np.random.default_rng(1).uniform(0, 0.5, 40)
    first, second = hard + 0.3 + noisy(level=0) / 10, hard + 0.25 + noisy(level=0, seed=2) / 10
    made = difference_of(runs(first), runs(second))
    alone = score_over(runs(first))
    assert made.interval.high - made.interval.low < (alone.high - alone.low) / 3
    assert made.interval.unit == "seeds and groups"
    assert made.p_value < 0.05


def test_training_noise_of_one_seed_is_unknown():
    made = difference_of(runs(noisy()), runs(noisy(seeds=1, seed=3)))
    assert (made.interval.unit, made.interval.n) == ("groups", 40)


def test_other_seeds_spread_each_for_itself():
    first, second = runs(noisy()), runs(noisy(seed=4), seeds=(3, 4, 5))
    paired = difference_of(first, runs(noisy(seed=4)))
    apart = difference_of(first, second)
    assert apart.interval.estimate == paired.interval.estimate
    assert apart.interval.unit == "seeds and groups"
    assert apart.interval.low != paired.interval.low


def test_runs_of_some_seeds():
    some = runs(noisy(), seeds=(0, 1, 7)).of_seeds([7, 0])
    assert some.seeds == (0, 7)
    assert some.values.tolist() == [runs(noisy()).values[0], runs(noisy()).values[2]]


def test_a_group_that_alone_has_boxes_is_not_left_out():
    scores = noisy(groups=6)
    made = runs(scores)
    one = made.resampled[0]
    holed = Resampled(one.whole, np.array([np.nan, *one.left_out[1:]]), one.draws)
    found = score_over(Runs(made.seeds, (holed, *made.resampled[1:])))
    assert found.low < found.estimate < found.high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
