"""Optimisers and learning rates from a recipe."""

from __future__ import annotations

import math
from typing import Any

from torch import nn, optim

from ..base.methods import Optimizer, Schedule


def build_optimizer(model: nn.Module, settings: Optimizer) -> optim.Optimizer:
    """AdamW, Adam or SGD over all that learns; norms and biases are spared decay where the recipe says so."""
    decayed, spared = [], []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        is_weight = settings.decay_norm_and_bias or parameter.ndim > 1
        (decayed if is_weight else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups: list[dict[str, Any]] = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return optim.SGD(groups, settings.lr, settings.momentum, nesterov=settings.momentum > 0)
    kind = optim.Adam if settings.name == "adam" else optim.AdamW
    return kind(groups, settings.lr, settings.betas, fused=True)


def warmup_of(settings: Schedule, steps_per_epoch: int, epochs: int) -> int:
    """Steps of the warm-up: at most a tenth of the run's."""
    steps = settings.warmup_steps or round(settings.warmup_epochs * steps_per_epoch)
    return min(steps, steps_per_epoch * epochs // 10)


def learning_rate(
    settings: Schedule, base: float, step: int, steps_per_epoch: int, epochs: int
) -> float:
    """Learning rate of a step.

    The warm-up is at most a tenth of the run, so that short runs are not all warm-up.
    """
    total = steps_per_epoch * epochs
    warmup = warmup_of(settings, steps_per_epoch, epochs)
    if step < warmup:
        share = settings.warmup_ratio
        return base * (share + (1 - share) * step / warmup)
    if settings.kind == "constant":
        return base
    done = (step // steps_per_epoch) / epochs if settings.per == "epoch" else step / total
    left = 1 - done if settings.kind == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    low = settings.min_lr_ratio
    return base * (low + (1 - low) * left)
