"""Batches of a pack that sits whole in memory, or of tiles that are mapped from disk: indices only, no loaders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base.errors import PackError
from ..data.pack import Pack
from .randomness import generator
from .sampling import class_balanced_order


@dataclass(frozen=True)
class Batch:
    """Images and truth of one step.

    Attributes:
        images: uint8 [B, 3, S, S].
        boxes: float32 [B, M, 4], pixels.
        labels: int64 [B, M]; -1 pads.
        image_ids: int64 [B].
        scale: float32 [B], pixels of the pack an original pixel; None stands for 1.
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor
    image_ids: Tensor
    scale: Tensor | None = None


class PackBatches:
    """The training part on its device, served in a new order each epoch.

    Images of a pack of tiles stay in their file; those of a batch are gathered from it.

    Args:
        pack: The training part.
        batch: Most images a step; an epoch shows every image once, in as few batches of as equal size as can be.
        seed: Seed of the run.
        device: Where the tensors live.
        balanced: Whether an epoch draws with replacement, each class as often, by the label of an image's first box.

    Raises:
        PackError: The part has fewer images than one batch.
    """

    def __init__(
        self, pack: Pack[Tensor], batch: int, seed: int, device: str = "cpu", balanced: bool = False
    ) -> None:
        if len(pack) < batch:
            fix = f"a batch of {batch} needs as many: give a smaller batch, or add images"
            raise PackError(pack.path, "images", len(pack), fix)
        self.batch, self.seed, self.count, self.balanced = batch, seed, len(pack), balanced
        self.device = torch.device(device)
        self.images = pack.images if pack.whole is not None else pack.images.to(device)
        self.boxes = pack.boxes.to(device)
        self.labels, self.image_ids = pack.labels.to(device), pack.image_ids.to(device)
        self.scale = pack.scale.to(device)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch."""
        return -(-self.count // self.batch)

    @property
    def fewest(self) -> int:
        """Images of the smallest batch."""
        return self.count // self.steps_per_epoch

    def order(self, epoch: int) -> Tensor:
        """Rows of the part in the order of one epoch: a permutation, or draws that balance classes."""
        if self.balanced:
            return class_balanced_order(self.labels[:, 0], self.seed, epoch)
        return torch.randperm(self.count, generator=generator(self.seed, epoch, "order"))

    def take(self, order: Tensor, position: int) -> Batch:
        """Batch number ``position`` of an epoch."""
        steps = self.steps_per_epoch
        first, end = (self.count * number // steps for number in (position, position + 1))
        return self.rows(order[first:end])

    def rows(self, rows: Tensor) -> Batch:
        """Any rows of the part, int64 [B] on the processor, as a batch on the device."""
        there = sent(rows, self.device)
        mapped = self.images.device != self.boxes.device
        return Batch(
            sent(self.images[rows], self.device) if mapped else self.images[there],
            self.boxes[there],
            self.labels[there],
            self.image_ids[there],
            self.scale[there],
        )


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor on its way to a device: from pinned memory, so that the program need not wait."""
    return x if device.type == "cpu" else x.pin_memory().to(device, non_blocking=True)
