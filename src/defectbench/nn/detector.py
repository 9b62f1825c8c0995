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

    def with_a_row(self) -> Targets:
        """The same with at least one row, of padding if no image has a box."""
        if self.labels.shape[1]:
            return self
        batch = len(self.labels)
        return Targets(self.boxes.new_zeros(batch, 1, 4), self.labels.new_full((batch, 1), -1))


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
        if self.training and images.is_contiguous(memory_format=torch.channels_last):
            return self._rows(images)
        return (images - self.mean) * self.inverse_std

    def _rows(self, images: Tensor) -> Tensor:
        """The same on whole rows of pixels: three channels are too few to fill a vector register."""
        b, c, h, w = images.shape
        scale = self.inverse_std.flatten().repeat(w)
        shift = (-self.mean * self.inverse_std).flatten().repeat(w)
        rows = images.permute(0, 2, 3, 1).reshape(b, h, w * c)
        return torch.addcmul(shift, rows, scale).view(b, h, w, c).permute(0, 3, 1, 2)
