"""One run and what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.compressions import CFP, Slimming, way_of
from ...base.records import ABSENT, read_record
from ...base.tasks import DETECTION


@dataclass(frozen=True)
class CellRecords:
    """One run and what was measured of it. Each record is a whole JSON record.

    Attributes:
        folder: The cell's folder.
        dataset: Name of the dataset.
        protocol: How its parts were made.
        method: Name of the method, or ``control_<kind>``.
        seed: Seed of the run.
        accuracy: Record of the accuracy.
        train: Record of the training; None for a control.
        complexity: Record of the counts; None for a control, and where no model file was made.
        latency: Record of the latency; None for a control.
        engine: What the latency was measured with, ``own`` for a runner of the method's framework; empty
            for a control.
    """

    folder: Path
    dataset: str
    protocol: str
    method: str
    seed: int
    accuracy: dict[str, Any]
    train: dict[str, Any] | None = None
    complexity: dict[str, Any] | None = None
    latency: dict[str, Any] | None = None
    engine: str = ""

    @property
    def is_control(self) -> bool:
        """Whether the cell is a program that learns nothing."""
        return self.method.startswith("control_")

    @property
    def task(self) -> str:
        """What its method solves."""
        return self.accuracy.get("task", DETECTION.name)

    @property
    def compressed_by(self) -> type[Slimming] | type[CFP] | None:
        """The settings' class of the way in which the cell was made smaller; None where it was not."""
        return way_of(self._pruning)

    @property
    def is_absent(self) -> bool:
        """Whether it is a control that the set has no grounds for."""
        return ABSENT in self.accuracy["figures"]

    @property
    def is_afresh(self) -> bool:
        """Whether the cell has the widths of a cut network and nothing of its weights: nothing was cut for it."""
        way = self.compressed_by
        training = self.train["figures"] if self.train else {}
        return way is not None and way.was_afresh(self._pruning, training)

    @property
    def keeps_last(self) -> bool:
        """Whether a training ended with the weights of its last epoch, by its recipe; sparse ones always do."""
        recipe = (self.train or {}).get("recipe") or {}
        return recipe.get("keep") == "last" or bool(recipe.get("sparsity"))

    @property
    def _pruning(self) -> dict[str, Any]:
        """Settings of the cut."""
        path = self.folder / "pruned" / "prune.json"
        return read_record(path, "prune")["settings"] if path.is_file() else {"how": ""}
