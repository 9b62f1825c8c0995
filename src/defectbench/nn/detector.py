"""What the engine asks of a detector."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .fold import fold_all
from .trainable import Targets, Trainable

__all__ = [
    "Detector",
    "Normalise",
    "Targets",
    "clip_boxes",
    "grid_priors",
    "level_sizes",
    "total_of",
]


class Detector(Trainable):
    """A detector that the engine can train, score and export.

    Subclasses set the attributes and write ``forward``, ``loss`` and ``decode``.

    Attributes:
        strides: Stride of each output level, pixels.
        offset: Where a cell's prior lies, in strides from the cell's corner.
        suppression: What its boxes need before they are an answer: ``nms``, or ``none`` where the network says each
            object once.
    """

    strides: tuple[int, ...]
    offset: float = 0.5
    suppression: str = "nms"

    def forward(self, images: Tensor) -> Tensor:
        """Raw output [B, P, D] of images float32 [B, 3, H, W], RGB in 0..1."""
        raise TypeError(f"{type(self).__name__} lacks forward()")

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Boxes [B, P, 4] in input pixels and scores [B, P, C] of a raw output."""
        raise TypeError(f"{type(self).__name__} lacks decode()")

    def deploy(self) -> nn.Module:
        """A folded copy in eval mode without what only training needs: images to boxes and scores."""
        aside = {name: getattr(self, name) for name in self.training_only}
        try:
            for name in aside:
                setattr(self, name, None)
            bare = copy.deepcopy(self)
        finally:
            for name, module in aside.items():
                setattr(self, name, module)
        return Deployed(fold_all(bare))  # type: ignore[arg-type]

    def priors(self, images: Tensor) -> Tensor:
        """Priors [P, 3] for a batch of images: x, y, stride in pixels."""
        return self.priors_of(images.shape[-2], images.shape[-1], images.device)

    def priors_of(self, height: int, width: int, device: torch.device) -> Tensor:
        """Priors [P, 3] of images of a size, pixels: made once and kept, for losses; see ``grid_priors``."""
        return _kept_priors(height, width, self.strides, self.offset, device)


class Deployed(nn.Module):
    """Images in, boxes and scores out."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [B, P, 4] in input pixels and scores [B, P, C]."""
        raw = self.detector(images)
        return self.detector.decode(raw, images.shape[-2], images.shape[-1])


def grid_priors(
    height: int,
    width: int,
    strides: Sequence[int],
    offset: float = 0.5,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Priors [P, 3]: x, y and stride of every cell, pixels; maps are ceil(size / stride).

    Args:
        height: Of the input, pixels.
        width: Of the input, pixels.
        strides: Of the levels, pixels.
        offset: Where the prior lies, in strides from the cell's corner.
        device: Where they are made, so that none is sent there.
    """
    levels = []
    for stride in strides:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        cells = (torch.arange(side, device=device) for side in (rows, columns))
        y, x = torch.meshgrid(*cells, indexing="ij")
        points = (torch.stack((x, y), -1).view(-1, 2) + offset) * stride
        levels.append(F.pad(points.float(), (0, 1), value=float(stride)))
    return torch.cat(levels)


def level_sizes(height: int, width: int, strides: Sequence[int]) -> list[int]:
    """Number of priors of each level; maps are ceil(size / stride)."""
    return [math.ceil(height / stride) * math.ceil(width / stride) for stride in strides]


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes [..., 4] moved into the image; without strided slices, which not every engine has."""
    if height == width:
        return boxes.clamp(0, width)
    return boxes.clamp(min=0).minimum(boxes.new_tensor((width, height, width, height)))


def total_of(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """The named losses with their sum as the entry ``loss``."""
    return {"loss": torch.stack(list(parts.values())).sum(), **parts}


@lru_cache(maxsize=32)
def _kept_priors(
    height: int, width: int, strides: tuple[int, ...], offset: float, device: torch.device
) -> Tensor:
    with torch.inference_mode(mode=False):  # a tensor made in inference mode cannot serve training
        return grid_priors(height, width, strides, offset, device)


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
