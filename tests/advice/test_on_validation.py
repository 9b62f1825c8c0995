"""The choice is made on validation: fast where that costs nothing that can be told, and never by the test part."""

import numpy as np
import pytest
from tests.advice.small_cell import write_small

from defectbench.advice.on_validation import choose_on_validation, validated
from defectbench.measure.seeds import Runs
from defectbench.measure.statistics import Resampled

GROUPS, DRAWS = 40, 400


def runs_of(*means, noise=0.02, seeds=(0,)):
    """Scores of seeds that depend on groups drawn once for each mean."""
    made = []
    for number, mean in enumerate(means):
        random = np.random.default_rng(int(1000 * mean) + number)
        by_group = mean + noise * random.normal(size=GROUPS)
        by_group += mean - by_group.mean()
        left_out = (by_group.sum() - by_group) / (GROUPS - 1)
        weights = np.random.default_rng(9).multinomial(GROUPS, [1 / GROUPS] * GROUPS, DRAWS)
        made.append(Resampled(mean, left_out, weights @ by_group / GROUPS))
    return Runs(seeds, tuple(made))


TIMES = {"a": 3.0, "b": 1.0, "c": 0.5}


def test_the_fastest_near_the_best_is_taken_if_they_cannot_be_told_apart():
    runs = {"a": runs_of(0.70, noise=0.3), "b": runs_of(0.66, noise=0.3), "c": runs_of(0.30)}
    choice = choose_on_validation(runs, TIMES)
    assert (choice.method, choice.best) == ("b", "a")
    assert choice.scores == pytest.approx({"a": 0.70, "b": 0.66, "c": 0.30})


def test_a_faster_one_that_is_told_apart_is_not_taken():
    runs = {"a": runs_of(0.70, noise=0.001), "b": runs_of(0.66, noise=0.001)}
    assert choose_on_validation(runs, TIMES).method == "a"


def test_one_that_is_far_below_is_not_taken_though_nothing_tells_it_apart():
    runs = {"a": runs_of(0.70, noise=2.0), "b": runs_of(0.60, noise=2.0)}
    assert choose_on_validation(runs, TIMES).method == "a"


def test_the_seed_that_scores_highest_on_validation_is_taken():
    runs = {"a": runs_of(0.60, 0.70, 0.65, seeds=(3, 5, 8))}
    choice = choose_on_validation(runs, TIMES)
    assert (choice.seed, choice.best) == (5, "a")
    assert choice.scores["a"] == pytest.approx(0.65)


def test_without_a_true_box_the_fastest_is_taken():
    nothing = Runs((0,), (Resampled(np.nan, np.full(3, np.nan), np.full(9, np.nan)),))
    with np.errstate(all="ignore"):
        choice = choose_on_validation({"a": nothing, "b": nothing}, TIMES)
    assert (choice.method, choice.scores["a"]) == ("b", 0.0)


def test_scores_are_those_of_the_validation_part(tmp_path):
    from defectbench.base.records import read_record

    small = write_small(tmp_path)
    runs = validated({"four": [small.cell]}, small.pack("val"), small.data)["four"]
    assert runs.seeds == (0,)
    recorded = read_record(small.cell / "operating_point.json", "operating_point")["figures"]
    assert runs.values.tolist() == pytest.approx([recorded["val_map50"]])
    assert runs.left_out.shape == (1, 6)
