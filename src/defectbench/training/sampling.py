"""Orders of images in which classes weigh the same, counted from seed and epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from ..base.errors import CompressionError
from .randomness import generator


def class_balanced_order(labels: Tensor, seed: int, epoch: int) -> Tensor:
    """As many draws as there are images, with replacement, each class as likely as any other.

    An image is drawn with weight 1 / (images of its class), as teacher C of collaborative filter pruning learns.

    Args:
        labels: int64 [N], class of each image.
        seed: Seed of the run.
        epoch: From 0.

    Returns:
        int64 [N], rows of images.

    Raises:
        CompressionError: There is no image.
    """
    _held(labels)
    weights = 1 / torch.bincount(labels.cpu()).double()[labels.cpu()]
    source = generator(seed, epoch, "class-balanced order")
    return torch.multinomial(weights, len(labels), replacement=True, generator=source)


def balanced_subset(labels: Tensor, count: int, seed: int) -> Tensor:
    """Distinct images, as even over classes as their numbers allow: those that filters are scored on.

    Classes give one image each in turn, in an order drawn from the seed, until there are enough or none is left.

    Args:
        labels: int64 [N], class of each image.
        count: How many images; all where there are fewer.
        seed: Of the draw.

    Returns:
        int64 [min(count, N)], ascending rows of images.

    Raises:
        CompressionError: There is no image, or the count is not above 0.
    """
    _held(labels)
    if count < 1:
        raise CompressionError("subset", "count", count, "ask for at least one image")
    order = torch.randperm(len(labels), generator=generator(seed, 0, "balanced subset"))
    drawn = labels.cpu()[order]
    turns = torch.zeros(len(labels), dtype=torch.long)  # how many of its class come before it
    for label in drawn.unique():
        of_class = drawn == label
        turns[of_class] = torch.arange(int(of_class.sum()))
    return order[turns.argsort(stable=True)[:count]].sort().values


def _held(labels: Tensor) -> None:
    if not len(labels):
        raise CompressionError("labels", "images", 0, "give at least one image")
