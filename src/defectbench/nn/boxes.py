"""Boxes as corner coordinates: areas, overlaps, distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = 1e-7


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of every box of one set with every box of another.

    Args:
        first: [..., P, 4] x0, y0, x1, y1.
        second: [..., M, 4].

    Returns:
        [..., P, M] in 0..1.
    """
    a, b = first.unsqueeze(-2), second.unsqueeze(-3)
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    overlap = (high - low).clamp_(min=0).prod(-1)
    return overlap / (area(a) + area(b) - overlap).clamp_(min=EPS)


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes [..., 4] as [...]; inverted boxes have none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes pair by pair.

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        [...] in 0..1.
    """
    overlap, union, _ = _overlap_union_hull(first, second)
    return overlap / union


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """GIoU of boxes pair by pair (Rezatofighi et al., CVPR 2019).

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        [...] in -1..1.
    """
    overlap, union, hull_sides = _overlap_union_hull(first, second)
    hull = hull_sides.clamp(min=0).prod(-1).clamp(min=EPS)
    return overlap / union - (hull - union) / hull


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """CIoU of boxes pair by pair (Zheng et al., AAAI 2020): IoU - d^2 / c^2 - alpha v.

    d is the distance of the centres, c the diagonal of the hull, v compares the aspect ratios; alpha,
    the weight of v, is taken as a constant in the gradient.

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        [...] in -2..1.
    """
    sides, others = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    overlap, union, hull = _overlap_union_hull(first, second)
    iou = overlap / union
    distance = _shift(first, second) / hull.square().sum(-1).clamp(min=EPS)
    angle = _aspect(sides) - _aspect(others)
    v = (4 / math.pi**2) * angle.square()
    with torch.no_grad():
        alpha = v / (1 - iou + v).clamp(min=EPS)
    return iou - distance - alpha * v


def efficient_iou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """EIoU of boxes pair by pair (Zhang et al., arXiv 2101.08158) and their IoU.

    EIoU = IoU - d^2 / (W^2 + H^2) - (w - w')^2 / W^2 - (h - h')^2 / H^2 with d the distance of the centres,
    W and H the sides of the hull.

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        EIoU [...] in -3..1 and IoU [...] in 0..1.
    """
    overlap, union, hull = _overlap_union_hull(first, second)
    iou, hull = overlap / union, hull.square()
    distance = _shift(first, second) / hull.sum(-1).clamp(min=EPS)
    unlike = first[..., 2:] - first[..., :2] - second[..., 2:] + second[..., :2]
    return iou - distance - (unlike.square() / hull.clamp(min=EPS)).sum(-1), iou


def scylla_iou(first: Tensor, second: Tensor) -> Tensor:
    """SIoU of boxes pair by pair (Gevorgyan, arXiv 2205.12740): IoU minus half of a distance and a shape term.

    The distance term grows the faster, the nearer the line between the centres lies to a diagonal. With both terms
    as in FastestDet.

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        [...] in -2..1.
    """
    overlap, union, hull = _overlap_union_hull(first, second)
    x, y = ((first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2).unbind(-1)
    # sin(2 arcsin(|x| / d)), the same for either axis; 0 where the centres are one
    angle = 2 * (x * y).abs() / (x.square() + y.square()).clamp(min=EPS)
    pull = (angle - 2).unsqueeze(-1) * (torch.stack((x, y), -1) / hull.clamp(min=EPS)).square()
    distance = (1 - pull.exp()).sum(-1)
    sides, others = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    unlike = (sides - others).abs() / torch.maximum(sides, others).clamp(min=EPS)
    shape = (1 - (-unlike).exp()).pow(4).sum(-1)
    return overlap / union - (distance + shape) / 2


def _overlap_union_hull(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Areas [...] of overlap and union and sides [..., 2] of the hull of boxes pair by pair."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    union = (area(first) + area(second) - overlap).clamp(min=EPS)
    hull_low = torch.minimum(first[..., :2], second[..., :2])
    hull_high = torch.maximum(first[..., 2:], second[..., 2:])
    return overlap, union, hull_high - hull_low


def _shift(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance [...] of the centres of boxes pair by pair."""
    shift = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    return shift.square().sum(-1)


def _aspect(sides: Tensor) -> Tensor:
    """Angle of the diagonal of boxes with sides [..., 2]."""
    return torch.atan(sides[..., 0] / sides[..., 1].clamp(min=EPS))
