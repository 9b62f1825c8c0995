"""Pairs of least total cost (the assignment problem), for many problems at once and without asking the device.

Shortest augmenting paths with potentials (Jonker and Volgenant, Computing 38, 1987): rows get their columns one after
the other, and a row that wants a taken column moves others along the cheapest path. A path visits no more columns than
rows have one, so that the number of steps is known before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .waiting import answers_at_once


@torch.no_grad()
def least_cost_pairs(cost: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Pair rows with columns, each at most once, so that as many rows as can are paired at the least total cost.

    Args:
        cost: [N, R, C], finite.
        counted: Bool [N, R], which rows are there to be paired.

    Returns:
        Column of each row, int64 [N, R], and which rows have one, bool [N, R]; the others say 0.

    Example:
        >>> cost = torch.tensor([[[1.0, 2.0], [1.0, 9.0]]])
        >>> least_cost_pairs(cost, torch.ones(1, 2, dtype=torch.bool))[0].tolist()
        [[1, 0]]
    """
    _, rows, columns = cost.shape
    cost = cost.double()
    if rows <= columns:
        return _columns_of_rows(cost, counted)
    # rows that are not there cost so much that they are left over
    spread = cost.abs().amax((1, 2), keepdim=True) * (2 * columns + 2) + 1
    turned = torch.where(counted.unsqueeze(-1), cost, spread).transpose(1, 2)
    row, _ = _columns_of_rows(turned, torch.ones_like(turned[..., 0], dtype=torch.bool))
    column = torch.arange(columns, device=cost.device).expand_as(row)
    found = torch.zeros_like(counted, dtype=torch.int64).scatter_(1, row, column)
    paired = torch.zeros_like(counted).scatter_(1, row, torch.ones_like(row, dtype=torch.bool))
    paired &= counted
    return found * paired, paired


def _columns_of_rows(cost: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """The same for no more rows than columns. Column 0 is none: the row that is being placed waits there."""
    problems, rows, columns = cost.shape
    owner = cost.new_zeros(problems, columns + 1, dtype=torch.int64)  # row of a column, from 1
    of_row, of_column = cost.new_zeros(problems, rows + 1), cost.new_zeros(problems, columns + 1)
    asks = answers_at_once(cost)
    for row in range(rows):
        owner[:, 0].fill_(row + 1)
        end, before = _search(cost, counted[:, row], owner, of_row, of_column, row + 1, asks)
        _shift(owner, end, before, row + 1, asks)
    places = torch.arange(columns, device=cost.device).expand(problems, -1)
    found = owner.new_zeros(problems, rows + 1).scatter_(1, owner[:, 1:], places)[:, 1:]
    return found * counted, counted


def _search(
    cost: Tensor,
    searching: Tensor,
    owner: Tensor,
    of_row: Tensor,
    of_column: Tensor,
    steps: int,
    asks: bool,
) -> tuple[Tensor, Tensor]:
    """The cheapest path from the waiting row to a free column; moves the potentials.

    Returns:
        The free column [N], 0 where none was sought, and the column before each on its path [N, C + 1].
    """
    problems, _, width = cost.shape
    at = owner.new_zeros(problems, 1)
    used = torch.zeros_like(owner, dtype=torch.bool)
    least = cost.new_full((problems, width + 1), torch.inf)
    before, searching = torch.zeros_like(owner), searching.unsqueeze(1)
    for _ in range(steps):
        if asks and not searching.any():
            break
        used = used.scatter(1, at, searching | used.gather(1, at))
        row = owner.gather(1, at)
        of_pairs = cost.gather(1, (row - 1).clamp(min=0).unsqueeze(-1).expand(-1, 1, width))
        reduced = of_pairs.squeeze(1) - of_row.gather(1, row) - of_column[:, 1:]
        better = (reduced < least[:, 1:]) & ~used[:, 1:] & searching
        least[:, 1:] = torch.where(better, reduced, least[:, 1:])
        before[:, 1:] = torch.where(better, at, before[:, 1:])
        step, nearest = least[:, 1:].masked_fill(used[:, 1:], torch.inf).min(1, keepdim=True)
        step = torch.where(searching, step, 0.0)
        taken = torch.where(used, step, 0.0)
        of_row.scatter_add_(1, owner, taken)
        of_column -= taken
        least -= torch.where(used, 0.0, step)
        at = torch.where(searching, nearest + 1, at)
        searching = searching & (owner.gather(1, at) != 0)
    return at, before


def _shift(owner: Tensor, at: Tensor, before: Tensor, steps: int, asks: bool) -> None:
    """Move rows along the paths that end in the columns ``at`` [N, 1], in place."""
    for _ in range(steps):
        moving = at != 0
        if asks and not moving.any():
            return
        previous = before.gather(1, at)
        moved = torch.where(moving, owner.gather(1, previous), owner.gather(1, at))
        owner.scatter_(1, at, moved)
        at = torch.where(moving, previous, at)
