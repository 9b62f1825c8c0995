"""PP-PicoDet-S (Yu et al., arXiv 2111.00902), release of October 2021: ESNet 0.75, CSP-PAN, SimOTA.

This is the small model of the paper (0.99 M parameters at 80 classes), not its successor of 2022. The
reference loads ImageNet weights into the backbone; here it is trained from scratch like all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from defectbench.nn.assigners import Assignment
from defectbench.nn.blocks import ConvBlock, outputs_of, separable
from defectbench.nn.detector import Targets
from defectbench.nn.functional import channel_shuffle, halves
from defectbench.nn.heads import NanoDetPlusHead
from defectbench.nn.nanodet import Learning, NanoDetFamily
from defectbench.nn.necks import GhostPAN
from defectbench.nn.simota import varifocal_simota

ACT = "hardswish"

# --- blocks ---------------------------------------------------------------------------------------


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al., CVPR 2018) with a quarter of the channels and a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Hardsigmoid(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def depthwise(channels: int, stride: int = 1) -> ConvBlock:
    """Depthwise 3x3 without activation."""
    return ConvBlock(channels, channels, 3, stride, groups=channels, act="none")


class Unit(nn.Module):
    """ESNet block of stride 1: half of the channels pass, half go through a ghost pair and attention.

    Args:
        channels: Channels in and out.
        middle: Channels of the ghost pair, both halves together.
    """

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        half = channels // 2
        self.primary = ConvBlock(half, middle // 2, act=ACT)
        self.cheap = depthwise(middle // 2)
        self.attend = SqueezeExcite(middle)
        self.project = ConvBlock(middle, half, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        left, right = halves(x)
        primary = self.primary(right)
        ghost = torch.cat((primary, self.cheap(primary)), 1)
        return channel_shuffle(torch.cat((left, self.project(self.attend(ghost))), 1), 2)


class DownUnit(nn.Module):
    """ESNet block of stride 2: both branches are convolved; a separable convolution mixes, no shuffle.

    Args:
        c_in: Channels in.
        c_out: Channels out.
        middle: Twice the channels inside the right branch.
    """

    def __init__(self, c_in: int, c_out: int, middle: int) -> None:
        super().__init__()
        half, inner = c_out // 2, middle // 2
        self.left = nn.Sequential(depthwise(c_in, 2), ConvBlock(c_in, half, act=ACT))
        self.right = nn.Sequential(
            ConvBlock(c_in, inner, act=ACT),
            depthwise(inner, 2),
            SqueezeExcite(inner),
            ConvBlock(inner, half, act=ACT),
        )
        self.merge = separable(c_out, c_out, 3, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(torch.cat((self.left(x), self.right(x)), 1))


# --- backbone -------------------------------------------------------------------------------------


class ESNet(nn.Module):
    """ESNet 0.75: three stages at strides 8, 16, 32; ``ratios`` give the width inside each block."""

    widths = (96, 192, 384)
    ratios = (
        (0.875, 0.5, 0.5),
        (0.5, 0.625, 0.5, 0.625, 0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
    )

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, 24, 3, 2, act=ACT), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 24
        for width, ratios in zip(self.widths, self.ratios, strict=True):
            first, *others = (to_eights(width * ratio) for ratio in ratios)
            units = [Unit(width, middle) for middle in others]
            stages.append(nn.Sequential(DownUnit(c_in, width, first), *units))
            c_in = width
        self.stages = nn.ModuleList(stages)
        for module in self.modules():  # start of the weights: *reconstructed*
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


def to_eights(width: float) -> int:
    """The multiple of 8 nearest to a width; of two, the larger."""
    return int(width + 4) // 8 * 8


# --- neck -----------------------------------------------------------------------------------------


class CSPNode(nn.Module):
    """Fusion node of CSP-PAN: a 1x1 beside a 1x1 with a separable bottleneck, joined by a 1x1.

    Args:
        c_in: Channels in.
        c_out: Channels out; half of them in each branch.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.main = nn.Sequential(
            ConvBlock(c_in, half, act=ACT),
            ConvBlock(half, half, act=ACT),
            separable(half, half, 5, act=ACT),
        )
        self.short = ConvBlock(c_in, half, act=ACT)
        self.join = ConvBlock(c_out, c_out, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat((self.main(x), self.short(x)), 1))


# --- build ----------------------------------------------------------------------------------------


def assign(
    logits: Tensor, boxes: Tensor, priors: Tensor, targets: Targets, _sizes: Sequence[int]
) -> Assignment:
    """SimOTA, to which all levels are one."""
    return varifocal_simota(logits, boxes, priors, targets)


def build(nc: int) -> NanoDetFamily:
    """Build PicoDet-S.

    CSP-PAN has the levels and connections of GhostPAN with other nodes, and the head that of
    NanoDet-Plus with another activation. Priors are the centres of cells.

    Args:
        nc: Number of classes.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        964003
    """
    backbone = ESNet()
    neck = GhostPAN(backbone.widths, 96, CSPNode, ACT, "nearest")
    head = NanoDetPlusHead(nc, act=ACT)
    learning = Learning(assign, "vfl")
    return NanoDetFamily(nc, backbone, neck, head, offset=0.5, learning=learning)
