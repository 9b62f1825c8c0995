"""Greedy k-center selection: few vectors of many, such that no vector is far from a chosen one.

Sener and Savarese, ICLR 2018, algorithm 1; used for memory banks by PatchCore (Roth et al., CVPR 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-4  # share of a vector's square by which its distance to a copy may miss 0


@torch.no_grad()
def k_center(vectors: Tensor, count: int, first: int) -> tuple[Tensor, float]:
    """Choose vectors one by one, each the one that is farthest from those chosen before.

    Args:
        vectors: float32 [n, d], at least one.
        count: How many to choose; fewer are chosen where the others are all copies of chosen ones.
        first: Row of the vector to begin with.

    Returns:
        Rows of the chosen vectors in the order of the choice, int64 [k], and the covering radius: the largest
        Euclidean distance of a vector to the nearest chosen one.

    Example:
        >>> line = torch.arange(5.0).view(-1, 1)
        >>> k_center(line, 3, first=2)[0].tolist()
        [2, 0, 4]
    """
    squares = vectors.square().sum(1)
    nearest = torch.full_like(squares, float("inf"))
    chosen: list[int] = []
    row = first
    while len(chosen) < min(count, len(vectors)):
        chosen.append(row)
        distances = torch.addmv(squares, vectors, vectors[row], alpha=-2) + squares[row]
        near = (distances <= ROUNDING * squares[row]).nonzero()[:, 0]
        # exactly where it matters: rounding leaves copies a little apart
        distances[near] = (vectors[near] - vectors[row]).square().sum(1)
        nearest = torch.minimum(nearest, distances)
        row = int(nearest.argmax())
        if nearest[row] <= 0:
            break
    return torch.tensor(chosen), float(nearest.max().clamp(min=0).sqrt())
