"""Pieces of YOLOv6's neck (version 4.0, the flavour with MBLA): bidirectional concatenation and MBLA stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock
from defectbench.nn.yolo import BN_EPS, BN_MOMENTUM, conv_silu


def conv_relu(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> ConvBlock:
    """Convolution, batch norm and ReLU."""
    return ConvBlock(c_in, c_out, kernel, stride, act="relu", eps=BN_EPS, momentum=BN_MOMENTUM)


class ScaledResidual(nn.Module):
    """Three 3x3 in a row plus alpha x, alpha a learnt number that starts at 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(conv_silu(channels, channels, 3) for _ in range(3)))
        self.alpha = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.alpha * x


class MBLA(nn.Module):
    """Multi-branch auxiliary fusion: three branches with 0, 1 and 2 blocks, all that they pass is joined."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.first = conv_silu(c_in, 3 * half)
        self.branches = nn.ModuleList(
            nn.ModuleList(ScaledResidual(half) for _ in range(depth)) for depth in range(3)
        )
        self.last = conv_silu(6 * half, c_out)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for branch, part in zip(self.branches, self.first(x).chunk(3, 1), strict=True):
            maps.append(part)
            for block in branch:  # type: ignore[attr-defined]
                maps.append(block(maps[-1]))
        return self.last(torch.cat(maps, 1))


class BiC(nn.Module):
    """Bidirectional concatenation: the level above made larger, this level, the level below made smaller.

    Args:
        middle: Channels of this level.
        low: Channels of the level below.
        width: Channels of the level above, and out.
    """

    def __init__(self, middle: int, low: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width, 2, 2)
        self.middle = conv_relu(middle, width)
        self.low = nn.Sequential(conv_relu(low, width), conv_relu(width, width, 3, 2))
        self.last = conv_relu(3 * width, width)

    def forward(self, top: Tensor, middle: Tensor, low: Tensor) -> Tensor:
        return self.last(torch.cat((self.up(top), self.middle(middle), self.low(low)), 1))
