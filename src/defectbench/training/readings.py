"""Losses and gradient norms of steps: they stay on the device and are read together, so that no step waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..base.errors import TrainingDivergedError

NORM = "gradient norm"
STEPS_A_READING = {"cpu": 1, "cuda": 20}  # on a processor there is nothing to wait for


@dataclass(frozen=True)
class _Step:
    number: int
    image_ids: Tensor
    values: dict[str, Tensor]


class Readings:
    """What steps left on the device since the last reading.

    Args:
        folder: The cell's folder, named in errors.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.most = folder, STEPS_A_READING[device]
        self._waiting: list[_Step] = []

    def add(self, step: int, image_ids: Tensor, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        """Keep the scalar losses by name and the gradient norm of a step."""
        values = {name: value.detach().to(norm.device) for name, value in losses.items()}
        self._waiting.append(_Step(step, image_ids, {**values, NORM: norm.detach()}))

    @property
    def due(self) -> bool:
        """Whether enough steps wait for a reading."""
        return len(self._waiting) >= self.most

    def read(self) -> list[dict[str, float]]:
        """Losses of the waiting steps, in order; none waits afterwards.

        Raises:
            TrainingDivergedError: A loss or a gradient norm is not finite; it names the first such step.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        numbers = iter(torch.stack([v for step in waiting for v in step.values.values()]).tolist())
        rows = []
        for step in waiting:
            row = {name: next(numbers) for name in step.values}
            self._check(step, row)
            del row[NORM]
            rows.append(row)
        return rows

    def _check(self, step: _Step, row: Mapping[str, float]) -> None:
        bad = {name: value for name, value in row.items() if not abs(value) < float("inf")}
        if not bad:
            return
        checkpoint = self.folder / "checkpoint"
        state = (
            f"last good checkpoint in {checkpoint}" if checkpoint.exists() else "no checkpoint yet"
        )
        fix = f"images {step.image_ids.tolist()}; {state}; lower the learning rate"
        raise TrainingDivergedError(
            self.folder, f"loss or gradient at step {step.number}", bad, fix
        )
