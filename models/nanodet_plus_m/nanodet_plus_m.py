"""NanoDet-Plus-m (RangiLyu, 2021): ShuffleNetV2 1.0x, GhostPAN, separable head, assign guide module.

The reference loads ImageNet weights into the backbone; here it is trained from scratch like all others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock, channel_shuffle, chosen, outputs_of
from defectbench.nn.guides import AssignGuide
from defectbench.nn.heads import NanoDetPlusHead
from defectbench.nn.nanodet import NanoDetFamily
from defectbench.nn.necks import GhostPAN

# --- blocks ---------------------------------------------------------------------------------------


def right_branch(c_in: int, half: int, stride: int) -> nn.Sequential:
    """1x1, depthwise 3x3 without activation, 1x1."""
    return nn.Sequential(
        ConvBlock(c_in, half),
        ConvBlock(half, half, 3, stride, groups=half, act="none"),
        ConvBlock(half, half),
    )


class Unit(nn.Module):
    """ShuffleNetV2 unit: half of the channels pass, half are convolved, then a shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = right_branch(channels // 2, channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return channel_shuffle(torch.cat((left, self.right(right)), 1), 2)


class DownUnit(nn.Module):
    """ShuffleNetV2 unit that halves the map: both branches are convolved."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.left = nn.Sequential(
            ConvBlock(c_in, c_in, 3, 2, groups=c_in, act="none"), ConvBlock(c_in, half)
        )
        self.right = right_branch(c_in, half, 2)

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(torch.cat((self.left(x), self.right(x)), 1), 2)


# --- backbone -------------------------------------------------------------------------------------


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 1.0x without its last convolution (Ma et al., ECCV 2018), LeakyReLU(0.1)."""

    widths = (116, 232, 464)
    depths = (3, 7, 3)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 24
        for width, depth in zip(self.widths, self.depths, strict=True):
            stages.append(
                nn.Sequential(DownUnit(c_in, width), *(Unit(width) for _ in range(depth)))
            )
            c_in = width
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=1 / module.weight.shape[1])
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 1e-4)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int, guide: str = "agm", assign_from: str = "aux", guide_precision: str = "float32"
) -> NanoDetFamily:
    """Build NanoDet-Plus-m.

    Args:
        nc: Number of classes.
        guide: ``agm`` (assign guide module) or ``none``.
        assign_from: Whose predictions the assigner sees: ``aux`` (the guide's), ``main`` or ``mean``.
        guide_precision: ``bfloat16`` computes the guide's dense towers in half the bits: a training
            step takes two thirds of the time where the processor has such instructions.

    Returns:
        The detector in training form.
    """
    backbone = ShuffleNetV2()
    neck = GhostPAN(backbone.widths)
    guides = {"agm": lambda: AssignGuide(nc, neck, precision=guide_precision), "none": lambda: None}
    agm = chosen("guide", guide, guides)()
    return NanoDetFamily(nc, backbone, neck, NanoDetPlusHead(nc), agm, assign_from)
