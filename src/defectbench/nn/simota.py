"""SimOTA (Ge et al., YOLOX, 2021) as YOLOX and as PicoDet have it: what differs is candidates and cost."""

from __future__ import annotations

import torch
from torch import Tensor

from .assigners import Assignment, assign_by_cost, inside_boxes, soft_label_cost
from .boxes import generalised_iou, pairwise_iou
from .detector import Targets
from .losses import varifocal_weight

# Where the logarithm of a probability is cut, as in torch's binary cross-entropy
LEAST_LOG = -100.0


@torch.no_grad()
def varifocal_simota(
    logits: Tensor,
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    radius: float = 2.5,
    top: int = 10,
    iou_weight: float = 6.0,
    penalty: float = 1e8,
) -> Assignment:
    """Assign priors as PicoDet does.

    Candidates are priors inside some box or inside the square round some box's centre. The cost of a
    pair is VFL(p, IoU at the box's class) + 6 (1 - GIoU), plus a penalty unless the prior lies in both
    the box and its square.

    Args:
        logits: [B, P, C].
        boxes: [B, P, 4] decoded, pixels.
        priors: [P, 3] x, y, stride, pixels.
        targets: Truth of the batch.
        radius: Half the side of the centre square, in strides of the prior.
        top: How many IoUs are summed to say how many priors a box takes.
        iou_weight: Weight of 1 - GIoU in the cost.
        penalty: Cost of lying outside the box or its centre square.
    """
    batch, count, _ = boxes.shape
    if targets.boxes.shape[1] == 0:
        empty = torch.zeros(batch, count, device=boxes.device)
        return Assignment(empty.bool(), empty.long(), empty)
    inside, central = inside_boxes(priors, targets), _near_centres(priors, targets, radius)
    candidate = (inside | central).any(-1, keepdim=True)
    iou = pairwise_iou(boxes, targets.boxes)
    giou = generalised_iou(boxes.unsqueeze(2), targets.boxes.unsqueeze(1))
    cost = soft_label_cost(logits, iou, targets, varifocal_weight) + iou_weight * (1 - giou)
    # Beside 1e8 a float32 keeps no digit of the cost: without the wider sum the order would be chance
    cost = cost.double() + penalty * ~(inside & central)
    return assign_by_cost(cost, iou, candidate & targets.valid.unsqueeze(1), top)


@torch.no_grad()
def objectness_simota(
    logits: Tensor,
    objectness: Tensor,
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    radius: float = 1.5,
    top: int = 10,
    iou_weight: float = 3.0,
    penalty: float = 1e6,
) -> Assignment:
    """Assign priors as YOLOX does.

    Candidates are priors inside the square round some box's centre; whether they lie in the box plays no
    part. The cost of a pair is BCE(sqrt(p_class p_object), one-hot of the box's class) - 3 ln IoU, plus a
    penalty unless the prior lies in this box's square.

    Args:
        logits: [B, P, C].
        objectness: [B, P] logits.
        boxes: [B, P, 4] decoded, pixels.
        priors: [P, 3] x, y, stride, pixels.
        targets: Truth of the batch, at least one row.
        radius: Half the side of the centre square, in strides of the prior.
        top: How many IoUs are summed to say how many priors a box takes.
        iou_weight: Weight of -ln IoU in the cost.
        penalty: Cost of lying outside the centre square.
    """
    central = _near_centres(priors, targets, radius)
    allowed = central.any(-1, keepdim=True) & targets.valid.unsqueeze(1)
    iou = pairwise_iou(boxes, targets.boxes)
    cost = _joint_cost(logits, objectness, targets) - iou_weight * (iou + 1e-8).log()
    # In double, as in `varifocal_simota`: beside the penalty float32 keeps one digit of the cost
    return assign_by_cost(cost.double() + penalty * ~central, iou, allowed, top)


def _joint_cost(logits: Tensor, objectness: Tensor, targets: Targets) -> Tensor:
    """BCE [B, P, M] of sqrt(p_class p_object) against the one-hot class of each box, summed over classes."""
    p = (logits.sigmoid() * objectness.sigmoid().unsqueeze(-1)).sqrt()
    absent = -(1 - p).log().clamp(min=LEAST_LOG)
    index = targets.labels.clamp(min=0).unsqueeze(1).expand(-1, p.shape[1], -1)
    of_label = -p.log().clamp(min=LEAST_LOG).gather(-1, index)
    return absent.sum(-1, keepdim=True) - absent.gather(-1, index) + of_label


def _near_centres(priors: Tensor, targets: Targets, radius: float) -> Tensor:
    """Bool [B, P, M]: priors strictly inside the square of +-radius strides round a box's centre."""
    centres = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    apart = (priors[:, :2].view(1, -1, 1, 2) - centres.unsqueeze(1)).abs().amax(-1)
    return (apart < radius * priors[:, 2].view(1, -1, 1)) & targets.valid.unsqueeze(1)
