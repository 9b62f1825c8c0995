"""What a training reads: images, and what other runs left for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """Files that one run learns from.

    Attributes:
        pack: Pack of the training part.
        teacher: Weights in training form to learn from beside the truth; ``train.json`` of their run lies beside them.
        start: Weights in training form to start from, with what they took from their training part; the record
            of what made them lies beside them. What they cost counts into the run's ``train_s``. Or published weights,
            of any number of classes.
        plan: ``plan.json`` of a cut network, whose widths the network then has.
    """

    pack: Path
    teacher: Path | None = None
    start: Path | None = None
    plan: Path | None = None
