"""Exponential moving average of weights and buffers."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import nn

from ..base.methods import Ema

LEAST_STEPS = 10_000

_Network = TypeVar("_Network", bound=nn.Module)


class Average(Generic[_Network]):
    """The averaged copy of a model.

    At update t the new weights get the share (1 - d) + d exp(-(1 + t) / tau), d the decay: a plain copy at
    first, a long average at last (Jocher et al., YOLOv5; the NanoDets alike). In runs of less than 10,000 steps
    that formula hardly averages; a recipe's ``short_run_share`` gives them a window of that share of their steps.

    Args:
        model: The model in training.
        settings: Decay and tau.
        steps: Steps of the whole run.
    """

    def __init__(self, model: _Network, settings: Ema, steps: int) -> None:
        self.model: _Network = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay, self.tau = settings.decay, settings.tau
        if steps < LEAST_STEPS and settings.short_run_share:
            window = max(1.0, steps * settings.short_run_share)
            self.decay, self.tau = min(self.decay, 1 - 1 / window), min(self.tau, window)
        self._pairs(model)

    def _pairs(self, model: _Network) -> None:
        """Pair the tensors of both: floating ones are averaged, counts are copied."""
        averages, live = self.model.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
        floating = [name for name, value in averages.items() if value.is_floating_point()]
        self.averages = [averages[name].data for name in floating]
        self.live = [live[name].data for name in floating]
        counted = [name for name, value in averages.items() if not value.is_floating_point()]
        self.counts = [(averages[name], live[name]) for name in counted]

    def share(self, step: int) -> float:
        """Share of the new weights at a step."""
        return (1 - self.decay) + self.decay * math.exp(-(1 + step) / self.tau)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the model."""
        torch._foreach_lerp_(self.averages, self.live, self.share(step))  # type: ignore[reportPrivateImportUsage]
        for count, live in self.counts:
            count.copy_(live)
