"""Learning rates, averages and decay groups: exact values by hand."""

import math

import pytest
import torch
from torch import nn

from defectbench.base.methods import Ema, Optimizer, Schedule
from defectbench.training.ema import Average
from defectbench.training.optimizer import build_optimizer, learning_rate


def test_warm_up_then_cosine_per_epoch():
    schedule = Schedule(warmup_steps=10, warmup_ratio=0.1, min_lr_ratio=0.05)
    rate = [learning_rate(schedule, 1.0, step, 50, 10) for step in range(500)]
    assert rate[0] == pytest.approx(0.1)
    assert rate[5] == pytest.approx(0.55)
    assert rate[10:50] == [1.0] * 40
    assert rate[250] == rate[299] == pytest.approx(0.05 + 0.95 * 0.5)
    assert rate[-1] == pytest.approx(0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * 0.9)))


def test_linear_decay_per_epoch():
    schedule = Schedule(kind="linear", min_lr_ratio=0.01)
    rate = [learning_rate(schedule, 2.0, step, 5, 4) for step in range(20)]
    assert rate[:5] == [2.0] * 5
    assert rate[10] == rate[14] == pytest.approx(2 * (0.01 + 0.99 * 0.5))
    assert rate[-1] == pytest.approx(2 * (0.01 + 0.99 * 0.25))


def test_short_run_is_not_all_warm_up():
    schedule = Schedule(warmup_steps=500, kind="constant")
    assert learning_rate(schedule, 1.0, 10, 10, 10) == 1.0


def test_warm_up_in_epochs_is_that_of_as_many_steps():
    in_epochs = Schedule(warmup_epochs=1.5, kind="constant")
    in_steps = Schedule(warmup_steps=12, kind="constant")
    rates = [
        [learning_rate(s, 1.0, step, 8, 20) for step in range(40)] for s in (in_epochs, in_steps)
    ]
    assert rates[0] == rates[1]
    assert rates[0][6] == pytest.approx(0.5, abs=1e-3)


def test_average_starts_as_a_copy_and_counts_buffers():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = Average(model, Ema(decay=0.9998, tau=2000), steps=10**6)
    assert average.share(0) == pytest.approx(0.0002 + 0.9998 * math.exp(-1 / 2000))
    assert average.share(10**6) == pytest.approx(0.0002)
    old = average.model[0].weight.clone()
    with torch.no_grad():
        model[0].weight += 1.0
        model[1].running_mean += 2.0
        model[1].num_batches_tracked += 7
    average.update(5000)
    share = average.share(5000)
    assert torch.allclose(average.model[0].weight, old + share)
    assert average.model[1].running_mean.item() == pytest.approx(2 * share, rel=1e-5)
    assert average.model[1].num_batches_tracked.item() == 7


def test_norms_and_biases_are_spared_only_where_asked():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    everything = build_optimizer(model, Optimizer(lr=1.0, weight_decay=0.1))
    assert [g["weight_decay"] for g in everything.param_groups] == [0.1]
    spared = build_optimizer(model, Optimizer(lr=1.0, weight_decay=0.1, decay_norm_and_bias=False))
    assert [(len(g["params"]), g["weight_decay"]) for g in spared.param_groups] == [
        (1, 0.1),
        (3, 0.0),
    ]


def test_what_does_not_learn_is_not_optimised():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    model[1].requires_grad_(False)
    made = build_optimizer(model, Optimizer(lr=1.0, weight_decay=0.1))
    assert [len(g["params"]) for g in made.param_groups] == [2]


def test_short_run_ends_on_a_fresh_average():
    average = Average(nn.Linear(1, 1), Ema(decay=0.9998, tau=2000), steps=300)
    assert average.share(0) == pytest.approx(1 / 15 + 14 / 15 * math.exp(-1 / 15))
    assert average.share(299) == pytest.approx(1 / 15, rel=1e-3)


def test_short_run_follows_the_formula_where_asked():
    settings = Ema(decay=0.9999, tau=2000, short_run_share=0.0)
    average = Average(nn.Linear(1, 1), settings, steps=300)
    assert average.share(299) == pytest.approx(0.0001 + 0.9999 * math.exp(-300 / 2000))
