"""A time is a budget: what fits is planned from measured seconds, what does not is named with what it would take."""

import math

import pytest

from defectbench.advice.budget import LEAST_STEPS, MOST_SEEDS, MOST_STEPS, Timing, plan_time

TIMINGS = [Timing("slow", 2.0, 30), Timing("quick", 0.05, 20), Timing("middle", 0.4, 20)]


def test_the_cheapest_come_first_and_the_others_are_named():
    plan = plan_time(TIMINGS, steps_per_epoch=25, seconds=300, cores=1)
    assert plan.methods == ["quick", "middle"]
    assert plan.epochs * 25 >= LEAST_STEPS
    assert plan.expected_s <= 300
    assert not plan.is_short
    assert list(plan.left_out) == ["slow"]
    whole = plan_time(TIMINGS, 25, plan.left_out["slow"], 1)
    assert whole.left_out == {}
    assert plan_time(TIMINGS, 25, plan.left_out["slow"] - 1, 1).left_out


def test_a_longer_time_is_spent_on_epochs_and_then_on_seeds():
    epochs = [plan_time(TIMINGS, 25, minutes * 60, 1).epochs for minutes in (20, 60, 300)]
    assert epochs == sorted(epochs)
    assert epochs[-1] == math.ceil(MOST_STEPS / 25)
    assert plan_time(TIMINGS, 25, 60 * 60, 1).seeds == [0]
    assert plan_time(TIMINGS, 25, 60 * 60 * 24, 1).seeds == [*range(MOST_SEEDS)]


@pytest.mark.parametrize("seconds", [60, 400, 4000, 40000])
@pytest.mark.parametrize("cores", [1, 2, 8])
def test_what_is_planned_fits_unless_it_is_said_to_be_too_short(seconds, cores):
    plan = plan_time(TIMINGS, 10, seconds, cores)
    assert plan.expected_s <= seconds or plan.is_short


def test_a_time_too_short_for_anything_still_makes_the_cheapest():
    plan = plan_time(TIMINGS, 1000, 5, 2)
    assert (plan.methods, plan.epochs, plan.seeds) == (["quick"], 1, [0])
    assert plan.is_short


def test_more_cores_take_in_more():
    alone, four = (plan_time(TIMINGS, 25, 800, cores) for cores in (1, 4))
    assert len(four.methods) > len(alone.methods) or four.epochs > alone.epochs
