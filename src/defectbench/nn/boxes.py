"""Boxes as corner coordinates: areas, overlaps, distances."""

from __future__ import annotations

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


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """GIoU of boxes pair by pair (Rezatofighi et al., CVPR 2019).

    Args:
        first: [..., 4].
        second: [..., 4].

    Returns:
        [...] in -1..1.
    """
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    union = (area(first) + area(second) - overlap).clamp(min=EPS)
    hull_low = torch.minimum(first[..., :2], second[..., :2])
    hull_high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (hull_high - hull_low).clamp(min=0).prod(-1).clamp(min=EPS)
    return overlap / union - (hull - union) / hull
