"""Which prior learns which box, vectorised over the batch: by cost, and NanoDet-Plus's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import EPS, pairwise_iou
from .detector import Targets
from .losses import quality_weight


@dataclass(frozen=True)
class Assignment:
    """Result of an assigner.

    Attributes:
        positive: bool [B, P].
        index: int64 [B, P], row of ``Targets`` that a positive prior learns; 0 elsewhere.
        quality: float32 [B, P], IoU of the pair; 0 elsewhere.
    """

    positive: Tensor
    index: Tensor
    quality: Tensor


@torch.no_grad()
def dynamic_soft_labels(
    logits: Tensor,
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    top: int = 13,
    iou_weight: float = 3.0,
) -> Assignment:
    """Assign priors as NanoDet-Plus does (DSLA).

    Args:
        logits: [B, P, C].
        boxes: [B, P, 4] decoded, pixels.
        priors: [P, 2 or 3] points, pixels.
        targets: Truth of the batch.
        top: How many IoUs are summed to say how many priors a box takes.
        iou_weight: Weight of -ln IoU in the cost.
    """
    batch, count, _ = boxes.shape
    if targets.boxes.shape[1] == 0:
        empty = torch.zeros(batch, count, device=boxes.device)
        return Assignment(empty.bool(), empty.long(), empty)
    candidate = inside_boxes(priors, targets).any(-1)
    iou = pairwise_iou(boxes, targets.boxes) * candidate.unsqueeze(-1)
    allowed = candidate.unsqueeze(-1) & targets.valid.unsqueeze(1)
    cost = soft_label_cost(logits, iou, targets, quality_weight)
    cost = cost - iou_weight * (iou + EPS).log()
    return assign_by_cost(cost, iou, allowed, top)


@torch.no_grad()
def assign_by_cost(cost: Tensor, iou: Tensor, allowed: Tensor, top: int) -> Assignment:
    """Each box takes its k cheapest priors; a prior that several take goes to the cheapest.

    Args:
        cost: [B, P, M].
        iou: [B, P, M] in 0..1; the sum of a box's ``top`` largest, rounded down and at least 1, is k.
        allowed: Bool [B, P, M]: pairs that may be made.
        top: How many IoUs are summed.

    Returns:
        Assignment of quality IoU.
    """
    cost = cost.masked_fill(~allowed, torch.inf)
    taken = _cheapest(cost, iou * allowed, min(top, cost.shape[1]))
    best = cost.masked_fill(~taken, torch.inf).argmin(-1)
    positive = taken.any(-1)
    quality = iou.gather(-1, best.unsqueeze(-1)).squeeze(-1)
    return Assignment(positive, best * positive, quality * positive)


def inside_boxes(priors: Tensor, targets: Targets, least_side: float = 0.0) -> Tensor:
    """Bool [B, P, M]: priors [P, 2 or 3] strictly inside a box; never inside padding.

    Args:
        priors: Points, pixels.
        targets: Truth of the batch.
        least_side: Shorter sides of a box are taken as this long, about its centre; pixels.
    """
    points = priors[:, :2].view(1, -1, 1, 2)
    low, high = targets.boxes[:, None, :, :2], targets.boxes[:, None, :, 2:]
    if least_side:
        centre, half = (low + high) / 2, ((high - low) / 2).clamp(min=least_side / 2)
        low, high = centre - half, centre + half
    return ((points > low) & (points < high)).all(-1) & targets.valid.unsqueeze(1)


def soft_label_cost(
    logits: Tensor, iou: Tensor, targets: Targets, weight: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Class cost of every pair: sum over classes of BCE(z, y) weight(p, y), y = IoU at the box's class.

    Args:
        logits: z, [B, P, C]; p is its sigmoid.
        iou: [B, P, M].
        targets: Truth of the batch.
        weight: Weight of p and y, such as ``losses.quality_weight``.

    Returns:
        [B, P, M].
    """
    zero = F.softplus(logits) * weight(logits.sigmoid(), logits.new_zeros(()))
    index = targets.labels.clamp(min=0).unsqueeze(1).expand(-1, logits.shape[1], -1)
    z = logits.gather(-1, index)
    of_label = F.softplus(z) - z * iou
    return zero.sum(-1, keepdim=True) - zero.gather(-1, index) + of_label * weight(z.sigmoid(), iou)


def _cheapest(cost: Tensor, iou: Tensor, top: int) -> Tensor:
    """Bool [B, P, M]: each box takes its k cheapest priors, k from the sum of its best IoUs."""
    k = iou.topk(top, dim=1).values.sum(1).int().clamp(min=1)
    value, index = cost.topk(top, dim=1, largest=False)
    rank = torch.arange(top, device=cost.device).view(1, -1, 1)
    take = (rank < k.unsqueeze(1)) & value.isfinite()
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(1, index, take)
