"""Knowledge-fused fine-tuning: a pruned network learns from two teachers whose shares slide.

Wang et al., Collaborative Filter Pruning for Efficient Automatic Surface Defect Detection, IEEE Transactions on
Industrial Informatics, 2023. Teacher R learnt the representation from ordinary batches, teacher C the classifier
from class-balanced ones. There is no loss of labels.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...base.errors import CompressionError
from ...nn.blocks import chosen

TEMPERATURE = 2.0
SCHEDULES: dict[str, Callable[[float], float]] = {  # share of teacher R at progress 0..1
    "r_to_c": lambda progress: math.cos(math.pi / 2 * progress),
    "r": lambda progress: 1.0,
    "c": lambda progress: 0.0,
    "half": lambda progress: 0.5,
}


def share_of_r(epoch: int, epochs: int, schedule: str = "r_to_c") -> float:
    """Share of teacher R in the loss of an epoch; the paper's is cos(pi/2 epoch / epochs), from 1 to nearly 0.

    Args:
        epoch: From 0.
        epochs: Of the whole fine-tuning.
        schedule: ``r_to_c`` is the paper's; ``r``, ``c`` and ``half`` are its controls.

    Raises:
        CompressionError: The epoch is not one of the run.
        ConfigError: There is no such schedule.

    Example:
        >>> round(share_of_r(50, 100), 4)
        0.7071
    """
    if not 0 <= epoch < epochs:
        raise CompressionError("fine-tuning", "epoch", epoch, f"give 0 to {epochs - 1}")
    return chosen("schedule", schedule, SCHEDULES)(epoch / epochs)


def softened_kl(student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """T^2 times the batch's mean of KL(softmax(t / T) || softmax(s / T)).

    Args:
        student: Logits [B, C].
        teacher: Logits [B, C], without gradient.
        temperature: T.
    """
    learnt = F.log_softmax(student / temperature, 1)
    taught = F.log_softmax(teacher.detach() / temperature, 1)
    return temperature**2 * F.kl_div(learnt, taught, reduction="batchmean", log_target=True)


def fused_loss(
    student: Tensor, taught: tuple[Tensor, Tensor], share: float, temperature: float = TEMPERATURE
) -> Tensor:
    """Loss of a pruned network: share KD(s, R) + (1 - share) KD(s, C).

    Args:
        student: Logits [B, C].
        taught: Logits [B, C] of R and of C on the same images.
        share: Of R, 0..1; see ``share_of_r``.
        temperature: T.

    Raises:
        CompressionError: The share is not in 0..1.
    """
    if not 0 <= share <= 1:
        raise CompressionError("fine-tuning", "share", share, "give 0 to 1")
    by_r, by_c = (softened_kl(student, logits, temperature) for logits in taught)
    return share * by_r + (1 - share) * by_c


class Teachers:
    """Frozen copies of teachers R and C in eval mode; no module of the student.

    In the published code C stays in training mode: its batch norms use each batch's statistics and their running
    ones drift. ``c_in_eval=False`` does that.

    Args:
        r: Learnt the representation; it is usually the network that was pruned.
        c: Learnt the classifier.
        c_in_eval: Whether C is in eval mode.
    """

    def __init__(self, r: nn.Module, c: nn.Module, c_in_eval: bool = True) -> None:
        self.r, self.c = (copy.deepcopy(n).requires_grad_(requires_grad=False) for n in (r, c))
        self.r.eval()
        self.c.train(not c_in_eval)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, C] of R and of C for images [B, 3, H, W]."""
        return self.r(images), self.c(images)
