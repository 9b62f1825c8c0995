"""HGNetV2, the three stages at strides 4, 8 and 16 that the smallest DEIMv2 keep of it.

As in DEIMv2 (Huang et al., arXiv 2509.20787) after PP-HGNetV2 (PaddleDetection): units of convolution, batch norm, ReLU
and a learnable scale and shift; blocks that join all that their layers give.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBlock, outputs_of

STEM = 16  # channels
LAYERS = 3  # of a block


class Affine(nn.Module):
    """One learnable scale and one shift of all values."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class HGUnit(nn.Sequential):
    """Convolution, batch norm, ReLU, affine.

    Args:
        c_in: Channels in.
        c_out: Channels out.
        kernel: Side of the kernel; a kernel of two has no padding of its own.
        stride: Stride.
        groups: Groups of channels.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        if kernel % 2:
            layers: list[nn.Module] = [ConvBlock(c_in, c_out, kernel, stride, groups, "relu")]
        else:
            conv = nn.Conv2d(c_in, c_out, kernel, stride, bias=False)
            layers = [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        super().__init__(*layers, Affine())


def light_unit(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """A 1x1 with batch norm alone, then a depthwise unit."""
    return nn.Sequential(
        ConvBlock(c_in, c_out, act="none"), HGUnit(c_out, c_out, kernel, groups=c_out)
    )


class Stem(nn.Module):
    """Images [B, 3, H, W] to 16 channels at stride 4; beside two 2x2 convolutions runs a max-pool."""

    def __init__(self) -> None:
        super().__init__()
        self.first = HGUnit(3, STEM, 3, 2)
        self.narrow = HGUnit(STEM, STEM // 2, 2)
        self.widen = HGUnit(STEM // 2, STEM, 2)
        self.halve = HGUnit(2 * STEM, STEM, 3, 2)
        self.last = HGUnit(STEM, STEM, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = one_more(self.first(images))
        convolved = self.widen(one_more(self.narrow(x)))
        pooled = F.max_pool2d(x, 2, 1)
        return self.last(self.halve(torch.cat((pooled, convolved), 1)))


def one_more(x: Tensor) -> Tensor:
    """A column of zeros at the right and a row below, so that a 2x2 kernel keeps the size."""
    return F.pad(x, (0, 1, 0, 1))


@dataclass(frozen=True)
class StagePlan:
    """What a stage is made of.

    Attributes:
        width: Channels of the layers inside a block.
        c_out: Channels out.
        blocks: Number of blocks.
        kernel: Side of the kernels.
        light: Whether layers are light ones.
        halves: Whether a depthwise 3x3 with stride 2 stands in front.
    """

    width: int
    c_out: int
    blocks: int = 1
    kernel: int = 3
    light: bool = False
    halves: bool = True


class HGBlock(nn.Module):
    """Layers in a row; the input and all that they give are joined and narrowed in two steps.

    Args:
        c_in: Channels in.
        plan: Of its stage.
        adds: Whether the input is added at the end.
    """

    def __init__(self, c_in: int, plan: StagePlan, adds: bool) -> None:
        super().__init__()
        make = light_unit if plan.light else HGUnit
        inputs = [c_in] + [plan.width] * (LAYERS - 1)
        self.layers = nn.ModuleList(make(c, plan.width, plan.kernel) for c in inputs)
        joined = c_in + LAYERS * plan.width
        self.join = nn.Sequential(
            HGUnit(joined, plan.c_out // 2, 1), HGUnit(plan.c_out // 2, plan.c_out, 1)
        )
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        out = self.join(torch.cat([x, *outputs_of(self.layers, x)], 1))
        return out + x if self.adds else out


class HGNet(nn.Module):
    """Images [B, 3, H, W] to one map at stride 16.

    Args:
        last: Plan of the stage at stride 16; the two before it are the same in all.

    Attributes:
        width: Channels of the map.
    """

    def __init__(self, last: StagePlan) -> None:
        super().__init__()
        plans = (StagePlan(16, 64, halves=False), StagePlan(32, 256), last)
        self.stem, self.width = Stem(), last.c_out
        stages, c_in = [], STEM
        for plan in plans:
            stages.append(stage(c_in, plan))
            c_in = plan.c_out
        self.stages = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(self.stem(images))


def stage(c_in: int, plan: StagePlan) -> nn.Sequential:
    """One stage: half the size where the plan says so, then blocks, of which all but the first add their input."""
    layers: list[nn.Module] = []
    if plan.halves:
        layers.append(ConvBlock(c_in, c_in, 3, 2, c_in, act="none"))
    inputs = [c_in] + [plan.c_out] * (plan.blocks - 1)
    layers += [HGBlock(c, plan, adds=n > 0) for n, c in enumerate(inputs)]
    return nn.Sequential(*layers)
