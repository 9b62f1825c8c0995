"""Differences pooled over sets, and the seeds that would settle them: by hand, and on scores with a known truth."""

import numpy as np
import pytest
from scipy import stats

import pooled_coverage
from defectbench.base.errors import MeasurementError
from defectbench.measure.pooled import (
    GROUPS_LIMIT,
    ONE_SEED,
    TOO_CLOSE,
    SetDifference,
    pooled_difference,
    power_of,
    seeds_to_settle,
)
from defectbench.measure.spread import (
    Spread,
    VariancePart,
    pooled_spread,
    spread_of,
    spread_of_ends,
    spread_of_strangers,
)

NONE = np.zeros(())


def parted(trained, groups, seeds, n_groups, shared=0.0):
    """A spread with these variances of the mean."""
    training = (VariancePart(np.array(trained), seeds - 1),) if seeds > 1 else ()
    return Spread(training, VariancePart(np.array(groups), n_groups - 1), np.array(shared))


def on_a_set(difference, trained, groups, seeds=3, n_groups=30):
    return SetDifference(difference, parted(trained, groups, seeds, n_groups), seeds, n_groups)


def test_one_set_pooled_is_itself():
    one = on_a_set(0.03, 1e-4, 2e-4)
    made = pooled_difference([one])
    assert made.interval.high - made.interval.low == pytest.approx(
        2 * float(one.spread.reach(0.95))
    )
    assert (made.interval.estimate, made.interval.n) == (0.03, 1)
    assert made.p_value == pytest.approx(one.spread.p_value(0.03))


def test_sets_that_are_alike_halve_the_error_in_four():
    one = on_a_set(0.03, 1e-4, 2e-4)
    assert float(pooled_spread([one.spread] * 4).error()) == pytest.approx(
        float(one.spread.error()) / 2
    )


def test_degrees_of_freedom_of_sets_add_where_they_are_alike():
    trained, groups = pooled_spread([parted(1.0, 2.0, 2, 10)] * 5).parts
    assert float(trained.freedom) == pytest.approx(5)
    assert float(groups.freedom) == pytest.approx(45)
    assert float(trained.variance) == pytest.approx(1 / 5)


def test_a_set_that_is_all_noise_leaves_its_own_degrees_of_freedom():
    trained, _ = pooled_spread([parted(1.0, 0.0, 2, 10), parted(0.0, 0.0, 9, 10)]).parts
    assert float(trained.freedom) == pytest.approx(1)


def test_without_training_noise_it_is_students_mean_of_all_groups():
    """Two sets of one seed and as many groups each, alike in noise: Welch's test of a sum."""
    random = np.random.default_rng(0)
    first, second = random.standard_normal((2, 12)) + 0.5
    spreads = [spread_of(np.zeros(1), (s.sum() - s)[None] / 11) for s in (first, second)]
    sets = [
        SetDifference(float(s.mean()), spread, 1, 12)
        for s, spread in zip((first, second), spreads, strict=True)
    ]
    expected = stats.ttest_ind(first, -second, equal_var=False)
    made = pooled_difference(sets)
    assert made.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert made.interval.unit == "groups"


def test_a_set_with_one_seed_gives_the_networks():
    sets = [on_a_set(0.1, 1e-4, 1e-4), on_a_set(0.2, 0.0, 1e-4, seeds=1)]
    made = pooled_difference(sets)
    assert (made.interval.unit, made.interval.estimate) == ("groups", pytest.approx(0.15))
    assert seeds_to_settle(sets).limit == ONE_SEED


def test_no_set_is_an_error():
    with pytest.raises(MeasurementError, match="sets"):
        pooled_difference([])


def test_from_intervals_alone_methods_are_strangers():
    one, other = (spread_of_ends([0.5], [0.4], [0.6], 30) for _ in range(2))
    apart = spread_of_strangers(one, other)
    assert float(apart.error()) == pytest.approx(0.1 / stats.t.ppf(0.975, 29) * 2**0.5)
    assert apart.trainings == ()
    seeds = spread_of_ends([0.5, 0.6], [0.4, 0.5], [0.6, 0.7], 30)
    assert [np.round(float(p.freedom)) for p in spread_of_strangers(seeds, seeds).parts] == [
        1,
        1,
        58,
    ]


def test_more_seeds_leave_what_groups_do():
    spread = parted(9.0, 5.0, 3, 20, shared=3.0)
    more = spread.with_seeds(9)
    assert float(more.trainings[0].variance) == pytest.approx(3.0)
    assert float(more.groups.variance) == pytest.approx(2.0 + 1.0)
    assert float(more.error()) ** 2 == pytest.approx(3.0 + 3.0 - 1.0)
    assert float(spread.with_endless_seeds().error()) ** 2 == pytest.approx(2.0)


def test_power_without_noise_of_training_is_students():
    spread = parted(0.0, 1.0, 1, 20)
    told = stats.nct.sf(stats.t.ppf(0.975, 19), 19, 2.5)
    assert power_of(2.5, spread) == pytest.approx(told)
    assert (power_of(0.0, spread), power_of(1e6, spread)) == (0.0, 1.0)


@pytest.mark.parametrize("trained", [1e-5, 1e-4, 1e-3])
def test_the_number_of_seeds_is_the_fewest_with_the_power(trained):
    one = on_a_set(0.03, trained, 2e-5)
    settled = seeds_to_settle([one])
    assert settled.limit == ""
    assert power_of(0.03, one.spread.with_seeds(settled.seeds)) >= 0.8
    assert settled.seeds == 3 or power_of(0.03, one.spread.with_seeds(settled.seeds - 1)) < 0.8


def test_more_noise_asks_for_more_seeds_and_a_stricter_level_too():
    few, many = (seeds_to_settle([on_a_set(0.03, v, 2e-5)]).seeds for v in (1e-4, 1e-3))
    assert 3 <= few < many
    assert seeds_to_settle([on_a_set(0.03, 1e-3, 2e-5)], level=0.005).seeds > many


def test_where_groups_are_the_noise_no_number_of_seeds_helps():
    assert seeds_to_settle([on_a_set(0.01, 1e-6, 1e-4)]).limit == GROUPS_LIMIT


def test_a_difference_of_next_to_nothing_is_too_close():
    assert seeds_to_settle([on_a_set(1e-6, 1e-2, 0.0)]).limit == TOO_CLOSE
    assert seeds_to_settle([on_a_set(0.0, 1e-2, 1e-9)]).limit == TOO_CLOSE


@pytest.mark.parametrize("sets", [2, 4])
@pytest.mark.parametrize(("seeds", "ratio"), [(2, 0.2), (2, 2.0), (3, 0.5), (5, 2.0)])
def test_pooled_intervals_cover(sets, seeds, ratio):
    """A false alarm is a miss of zero; 4,000 draws tell 5 % to within 0.7 points."""
    random = np.random.default_rng([1, sets, seeds])
    covered = pooled_coverage.pooled_sets(random, sets, 20, seeds, ratio, draws=4000)
    assert 0.93 <= covered <= 0.985, covered


def test_sets_of_unequal_noise_are_covered_too():
    random = np.random.default_rng(2)
    covered = pooled_coverage.pooled_sets(random, 3, 20, 3, 0.5, draws=4000, scales=(1, 1, 4))
    assert 0.93 <= covered <= 0.985, covered


@pytest.mark.parametrize(
    ("sets", "difference", "ratio"), [(1, 1.0, 0.2), (1, 3.5, 1.0), (3, 1.2, 0.5)]
)
def test_the_stated_number_of_seeds_has_the_stated_power(sets, difference, ratio):
    """Rounding up to whole seeds gives more than 80 %; one seed fewer gives less."""
    random = np.random.default_rng(3)
    told = pooled_coverage.power_of_seeds(random, sets, 40, difference, ratio, draws=4000)
    assert told["seeds"] is not None
    assert 0.76 <= told["power"] <= 0.93, told
    if told["seeds"] > 3:
        assert told["power_of_one_fewer"] < 0.82, told


def test_equal_methods_are_told_apart_in_one_study_of_twenty_at_most():
    random = np.random.default_rng(4)
    told = pooled_coverage.equal_methods(random, 5, 3, 20, 3, 1.0, draws=2000)
    assert told["any_told_holm"] <= 0.06
    assert told["any_told_uncorrected"] > 0.15
