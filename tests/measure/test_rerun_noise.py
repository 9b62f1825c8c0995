"""Noise of training: by hand, and its false alarms on simulated trainings of known spread."""

import numpy as np
import pytest
from scipy import stats

from defectbench.measure.rerun_noise import pooled_noise


def test_what_is_pooled_is_relative_to_the_mean():
    noise = pooled_noise({"low": [0.09, 0.11], "high": [0.44, 0.56], "lone": [0.7]}, "two seeds")
    # they deviate by 10 % and 12 % of their means to both sides, with one degree of freedom each
    pooled = np.sqrt((2 * 0.1**2 + 2 * 0.12**2) / 2)
    assert noise.relative == pytest.approx(pooled)
    assert (noise.freedom, noise.runs, set(noise.by_method)) == (2, 4, {"high"})
    assert noise.deviation("low", 0.2) == pytest.approx(0.2 * pooled)
    assert "differs by 15.6 % of its score" in noise.told
    assert "4 trainings show: two seeds" in noise.told


def test_a_method_that_spreads_more_has_its_own():
    noise = pooled_noise({"calm": [0.49, 0.51], "wild": [0.4, 0.6]}, "two seeds")
    assert noise.deviation("wild", 0.5) == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert noise.deviation("calm", 0.5) == noise.deviation("unmeasured", 0.5)


def test_the_reach_is_students():
    noise = pooled_noise({"net": [0.4, 0.5, 0.6]}, "three seeds")
    deviation = np.std([0.4, 0.5, 0.6], ddof=1)
    expected = stats.t.ppf(0.975, 2) * deviation * np.sqrt(1 / 3 + 1)
    assert noise.reach("net", 0.5, 3, 1, 0.05) == pytest.approx(expected)


@pytest.mark.parametrize("scores", [{}, {"a": [0.4]}, {"a": [0.4, 0.5]}, {"a": [0.0, 0.0, 0.0]}])
def test_too_few_trainings_tell_nothing(scores):
    assert pooled_noise(scores, "none") is None


@pytest.mark.parametrize(("methods", "seeds"), [(8, 1), (4, 3)])
def test_false_alarms_are_no_more_than_is_said(methods, seeds):
    """Trainings without a change: how often is any of the methods told to have moved?"""
    random = np.random.default_rng(5)
    means, level, trials = np.linspace(0.1, 0.6, methods), 0.05, 2000
    alarms = 0
    for _ in range(trials):
        draws = means[:, None] * (1 + 0.08 * random.standard_normal((methods, 5)))
        noise = pooled_noise({str(n): list(row) for n, row in enumerate(draws)}, "simulated")
        before = means * (1 + 0.08 * random.standard_normal((seeds, methods))).mean(0)
        after = means * (1 + 0.08 * random.standard_normal((seeds, methods))).mean(0)
        reach = [
            noise.reach(str(n), score, seeds, seeds, level / methods)
            for n, score in enumerate(before)
        ]
        alarms += bool((np.abs(after - before) > reach).any())
    assert alarms / trials < level + 2 * np.sqrt(level * (1 - level) / trials)
