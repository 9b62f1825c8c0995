"""Which cell and anchor learns which box, in detectors with anchors; vectorised over the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .detector import Targets
from .waiting import Rows, constant, true_entries

# A cell and its four neighbours, as steps in x and y
STEPS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))


@dataclass(frozen=True)
class AnchorMatches:
    """Pairs of an anchor in a cell with a box that it learns; an anchor may learn several boxes.

    Attributes:
        image: int64 [K], row of the batch.
        cell: int64 [K], row of the priors; levels one after the other.
        anchor: int64 [K], number of the anchor among those of the cell's level.
        box: int64 [K], row of ``Targets``.
        rows: Which of the K pairs count.
    """

    image: Tensor
    cell: Tensor
    anchor: Tensor
    box: Tensor
    rows: Rows


def shape_ratio(targets: Targets, anchors: Tensor) -> Tensor:
    """Largest ratio, at least 1, of the sides of each box and each anchor, [B, M, L, A]; inf for padding.

    Args:
        targets: Truth of the batch.
        anchors: [L, A, 2] widths and heights, pixels.
    """
    sides = (targets.boxes[..., 2:] - targets.boxes[..., :2])[:, :, None, None]
    ratio = sides / anchors
    worst = torch.maximum(ratio, 1 / ratio).amax(-1)
    return worst.masked_fill(~targets.valid[:, :, None, None], torch.inf)


@torch.no_grad()
def match_cells(
    fits: Tensor,
    targets: Targets,
    height: int,
    width: int,
    strides: Sequence[int],
    neighbours: bool = True,
) -> list[AnchorMatches]:
    """Pairs of every level for boxes and anchors that fit.

    A box is learnt in the cell that holds its centre and, with ``neighbours``, in the up to two cells
    whose side is nearest to the centre (under half a cell away), unless they lie outside the map. The rule
    is YOLOv5's, which counts a centre's own cell twice where the centre lies exactly on a side; here once.

    Args:
        fits: Bool [B, M, L, A]: which box fits which anchor; False for padding.
        targets: Truth of the batch.
        height: Of the images, pixels.
        width: Of the images, pixels.
        strides: Of the levels, pixels; maps are ceil(size / stride).
        neighbours: Whether cells beside learn too.
    """
    centres = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    matches, first = [], 0
    for level, stride in enumerate(strides):
        columns, rows = math.ceil(width / stride), math.ceil(height / stride)
        cells, used = _cells(centres / stride, columns, rows, neighbours)
        pairs = used.unsqueeze(-1) & fits[:, :, level].unsqueeze(2)
        (image, box, step, anchor), counted = true_entries(pairs)
        x, y = cells[image, box, step].unbind(-1)
        matches.append(AnchorMatches(image, first + y * columns + x, anchor, box, counted))
        first += columns * rows
    return matches


def _cells(centres: Tensor, columns: int, rows: int, neighbours: bool) -> tuple[Tensor, Tensor]:
    """Cells int64 [B, M, S, 2] of centres [B, M, 2] in cells, and bool [B, M, S]: which of them count."""
    steps = constant(STEPS if neighbours else STEPS[:1], centres)
    size = constant((columns, rows), centres)
    cells = (centres.unsqueeze(2) + steps / 2).floor().long()
    cells = cells.clamp(min=0).minimum(size.long() - 1)
    centre_cell = torch.ones_like(centres[..., :1], dtype=torch.bool)
    if not neighbours:
        return cells, centre_cell
    low = (centres % 1 < 0.5) & (centres > 1)
    high = (centres % 1 > 0.5) & (centres < size - 1)
    return cells, torch.cat((centre_cell, low, high), -1)
