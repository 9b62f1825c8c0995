"""What a network learns in place of the loss of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

# Scalar loss of a network's outputs for images [B, 3, H, W], float32 in 0..1, at an epoch.
OutputLoss = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss of a network's outputs that takes the place of the network's own.

    Attributes:
        words: What it is, for the run's record and to tell its checkpoints from others': names and hashes.
        loss: The loss. It may hold teachers; a run's teacher is then only named and paid for, not handed to the
            network.
    """

    words: Mapping[str, str]
    loss: OutputLoss
