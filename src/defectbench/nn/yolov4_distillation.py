"""What a pruned YOLOv4 learns from the whole one, beside the truth.

Outputs of both have the same shape and are compared cell by cell. Chen et al., Electronics 2024, 13(2), 253, do not say
their loss; ``chen2017`` is that of the public tool of this line of papers, after Chen et al., NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from .distillation import bernoulli_kl

TEMPERATURE = 3.0
CLASS_WEIGHTS = {"chen2017": 1e-4, "bernoulli": 1.0}  # the second is ours
BOX_WEIGHT = 1e-3


@dataclass(frozen=True)
class Seen:
    """What a network shows of a batch.

    Attributes:
        logits: [B, P, 1 + C], objectness and classes.
        boxes: [K, 4] of the priors that learn a box: x0, y0, x1, y1 in cells of their level.
    """

    logits: Tensor
    boxes: Tensor


def teaching_losses(kd: str, student: Seen, teacher: Seen, truth: Tensor) -> dict[str, Tensor]:
    """Class and box loss of a student with their weights.

    Args:
        kd: ``chen2017`` or ``bernoulli``.
        student: What learns.
        teacher: What it learns from, without gradient.
        truth: [K, 4], true boxes of the priors that learn one, in cells.
    """
    classes = (softmax_kl if kd == "chen2017" else weighted_bernoulli_kl)(
        student.logits, teacher.logits
    )
    return {
        "kd_cls": CLASS_WEIGHTS[kd] * classes,
        "kd_box": BOX_WEIGHT * worse_boxes(student.boxes, teacher.boxes, truth),
    }


def softmax_kl(student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """T^2 / B times the sum over cells of KL(softmax(t / T) || softmax(s / T)) over objectness and classes.

    Args:
        student: [B, P, 1 + C] logits.
        teacher: The same of the teacher.
        temperature: T.
    """
    learnt, taught = (F.log_softmax(x / temperature, -1) for x in (student, teacher))
    apart = F.kl_div(learnt, taught, reduction="sum", log_target=True)
    return temperature**2 / len(student) * apart


def weighted_bernoulli_kl(
    student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """T^2 times the mean over outputs of KL(B(t / T) || B(s / T)), priors weighed by the teacher's objectness.

    Objectness and classes are independent sigmoids, of which a softmax is not the distribution (*ours*).

    Args:
        student: [B, P, 1 + C] logits.
        teacher: The same of the teacher.
        temperature: T.
    """
    weight = teacher[..., 0].sigmoid()
    apart = bernoulli_kl(teacher / temperature, student / temperature).mean(-1)
    return temperature**2 * (weight * apart).sum() / weight.sum().clamp(min=1)


def worse_boxes(student: Tensor, teacher: Tensor, truth: Tensor) -> Tensor:
    """Sum of |b_s - g|^2 over centre and sides, of boxes where the student is farther off than its teacher.

    Args:
        student: [K, 4] boxes, x0, y0, x1, y1 in cells.
        teacher: The same of the teacher.
        truth: The same of the truth.
    """
    students, teachers = (
        (_centre_and_sides(x) - _centre_and_sides(truth)).square().sum(-1)
        for x in (student, teacher)
    )
    return (students * (students.detach() > teachers)).sum()


def _centre_and_sides(boxes: Tensor) -> Tensor:
    low, high = boxes[..., :2], boxes[..., 2:]
    return F.pad((low + high) / 2, (0, 2)) + F.pad(high - low, (2, 0))
