"""Anchors from the boxes of a training part: K-means++ on 1 - IoU of co-centred shapes."""

from __future__ import annotations

import torch
from torch import Tensor

RESTARTS = 10
RECALL_IOU = 0.25  # least likeness of a box and its best anchor that counts as recalled
MOST_ROUNDS = 300  # medians need not lessen the sum of 1 - IoU, so a cycle cannot be ruled out


def shape_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of every shape of one set with every shape of another, laid centre on centre.

    Args:
        first: [..., N, 2] widths and heights.
        second: [..., M, 2].

    Returns:
        [..., N, M] in 0..1; NaN where both shapes have no area.
    """
    a, b = first.unsqueeze(-2), second.unsqueeze(-3)
    overlap = torch.minimum(a, b).prod(-1)
    return overlap / (a.prod(-1) + b.prod(-1) - overlap)


def mean_best_iou(sides: Tensor, anchors: Tensor) -> float:
    """Mean over boxes [N, 2] of the IoU with the best of the anchors [K, 2]."""
    return float(shape_iou(sides, anchors).amax(1).mean())


def anchor_quality(sides: Tensor, anchors: Tensor) -> dict[str, float]:
    """How well anchors fit the boxes that they are to learn; shapes alone, laid centre on centre.

    Args:
        sides: [N, 2] widths and heights of boxes, pixels.
        anchors: [K, 2], pixels.

    Returns:
        ``n_boxes``; where there are boxes also ``anchors_mean_best_iou``, the mean over boxes of the IoU with
        the best anchor, and ``anchors_best_possible_recall_iou_25``, the share of boxes whose best anchor has
        an IoU above 0.25: what no detector with these anchors, matched at 0.25, can exceed. Both in 0..1.

    Example:
        >>> anchor_quality(torch.tensor([[2.0, 2.0], [40.0, 40.0]]), torch.tensor([[2.0, 4.0]]))
        {'n_boxes': 2, 'anchors_mean_best_iou': 0.2525, 'anchors_best_possible_recall_iou_25': 0.5}
    """
    if not len(sides):
        return {"n_boxes": 0}
    best = shape_iou(sides.double().cpu(), anchors.double().cpu()).amax(1)
    return {
        "n_boxes": len(sides),
        "anchors_mean_best_iou": round(float(best.mean()), 4),
        "anchors_best_possible_recall_iou_25": round(float((best > RECALL_IOU).double().mean()), 4),
    }


def cluster_anchors(sides: Tensor, count: int, seed: int, restarts: int = RESTARTS) -> Tensor:
    """Cluster the sides of boxes with the distance 1 - IoU.

    Each start is drawn as in K-means++ (Arthur and Vassilvitskii, SODA 2007); a cluster's anchor is the
    median of its widths and of its heights. Of several starts that with the best mean IoU is kept. With
    fewer different boxes than anchors some anchors are equal.

    Args:
        sides: [N, 2] widths and heights of the training part at the training size, pixels; N at least 1.
        count: Number of anchors.
        seed: Seed of the starts; equal seeds give equal anchors.
        restarts: Number of starts.

    Returns:
        Anchors float32 [count, 2] by growing area.
    """
    sides = sides.double().cpu()
    made = torch.Generator().manual_seed(seed)
    tried = [_settled(sides, _start(sides, count, made)) for _ in range(restarts)]
    anchors = max(tried, key=lambda candidate: mean_best_iou(sides, candidate))
    return anchors[anchors.prod(1).argsort(stable=True)].float()


def _start(sides: Tensor, count: int, made: torch.Generator) -> Tensor:
    """K-means++: the first centre uniformly, each next by the squared distance to the nearest so far."""
    rows = torch.randint(len(sides), (1,), generator=made)
    while len(rows) < count:
        weight = (1 - shape_iou(sides, sides[rows]).amax(1)).clamp_(min=0).square()
        if not weight.any():  # every box is a centre already
            weight = torch.ones_like(weight)
        rows = torch.cat((rows, weight.multinomial(1, generator=made)))
    return sides[rows]


def _settled(sides: Tensor, anchors: Tensor) -> Tensor:
    """Lloyd's rounds until no box changes its anchor; an anchor without boxes stays where it is."""
    before = None
    for _ in range(MOST_ROUNDS):
        nearest = shape_iou(sides, anchors).argmax(1)
        if before is not None and torch.equal(nearest, before):
            break
        before = nearest
        members = [sides[nearest == number] for number in range(len(anchors))]
        pairs = zip(members, anchors, strict=True)
        anchors = torch.stack([x.median(0).values if len(x) else old for x, old in pairs])
    return anchors
