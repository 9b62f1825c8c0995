"""What the engine asks of a detector, and how truth is handed to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Targets:
    """Truth of a batch, padded to the image with the most boxes.

    Attributes:
        boxes: float32 [B, M, 4], x0, y0, x1, y1 in input pixels.
        labels: int64 [B, M]; -1 marks padding.
    """

    boxes: Tensor
    labels: Tensor

    @property
    def valid(self) -> Tensor:
        """Bool [B, M]: which rows are boxes and not padding."""
        return self.labels >= 0


class Detector(nn.Module):
    """A detector that the engine can train, score and export.

    Subclasses set ``nc`` and ``strides`` and write the four methods below.

    Attributes:
        nc: Number of classes.
        strides: Stride of each output level, pixels.
    """

    nc: int
    strides: tuple[int, ...]

    def forward(self, images: Tensor) -> Tensor:
        """Raw output [B, P, D] of images float32 [B, 3, H, W], RGB in 0..1."""
        raise TypeError(f"{type(self).__name__} lacks forward()")

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        """Named scalar losses; the entry ``loss`` is their sum."""
        raise TypeError(f"{type(self).__name__} lacks loss()")

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Boxes [B, P, 4] in input pixels and scores [B, P, C] of a raw output."""
        raise TypeError(f"{type(self).__name__} lacks decode()")

    def deploy(self) -> nn.Module:
        """A folded copy in eval mode without what only training needs."""
        raise TypeError(f"{type(self).__name__} lacks deploy()")


class Normalise(nn.Module):
    """(x - mean) / std per channel, for images in 0..1 RGB."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Take ``mean`` and ``std`` in 0..255 RGB."""
        super().__init__()
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(mean).view(shape) / 255, persistent=False)
        self.register_buffer("inverse_std", 255 / torch.tensor(std).view(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) * self.inverse_std
