"""Work on the rows that a mask picks, without waiting for a GPU to say how many there are.

A processor knows at once how many entries of a mask are true, and works on those alone: few of all. A GPU computes
behind the program's back, and whoever asks it for a number, of rows too, waits until all that was asked before is done.
There every entry is a row, and what is computed of the others is replaced by zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

HOSTS = frozenset({"cpu"})  # types of devices that answer at once


def answers_at_once(x: Tensor) -> bool:
    """Whether a value of a tensor can be asked without waiting."""
    return x.device.type in HOSTS


@dataclass(frozen=True)
class Rows:
    """Rows that a loss is of.

    Attributes:
        held: bool [K], which of the rows count; None where all do.
    """

    held: Tensor | None

    def only(self, values: Tensor, instead: float = 0) -> Tensor:
        """Values [K, ...] of the rows, with another for those that do not count."""
        if self.held is None:
            return values
        held = self.held.view(-1, *(1,) * (values.ndim - 1))
        return torch.where(held, values, instead)

    def count(self, places: Tensor) -> int | Tensor:
        """How many of the places [K] count, at least 1: a number, or a scalar on its device."""
        return max(len(places), 1) if self.held is None else self.held.sum().clamp(min=1)


@dataclass(frozen=True)
class Picked(Rows):
    """Entries of a mask as rows.

    Attributes:
        mask: bool, of any shape.
    """

    mask: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Rows [K, ...] of values that begin with the dimensions of the mask."""
        return values[self.mask] if self.held is None else values.flatten(0, self.mask.ndim - 1)


def picked(mask: Tensor) -> Picked:
    """The true entries of a mask; on a device that does not answer at once, all entries."""
    if answers_at_once(mask):
        return Picked(None, mask)
    return Picked(mask.flatten(), mask)


def true_entries(mask: Tensor) -> tuple[tuple[Tensor, ...], Rows]:
    """Where a mask is true: int64 [K] for each of its dimensions, in order, and which of the K rows count."""
    if answers_at_once(mask):
        return mask.nonzero(as_tuple=True), Rows(None)
    sides = (torch.arange(side, device=mask.device) for side in mask.shape)
    places = tuple(grid.flatten() for grid in torch.meshgrid(*sides, indexing="ij"))
    return places, Rows(mask.flatten())


def mark(x: Tensor, places: tuple[Tensor, ...], rows: Rows) -> None:
    """Write 1 into the places of the rows that count; int64 [K] for each dimension of a tensor of zeros and ones."""
    if rows.held is None:
        x.index_put_(places, x.new_ones(()))
    else:
        x.index_put_(places, rows.held.to(x.dtype), accumulate=True).clamp_(max=1)


def constant(values: Any, like: Tensor) -> Tensor:
    """Numbers, or nested tuples of them, as a tensor of another's type and device; sent there once and kept."""
    return _kept(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _kept(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(mode=False):  # a tensor made in inference mode cannot serve training
        return torch.tensor(values, dtype=dtype, device=device)
