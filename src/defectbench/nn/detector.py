"""What the engine asks of a detector, and how truth is handed to it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import ConfigError
from .fold import fold_all


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

    Subclasses set the attributes and write ``forward``, ``loss`` and ``decode``.

    Attributes:
        nc: Number of classes.
        strides: Stride of each output level, pixels.
        training_only: Names of the modules that the deployed network lacks.
        offset: Where a cell's prior lies, in strides from the cell's corner.
        closing_epoch: First of the recipe's ``close_epochs`` last epochs, set by the engine; a loss may
            change there.
        epochs: Epochs of the whole run, set by the engine.
    """

    nc: int
    strides: tuple[int, ...]
    training_only: tuple[str, ...] = ()
    offset: float = 0.5
    closing_epoch: float = math.inf
    epochs: float = math.inf

    def forward(self, images: Tensor) -> Tensor:
        """Raw output [B, P, D] of images float32 [B, 3, H, W], RGB in 0..1."""
        raise TypeError(f"{type(self).__name__} lacks forward()")

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        """Named scalar losses of images [B, 3, H, W]; the entry ``loss`` is their sum."""
        raise TypeError(f"{type(self).__name__} lacks loss()")

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Boxes [B, P, 4] in input pixels and scores [B, P, C] of a raw output."""
        raise TypeError(f"{type(self).__name__} lacks decode()")

    def fit_to(self, boxes: Tensor, seed: int) -> None:
        """Take from the training part what a method takes from it before its first step, such as anchors.

        The engine calls this once for a built detector. What is taken goes into buffers of the state
        dict, so that a run taken up again and the export have it.

        Args:
            boxes: float32 [K, 4], all true boxes of the training part at the training size, pixels.
            seed: Seed of any draw.
        """

    def facts(self, boxes: Tensor) -> dict[str, float]:
        """Figures of what ``fit_to`` took, such as how well the anchors fit; they go into ``train.json``.

        The engine calls this once, after ``fit_to``, and records the answer as ``fit``.

        Args:
            boxes: What ``fit_to`` saw: float32 [K, 4], pixels.

        Returns:
            Figures by name with units in their keys; nothing for a method that takes nothing.
        """
        return {}

    def set_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of a teacher; from then on ``loss`` learns from it too.

        The engine calls this once for a run that has a teacher, when the detector is on its device. The teacher
        is no part of the detector: neither its state dict nor its average nor its export holds it.

        Args:
            state: State dict of the teacher, in training form.

        Raises:
            ConfigError: The method learns from no teacher, or not from one of such weights.
        """
        fix = "leave the teacher out: this method, with its options, learns from none"
        raise ConfigError(type(self).__name__, "teacher", f"{len(state)} tensors", fix)

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
        height, width = images.shape[-2:]
        return _cached_priors(height, width, self.strides, self.offset).to(images.device)


class Deployed(nn.Module):
    """Images in, boxes and scores out."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [B, P, 4] in input pixels and scores [B, P, C]."""
        raw = self.detector(images)
        return self.detector.decode(raw, images.shape[-2], images.shape[-1])


def grid_priors(height: int, width: int, strides: Sequence[int], offset: float = 0.5) -> Tensor:
    """Priors [P, 3]: x, y and stride of every cell, pixels; maps are ceil(size / stride).

    Args:
        height: Of the input, pixels.
        width: Of the input, pixels.
        strides: Of the levels, pixels.
        offset: Where the prior lies, in strides from the cell's corner.
    """
    levels = []
    for stride in strides:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        points = (torch.stack((x, y), -1).view(-1, 2) + offset) * stride
        levels.append(F.pad(points.float(), (0, 1), value=float(stride)))
    return torch.cat(levels)


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes [..., 4] moved into the image."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack((x, y), -1).flatten(-2)


def total_of(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """The named losses with their sum as the entry ``loss``."""
    return {"loss": torch.stack(list(parts.values())).sum(), **parts}


@lru_cache(maxsize=32)
def _cached_priors(height: int, width: int, strides: tuple[int, ...], offset: float) -> Tensor:
    return grid_priors(height, width, strides, offset)


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
