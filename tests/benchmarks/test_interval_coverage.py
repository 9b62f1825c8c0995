"""Intervals cover what they say, by simulation with a known truth; a part of benchmarks/interval_coverage.py."""

import numpy as np
import pytest

import interval_coverage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("groups", [8, 60])
@pytest.mark.parametrize(
    ("seeds", "together", "most"),
    [(2, 0.0, 0.98), (2, 0.5, 0.985), (3, 0.0, 0.975), (5, 0.5, 0.975)],
)
def test_intervals_over_seeds_and_groups_cover(groups, seeds, together, most):
    random = np.random.default_rng(0)
    found = {
        ratio: interval_coverage.several_seeds(
            random, "normal", groups, seeds, ratio, together, 4000
        )
        for ratio in interval_coverage.RATIOS
    }
    assert min(found.values()) >= 0.92, found
    assert max(found.values()) <= most, found


def test_what_they_replace_covers_too_little():
    assert interval_coverage.before(np.random.default_rng(0), 60, 3, 0.2, 200) < 0.85


@pytest.mark.parametrize(("groups", "least"), [(8, 0.9), (60, 0.92)])
def test_intervals_of_a_given_network_cover(groups, least):
    found = interval_coverage.one_network(np.random.default_rng(0), "normal", groups, 1000)
    assert least <= found <= 0.98


def test_equal_methods_are_seldom_told_apart():
    told = interval_coverage.equal_methods(np.random.default_rng(0), 6, 3, 60, 1.0, 60)
    assert told["any_told_holm"] <= 0.15
    assert told["any_told_holm"] < told["any_told_uncorrected"]
    assert told["all_told_holm"] <= 0.05
