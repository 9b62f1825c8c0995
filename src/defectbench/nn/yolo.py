"""Pieces of the YOLOv8 frame: C2f with any bottleneck, SPPF, the path-aggregation neck, the decoupled head.

Layout and counts follow versions 8.0 to 8.4 of the reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBlock, PredictionConv2d
from .heads import join_levels

BN_EPS, BN_MOMENTUM = 1e-3, 0.03
BINS = 16  # of a side's distance: 0 to 15 strides


def conv_silu(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> ConvBlock:
    """Convolution, batch norm and SiLU with the batch norm's constants of the YOLOv8 family."""
    return ConvBlock(c_in, c_out, kernel, stride, act="silu", eps=BN_EPS, momentum=BN_MOMENTUM)


def two_convs(channels: int) -> nn.Sequential:
    """Body of YOLOv8's bottleneck: two 3x3."""
    return nn.Sequential(conv_silu(channels, channels, 3), conv_silu(channels, channels, 3))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def residual_convs(channels: int) -> Residual:
    """YOLOv8's bottleneck with its shortcut, as the backbone has it."""
    return Residual(two_convs(channels))


class C2f(nn.Module):
    """Cross-stage block: split in two halves, a chain of bottlenecks on one, all outputs joined.

    Attributes:
        halves: Channels of the split's parts; the chain works on the second. Equal unless pruned.

    Args:
        c_in: Channels in.
        c_out: Channels out; bottlenecks have half of them.
        bottleneck: Builds a bottleneck of so many channels.
        depth: Number of bottlenecks.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        bottleneck: Callable[[int], nn.Module] = two_convs,
        depth: int = 1,
    ) -> None:
        super().__init__()
        half = c_out // 2
        self.halves = [half, half]
        self.first = conv_silu(c_in, 2 * half)
        self.chain = nn.ModuleList(bottleneck(half) for _ in range(depth))
        self.last = conv_silu((2 + depth) * half, c_out)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).split(self.halves, 1))
        for block in self.chain:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling: three 5x5 max-pools in a chain see 5, 9 and 13 cells."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_in // 2
        self.first = conv_silu(c_in, half)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.last = conv_silu(4 * half, c_out)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class YoloPAN(nn.Module):
    """Top-down and bottom-up fusion of three levels by concatenation.

    Args:
        laterals: Channels of the inputs, finest first.
        widths: Channels of the outputs, finest first; the coarsest input has as many as its output.
        node: Builds a fusion node from (channels in, channels out).
    """

    def __init__(
        self,
        laterals: Sequence[int],
        widths: Sequence[int],
        node: Callable[[int, int], nn.Module] = C2f,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.top_down = nn.ModuleList(
            (node(laterals[2] + laterals[1], middle), node(middle + laterals[0], fine))
        )
        self.down = nn.ModuleList(conv_silu(c, c, 3, 2) for c in (fine, middle))
        self.bottom_up = nn.ModuleList(
            (node(fine + middle, middle), node(middle + laterals[2], coarse))
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        tops = [features[-1]]
        for node, lateral in zip(self.top_down, features[-2::-1], strict=True):
            up = F.interpolate(tops[0], size=lateral.shape[-2:], mode="nearest")
            tops.insert(0, node(torch.cat((up, lateral), 1)))
        outs = [tops[0]]
        for down, node, lateral in zip(self.down, self.bottom_up, tops[1:], strict=True):
            outs.append(node(torch.cat((down(outs[-1]), lateral), 1)))
        return outs


class DecoupledHead(nn.Module):
    """YOLOv8's head: per level a class branch and a box branch of two 3x3 and a 1x1 each.

    Args:
        nc: Number of classes.
        widths: Channels of the levels.
        strides: Stride of the levels, pixels.
    """

    def __init__(
        self, nc: int, widths: Sequence[int], strides: Sequence[int] = (8, 16, 32)
    ) -> None:
        super().__init__()
        of_boxes = max(16, widths[0] // 4, 4 * BINS)
        of_classes = max(widths[0], min(nc, 100))
        self.classes = nn.ModuleList(_branch(c, of_classes, nc) for c in widths)
        self.boxes = nn.ModuleList(_branch(c, of_boxes, 4 * BINS) for c in widths)
        for classes, boxes, stride in zip(
            _ends(self.classes), _ends(self.boxes), strides, strict=True
        ):
            set_start(classes, boxes, nc, stride)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Raw output [B, P, nc + 4 * BINS], levels one after the other."""
        branches = zip(self.classes, self.boxes, features, strict=True)
        return join_levels([torch.cat((classes(x), boxes(x)), 1) for classes, boxes, x in branches])


def set_start(classes: nn.Conv2d, boxes: nn.Conv2d, nc: int, stride: int) -> None:
    """Biases to start from: five objects in an image of 640 pixels, every distance equally likely."""
    assert classes.bias is not None
    assert boxes.bias is not None
    nn.init.constant_(classes.bias, math.log(5 / nc / (640 / stride) ** 2))
    nn.init.ones_(boxes.bias)


def _branch(c_in: int, width: int, c_out: int) -> nn.Sequential:
    layers = (conv_silu(c_in, width, 3), conv_silu(width, width, 3))
    return nn.Sequential(*layers, PredictionConv2d(width, c_out, 1))


def _ends(branches: Iterable[nn.Module]) -> list[nn.Conv2d]:
    """The last convolution of each branch."""
    return [branch[-1] for branch in branches]  # type: ignore[index]
