"""Path-aggregation necks: GhostPAN (NanoDet-Plus); with other nodes RepGhostPAN and CSP-PAN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBlock, chosen, separable


def bilinear_like(x: Tensor, other: Tensor) -> Tensor:
    """Map x [B, C, H, W] at the size of another map, bilinear between the centres of cells."""
    return F.interpolate(x, size=other.shape[-2:], mode="bilinear", align_corners=False)


def nearest_like(x: Tensor, other: Tensor) -> Tensor:
    """Map x [B, C, H, W] at the size of another map, nearest cell."""
    return F.interpolate(x, size=other.shape[-2:], mode="nearest")


UPSAMPLE = {"bilinear": bilinear_like, "nearest": nearest_like}


class Ghost(nn.Module):
    """Ghost module (Han et al., CVPR 2020): half the channels by 1x1, half by a cheap depthwise 3x3."""

    def __init__(self, c_in: int, c_out: int, act: str = "leaky") -> None:
        super().__init__()
        half = c_out // 2
        self.primary = ConvBlock(c_in, half, act=act)
        self.cheap = ConvBlock(half, half, 3, groups=half, act=act)

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        return torch.cat((primary, self.cheap(primary)), 1)


class GhostBottleneck(nn.Module):
    """Two ghost modules, what ``inner`` adds between them, and a depthwise 5x5 shortcut."""

    def __init__(
        self, c_in: int, c_out: int, inner: Callable[[int], nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.expand = Ghost(c_in, c_out)
        self.inner = inner(c_out) if inner else nn.Identity()
        self.project = Ghost(c_out, c_out, act="none")
        self.shortcut = nn.Sequential(
            ConvBlock(c_in, c_in, 5, groups=c_in, act="none"), ConvBlock(c_in, c_out, act="none")
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.inner(self.expand(x))) + self.shortcut(x)


class GhostPAN(nn.Module):
    """Three levels in, four out (strides 8, 16, 32, 64), all of one width.

    Args:
        widths: Channels of the three inputs.
        width: Channels of the outputs.
        node: Builds a fusion node from (channels in, channels out).
        act: Activation outside the nodes.
        upsample: ``bilinear`` or ``nearest``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        width: int = 96,
        node: Callable[[int, int], nn.Module] = GhostBottleneck,
        act: str = "leaky",
        upsample: str = "bilinear",
    ) -> None:
        super().__init__()
        self.upsample = chosen("upsample", upsample, UPSAMPLE)
        self.reduce = nn.ModuleList(ConvBlock(c, width, act=act) for c in widths)
        self.top_down = nn.ModuleList(node(2 * width, width) for _ in widths[1:])
        self.down = nn.ModuleList(separable(width, width, 5, 2, act) for _ in widths[1:])
        self.bottom_up = nn.ModuleList(node(2 * width, width) for _ in widths[1:])
        self.extra_in = separable(width, width, 5, 2, act)
        self.extra_out = separable(width, width, 5, 2, act)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        reduced = [conv(x) for conv, x in zip(self.reduce, features, strict=True)]
        tops = [reduced[-1]]
        for node, lateral in zip(self.top_down, reduced[-2::-1], strict=True):
            up = self.upsample(tops[0], lateral)
            tops.insert(0, node(torch.cat((up, lateral), 1)))
        outs = [tops[0]]
        for down, node, lateral in zip(self.down, self.bottom_up, tops[1:], strict=True):
            outs.append(node(torch.cat((down(outs[-1]), lateral), 1)))
        return [*outs, self.extra_in(reduced[-1]) + self.extra_out(outs[-1])]
