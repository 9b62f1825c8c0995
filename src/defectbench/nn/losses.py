"""Losses per logit and per side that several methods share; sums and weights are the methods' own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .boxes import efficient_iou


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss (Li et al., NeurIPS 2020) with beta 2, one value per logit.

    Args:
        logits: Class logits, any shape.
        quality: Target in 0..1, same shape: IoU at the true class, 0 elsewhere.
    """
    error = quality - logits.sigmoid()
    return F.binary_cross_entropy_with_logits(logits, quality, reduction="none") * error * error


def distribution_focal(logits: Tensor, distance: Tensor, dim: int = -1) -> Tensor:
    """Distribution focal loss (Li et al., NeurIPS 2020): cross-entropy to the two bins beside a distance.

    Args:
        logits: Bins along ``dim``.
        distance: The shape without ``dim``; in bins, within 0..bins - 1 (exclusive above).
        dim: Dimension of the bins.

    Returns:
        The shape of ``distance``.
    """
    low = distance.floor()
    share_high = distance - low
    log_p = F.log_softmax(logits, dim)
    index = low.long().unsqueeze(dim)
    at_low = log_p.gather(dim, index).squeeze(dim)
    at_high = log_p.gather(dim, index + 1).squeeze(dim)
    return -(at_low * (1 - share_high) + at_high * share_high)


def varifocal(logits: Tensor, quality: Tensor, alpha: float = 0.75) -> Tensor:
    """Varifocal loss (Zhang et al., CVPR 2021) with gamma 2, one value per logit.

    Positives weigh as much as their quality, negatives alpha p^2.

    Args:
        logits: Class logits, any shape.
        quality: Target in 0..1, same shape: IoU or score at the true class, 0 elsewhere.
        alpha: Weight of negatives.
    """
    weight = varifocal_weight(logits.sigmoid(), quality, alpha)
    return F.binary_cross_entropy_with_logits(logits, quality, reduction="none") * weight


def varifocal_weight(p: Tensor, quality: Tensor, alpha: float = 0.75) -> Tensor:
    """Weight of the varifocal loss, any shape: the quality of positives, alpha p^2 of negatives."""
    return quality + alpha * p * p * (quality <= 0)


def quality_weight(p: Tensor, quality: Tensor) -> Tensor:
    """Weight of the quality focal loss with beta 2, any shape: the squared error."""
    return (quality - p).square()


def focal_efficient_iou(boxes: Tensor, truth: Tensor, gamma: float = 0.5) -> Tensor:
    """Focal-EIoU loss (Zhang et al., arXiv 2101.08158) of boxes pair by pair: IoU^gamma (1 - EIoU).

    The focal weight is taken as a constant in the gradient (*reconstructed*, as public implementations do).

    Args:
        boxes: [..., 4].
        truth: [..., 4].
        gamma: Exponent of the weight.

    Returns:
        [...]; 0 for a pair that does not overlap.
    """
    eiou, iou = efficient_iou(boxes, truth)
    return iou.detach().pow(gamma) * (1 - eiou)
