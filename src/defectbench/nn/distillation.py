"""Learning from a teacher: the frozen network, and what its predictions ask of a student."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.errors import ConfigError
from .assigners import Assignment
from .detector import Detector
from .heads import split_sides


@dataclass(frozen=True)
class Predictions:
    """What a teacher shows of a batch, and a student in its place.

    Attributes:
        logits: [B, P, C] of the classes.
        bins: [B, P, 4 * bins], logits of the sides' distances, sides one after the other.
    """

    logits: Tensor
    bins: Tensor


class Teacher:
    """A frozen detector in eval mode that is no module of the one it teaches.

    So the student's state dict, parameters, average and export hold nothing of it; copies of a student share
    it.

    Args:
        student: Detector with ``predictions(images)``, the student or a network of the teacher's own widths; the
            teacher is its copy, on its device.
        state: The teacher's weights.

    Raises:
        ConfigError: The weights are not those of such a network.
    """

    def __init__(self, student: Detector, state: Mapping[str, Tensor]) -> None:
        self.detector = copy.deepcopy(student).eval().requires_grad_(requires_grad=False)
        try:
            self.detector.load_state_dict(state)
        except RuntimeError as error:
            fix = "give weights of the same network, options and number of classes"
            raise ConfigError(
                "teacher", "weights", str(error).splitlines()[-1].strip(), fix
            ) from error

    @classmethod
    def of(cls, whole: Detector, state: Mapping[str, Tensor], like: Tensor) -> Teacher:
        """A teacher of widths of its own.

        Args:
            whole: A network of its widths.
            state: Its weights.
            like: A tensor on the student's device.

        Raises:
            ConfigError: The weights are not those of such a network.
        """
        placed = whole.to(like.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(placed, state)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Any:
        """What ``predictions`` gives for images [B, 3, H, W]."""
        return self.detector.predictions(images)  # type: ignore[operator]

    def __deepcopy__(self, memo: dict[int, object]) -> Teacher:
        return self


def fading(epoch: int, epochs: float) -> float:
    """Weight of a teacher, from 1 at the first epoch to nearly 0.01 at the last by half a cosine.

    Example:
        >>> round(fading(50, 100), 3)
        0.505
    """
    return 0.01 + 0.99 * (1 + math.cos(math.pi * epoch / epochs)) / 2


def enhanced_kl(
    student: Predictions,
    teacher: Predictions,
    temperature: float = 1.0,
    bins_temperature: float = 2.0,
    symmetry: float = 0.0,
) -> dict[str, Tensor]:
    """Enhanced KL: every prior weighs as much as its largest score of the teacher (*reconstructed*).

    With w = max_c sigmoid(z_t) and Z = max(1, sum of w over the batch), classes give
    T^2 / Z sum w sum_c [KL(B(z_t / T) || B(z_s / T)) + symmetry KL(B(z_s / T) || B(z_t / T))], B the Bernoulli
    distribution of a logit, and distances T_d^2 / Z sum w mean_sides KL(softmax(d_t / T_d) || softmax(d_s / T_d)).

    Args:
        student: What learns.
        teacher: What it learns from, without gradient.
        temperature: T.
        bins_temperature: T_d.
        symmetry: Weight of the divergence the other way round.

    Returns:
        ``cls`` and ``loc``; both 0 for a student that equals its teacher.
    """
    weight = teacher.logits.sigmoid().amax(-1)
    total = weight.sum().clamp(min=1)
    taught, learnt = teacher.logits / temperature, student.logits / temperature
    apart = bernoulli_kl(taught, learnt)
    if symmetry:
        apart = apart + symmetry * bernoulli_kl(learnt, taught)
    sides = bins_kl(teacher.bins, student.bins, bins_temperature).mean(1)
    return {
        "cls": temperature**2 * (weight * apart.sum(-1)).sum() / total,
        "loc": bins_temperature**2 * (weight * sides).sum() / total,
    }


def plain_kl(
    student: Predictions, teacher: Predictions, assignment: Assignment, temperature: float = 30.0
) -> dict[str, Tensor]:
    """KL of softened probabilities, as YOLOv6 distils; divided by the sum of qualities s (our deviation).

    Classes: T^2 / s sum over priors of KL(softmax(p_t / T) || softmax(p_s / T)) with p the *sigmoid* scores, which
    is nearly a centred squared error of scores, and nothing at all where there is one class. Distances: T^2 times
    the mean over positives and sides of KL(softmax(d_t / T) || softmax(d_s / T)).

    Args:
        student: What learns.
        teacher: What it learns from, without gradient.
        assignment: Which priors are positive, and s.
        temperature: T.

    Returns:
        ``cls`` and ``loc``.
    """
    total = assignment.quality.sum().clamp(min=1)
    taught, learnt = (x.logits.sigmoid() / temperature for x in (teacher, student))
    classes = _kl(taught, learnt, -1).sum() / total
    sides = bins_kl(teacher.bins, student.bins, temperature) * assignment.positive.unsqueeze(1)
    mean = sides.sum() / (4 * assignment.positive.sum()).clamp(min=1)
    weight = assignment.quality.sum() / total
    return {"cls": temperature**2 * classes, "loc": temperature**2 * mean * weight}


def bernoulli_kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(B(a) || B(b)) of logits a and b, element by element."""
    p = first.sigmoid()
    yes = F.logsigmoid(first) - F.logsigmoid(second)
    no = F.logsigmoid(-first) - F.logsigmoid(-second)
    return p * yes + (1 - p) * no


def bins_kl(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """KL [B, 4, P] of the softened distributions of bin logits [B, P, 4 * bins]."""
    return _kl(split_sides(first) / temperature, split_sides(second) / temperature, 2)


def _kl(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """KL(softmax(a) || softmax(b)) along ``dim``."""
    a, b = F.log_softmax(first, dim), F.log_softmax(second, dim)
    return (a.exp() * (a - b)).sum(dim)
