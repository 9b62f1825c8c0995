"""ATSS: adaptive training sample selection (Zhang et al., CVPR 2020), vectorised over the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from defectbench.nn.assigners import Assignment
from defectbench.nn.boxes import pairwise_iou
from defectbench.nn.detector import Targets


@torch.no_grad()
def adaptive_selection(
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    sizes: Sequence[int],
    top: int = 9,
    side: float = 5.0,
    margin: float = 0.01,
) -> Assignment:
    """Assign priors by the overlap of square anchors, with a threshold that each box sets itself.

    Candidates of a box are the ``top`` priors of each level nearest to its centre (of equally near
    ones those of the lower index). Positive are candidates whose anchor's IoU reaches mean + standard
    deviation (of a sample, n - 1) of the candidates' IoUs and whose point lies inside the box. A prior
    that several boxes claim goes to the one with the largest IoU.

    Args:
        boxes: [B, P, 4] decoded, pixels; they only give the quality.
        priors: [P, 3] x, y, stride, pixels; levels one after the other.
        targets: Truth of the batch.
        sizes: How many priors each level has.
        top: Candidates a level.
        side: Side of an anchor, in strides.
        margin: Least distance of a positive's point to the box's sides, pixels.

    Returns:
        Assignment; the quality is the IoU of the decoded box.
    """
    batch, count, _ = boxes.shape
    if targets.boxes.shape[1] == 0:
        empty = torch.zeros(batch, count, device=boxes.device)
        return Assignment(empty.bool(), empty.long(), empty)
    points, half = priors[:, :2], priors[:, 2:] * (side / 2)
    iou = pairwise_iou(torch.cat((points - half, points + half), -1), targets.boxes)
    nearest = _nearest(priors, targets, sizes, top)
    seen = iou.gather(1, nearest)
    reaches = seen >= seen.mean(1, keepdim=True) + seen.std(1, keepdim=True)
    claimed = torch.zeros_like(iou, dtype=torch.bool).scatter_(1, nearest, reaches)
    claimed &= _within(points, targets, margin)
    best = iou.masked_fill(~claimed, -1.0).argmax(-1)
    positive = claimed.any(-1)
    quality = pairwise_iou(boxes, targets.boxes).gather(-1, best.unsqueeze(-1)).squeeze(-1)
    return Assignment(positive, best * positive, quality * positive)


def _nearest(priors: Tensor, targets: Targets, sizes: Sequence[int], top: int) -> Tensor:
    """Rows of the ``top`` priors of each level nearest to each box's centre, int64 [B, K, M]."""
    centres = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    apart = (priors[:, :2].view(1, -1, 1, 2) - centres.unsqueeze(1)).square().sum(-1)
    rows, start = [], 0
    for level in apart.split(list(sizes), 1):
        # Points lie on a grid, so equal distances are common: a stable sort settles them
        rows.append(level.sort(dim=1, stable=True).indices[:, :top] + start)
        start += level.shape[1]
    return torch.cat(rows, 1)


def _within(points: Tensor, targets: Targets, margin: float) -> Tensor:
    """Bool [B, P, M]: points [P, 2] more than ``margin`` pixels inside a box; never inside padding."""
    centres = points.view(1, -1, 1, 2)
    low, high = centres - targets.boxes[:, None, :, :2], targets.boxes[:, None, :, 2:] - centres
    depth = torch.minimum(low, high).amin(-1)
    return (depth > margin) & targets.valid.unsqueeze(1)
