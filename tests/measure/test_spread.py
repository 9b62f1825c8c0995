"""The variance of a mean over seeds and groups, by hand and against the model that it comes from."""

import math

import numpy as np
import pytest
from scipy import stats

from defectbench.measure.spread import Spread, VariancePart, spread_apart, spread_of, spread_of_ends

NONE = np.zeros(())


def without_each(scores):
    return (scores.sum(axis=-1, keepdims=True) - scores) / (scores.shape[-1] - 1)


def of_scores(scores):
    return spread_of(scores.mean(axis=-1), without_each(scores))


def test_one_seed_has_students_interval_over_groups():
    scores = np.random.default_rng(0).standard_normal((1, 12))
    expected = stats.ttest_1samp(scores[0], 0.0)
    spread = of_scores(scores)
    low = scores.mean() - spread.reach(0.95)
    assert float(low) == pytest.approx(expected.confidence_interval(0.95).low)
    assert spread.p_value(float(scores.mean())) == pytest.approx(expected.pvalue, rel=1e-6)
    assert spread.trainings == ()


def test_groups_that_say_the_same_leave_students_interval_over_seeds():
    scores = np.repeat([[0.5], [0.6], [0.7]], 9, axis=1)
    reach = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert float(of_scores(scores).reach(0.95)) == pytest.approx(reach)


def test_seeds_that_say_the_same_leave_students_interval_over_groups():
    one = np.random.default_rng(1).standard_normal((1, 20))
    assert float(of_scores(np.repeat(one, 3, axis=0)).reach(0.95)) == pytest.approx(
        float(of_scores(one).reach(0.95))
    )


def test_nothing_is_counted_twice():
    """The estimates of the three parts, and of the whole, are right on average."""
    random = np.random.default_rng(2)
    draws, seeds, groups = 4000, 3, 15
    of_seed, of_group, left = 0.5, 1.0, 2.0
    scores = of_seed * random.standard_normal((draws, seeds, 1))
    scores = scores + of_group * random.standard_normal((draws, 1, groups))
    scores = scores + left * random.standard_normal((draws, seeds, groups))
    spread = of_scores(scores)
    together = left**2 / (seeds * groups)
    assert spread.trainings[0].variance.mean() == pytest.approx(
        of_seed**2 / seeds + together, rel=0.05
    )
    assert spread.groups.variance.mean() == pytest.approx(of_group**2 / groups + together, rel=0.05)
    assert spread.shared.mean() == pytest.approx(together, rel=0.05)
    whole = scores.mean(axis=(1, 2)).var()
    parts = spread.trainings[0].variance + spread.groups.variance - spread.shared
    assert parts.mean() == pytest.approx(whole, rel=0.06)


def test_the_error_is_never_under_that_of_a_part():
    spread = Spread(
        (VariancePart(np.array(1.0), 2),), VariancePart(np.array(4.0), 9), np.array(3.0)
    )
    assert float(spread.error()) == 2.0


def test_few_seeds_that_agree_by_chance_do_not_make_groups_trusted():
    """With two seeds half of the noise in training asks for more than Satterthwaite's four degrees of freedom."""
    half = VariancePart(np.array(1.0), 1)
    quantile = float(Spread((half,), VariancePart(np.array(1.0), 199), NONE).quantile(0.95))
    assert stats.t.ppf(0.975, 4) < quantile < stats.t.ppf(0.975, 1)


def test_no_noise_has_no_width_and_no_doubt():
    scores = np.full((3, 5), 0.5)
    spread = of_scores(scores)
    assert float(spread.reach(0.95)) == 0.0
    assert (spread.p_value(0.1), spread.p_value(0.0)) == (0.0, 1.0)


def test_the_p_value_is_where_the_interval_touches_zero():
    scores = 0.4 + np.random.default_rng(3).standard_normal((3, 25))
    spread = of_scores(scores)
    p_value = spread.p_value(float(scores.mean()))
    assert float(spread.reach(1 - p_value)) == pytest.approx(abs(scores.mean()), rel=1e-6)


def test_seeds_of_two_methods_spread_apart():
    random = np.random.default_rng(4)
    first, second = random.standard_normal((3, 10)), random.standard_normal((2, 10))
    pairs = [(s.mean(axis=-1), without_each(s)) for s in (first, second)]
    spread = spread_apart(*pairs)
    assert [part.freedom for part in spread.parts] == [2, 1, 9]
    apart = first.mean(axis=0) - second.mean(axis=0)
    assert float(spread.groups.variance) == pytest.approx(apart.var(ddof=1) / 10)


def test_from_intervals_alone_it_is_never_narrower():
    scores = np.random.default_rng(5).standard_normal((3, 18)) + np.arange(3)[:, None]
    values, reach = scores.mean(axis=-1), stats.t.ppf(0.975, 17) * stats.sem(scores, axis=-1)
    spread = spread_of_ends(values, values - reach, values + reach, 18)
    assert float(spread.reach(0.95)) >= float(of_scores(scores).reach(0.95))
    assert float(spread.groups.variance) == pytest.approx((scores.var(axis=-1, ddof=1) / 18).mean())


def test_one_group_tells_nothing_of_groups():
    spread = spread_of(np.array([0.5, 0.7]), np.full((2, 0), np.nan))
    assert [part.freedom for part in spread.parts] == [1]
    assert math.isnan(float(spread_of(np.array([0.5]), np.zeros((1, 0))).reach(0.95)))
