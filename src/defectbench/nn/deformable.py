"""Deformable attention (Zhu et al., ICLR 2021) without projections of values and output, as in D-FINE and DEIMv2.

A query looks at few points of each map; where they lie is said by offsets in shares of the query's box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import PredictionLinear

REACH = 0.5  # by which offsets are scaled, in sides of the box


class DeformableAttention(nn.Module):
    """Each head takes a weighted mean of its share of the channels at points about a query's box.

    Args:
        width: Channels of queries and maps.
        heads: Number of heads.
        points: Points of a head by map.
    """

    scales: Tensor

    def __init__(self, width: int, heads: int, points: Sequence[int]) -> None:
        super().__init__()
        self.heads, self.points = heads, tuple(points)
        total = sum(points)
        self.offsets = PredictionLinear(width, heads * total * 2)
        self.weights = nn.Linear(width, heads * total)
        scales = [REACH / count for count in points for _ in range(count)]
        self.register_buffer("scales", torch.tensor(scales).view(-1, 1), persistent=False)
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_(first_offsets(heads, self.points).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def forward(self, queries: Tensor, boxes: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """What the queries see, [B, T, C].

        Args:
            queries: [B, T, C].
            boxes: [B, T, 4], centre and sides as shares of the image.
            maps: [B, C, H, W] each.
        """
        batch, count, width = queries.shape
        heads, total = self.heads, sum(self.points)
        offsets = self.offsets(queries).view(batch, count, heads, total, 2)
        places = boxes[:, :, None, None, :2] + offsets * self.scales * boxes[:, :, None, None, 2:]
        grid = (2 * places - 1).transpose(1, 2).reshape(batch * heads, count, total, 2)
        seen = [
            F.grid_sample(
                x.float().reshape(batch * heads, width // heads, *x.shape[-2:]),
                part,
                mode="bilinear",
                padding_mode="zeros",
                align_corners=False,
            )
            for x, part in zip(maps, grid.split(self.points, 2), strict=True)
        ]
        weights = self.weights(queries).float().view(batch, count, heads, total).softmax(-1)
        weights = weights.transpose(1, 2).reshape(batch * heads, 1, count, total)
        out = (torch.cat(seen, -1) * weights).sum(-1)
        return out.reshape(batch, width, count).transpose(1, 2)


def first_offsets(heads: int, points: Sequence[int]) -> Tensor:
    """Offsets [heads, points, 2] to start from: a direction a head, evenly on a square, farther with each point."""
    angles = torch.arange(heads) * (2 * math.pi / heads)
    directions = torch.stack((angles.cos(), angles.sin()), -1)
    directions = directions / directions.abs().amax(-1, keepdim=True)
    steps = torch.cat([torch.arange(1, count + 1) for count in points])
    return directions.unsqueeze(1) * steps.view(1, -1, 1)
