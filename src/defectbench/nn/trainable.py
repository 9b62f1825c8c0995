"""What the engine asks of every network that it trains, and how truth is handed to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..base.errors import ConfigError


@dataclass(frozen=True)
class Targets:
    """Truth of a batch, padded to the image with the most boxes.

    Attributes:
        boxes: float32 [B, M, 4], x0, y0, x1, y1 in input pixels.
        labels: int64 [B, M]; -1 marks padding. In classification an image has one box, the whole image.
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


class Trainable(nn.Module):
    """A network that the engine can train and export.

    Attributes:
        nc: Number of classes.
        training_only: Names of the modules that the deployed network lacks.
        closing_epoch: First of the recipe's ``close_epochs`` last epochs, set by the engine; a loss may
            change there.
        epochs: Epochs of the whole run, set by the engine.
        kd: How it would learn from a teacher; ``none`` for a network that never does.
    """

    nc: int
    training_only: tuple[str, ...] = ()
    closing_epoch: float = math.inf
    epochs: float = math.inf
    kd: str = "none"

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        """Named scalar losses of images [B, 3, H, W]; the entry ``loss`` is their sum."""
        raise TypeError(f"{type(self).__name__} lacks loss()")

    def phase(self, epoch: int) -> Hashable | None:
        """What of the epoch ``loss`` depends on, such as whether an epoch is past: epochs of one phase have one loss.

        None, where a method does not say, so that its steps are not recorded on a GPU.
        """
        return None

    def fit_to(self, boxes: Tensor, seed: int) -> None:
        """Take from the training part what a method takes from it before its first step, such as anchors.

        The engine calls this once for a built network. What is taken goes into buffers of the state
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

        The engine calls this once for a run that has a teacher, when the network is on its device. The teacher
        is no part of the network: neither its state dict nor its average nor its export holds it.

        Args:
            state: State dict of the teacher, in training form.

        Raises:
            ConfigError: The method learns from no teacher, or not from one of such weights.
        """
        fix = "leave the teacher out: this method, with its options, learns from none"
        raise ConfigError(type(self).__name__, "teacher", f"{len(state)} tensors", fix)

    def deploy(self) -> nn.Module:
        """A folded copy in eval mode without what only training needs: the artifact's signature."""
        raise TypeError(f"{type(self).__name__} lacks deploy()")


class Fitted(Trainable):
    """A network that learns by looking at the training part once, without gradients, and that the engine can export."""

    def fit(
        self, batches: Callable[[], Iterable[Tensor]], seed: int, is_fresh: bool
    ) -> dict[str, float]:
        """Take from the images of the training part what the network needs.

        The engine calls this once. What is taken goes into buffers of the state dict, so that the export has it.

        Args:
            batches: Gives the images as batches, float32 [B, 3, S, S] in 0..1, in the order of the part, each time it
                is called.
            seed: Seed of any draw.
            is_fresh: Whether the network is as it was drawn, and has no published weights.

        Returns:
            Figures of what was taken, by name with units in their keys; they go into ``train.json`` as ``fit``.
        """
        raise TypeError(f"{type(self).__name__} lacks fit()")
