"""ResNet-50, v1.5: the stride of a bottleneck sits in its 3x3 convolution.

He et al., CVPR 2016. Modules are named as in torchvision's ``resnet50``, so that its weights load by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import PredictionLinear, StridedPointwiseConv2d
from defectbench.nn.classifier import (
    ChannelSet,
    Classifier,
    Wire,
    build_planned,
    conv_bn,
    initialise,
    pooled,
)

STEM, STEM_WIDTH = "stem", 64
STAGES = ("layer1", "layer2", "layer3", "layer4")
DEPTHS = (3, 4, 6, 3)
INNER_WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
BLOCKS = tuple(
    f"{stage}.{n}" for stage, depth in zip(STAGES, DEPTHS, strict=True) for n in range(depth)
)


def _full_widths() -> dict[str, int]:
    inner: dict[str, int] = dict(zip(STAGES, INNER_WIDTHS, strict=True))
    widths = {STEM: STEM_WIDTH} | {stage: EXPANSION * inner[stage] for stage in STAGES}
    for block in BLOCKS:
        for conv in ("conv1", "conv2"):
            widths[f"{block}.{conv}"] = inner[block.split(".")[0]]
    return widths


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, each with BN, plus the input or its projection.

    Args:
        c_in: Channels in.
        first: Channels that the 1x1 writes.
        second: Channels that the 3x3 writes.
        c_out: Channels out.
        stride: Of the 3x3 and of the projection.
        projects: Whether the shortcut is a 1x1 with BN.
    """

    def __init__(
        self, c_in: int, first: int, second: int, c_out: int, stride: int, projects: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, first, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(first, second, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(second, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = None
        if projects:
            self.downsample = nn.Sequential(
                StridedPointwiseConv2d(c_in, c_out, stride), nn.BatchNorm2d(c_out)
            )
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu3(out + (x if self.downsample is None else self.downsample(x)))


class ResNet50(Classifier):
    """ResNet-50: sets ``stem``, one per stage (role ``out``) and two inner ones per bottleneck (role ``mid``).

    A stage's set is shared by all its blocks' closing convolutions and its shortcut, because their outputs are added
    up; it is looked at after every block of the stage. The stem is looked at after its pooling.
    """

    name = "resnet50"
    full_widths = _full_widths()

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__(nc, widths)
        c_in = self.widths[STEM]
        self.conv1 = nn.Conv2d(3, c_in, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(c_in)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for stage, depth in zip(STAGES, DEPTHS, strict=True):
            self.add_module(stage, nn.Sequential(*self._blocks(stage, depth, c_in)))
            c_in = self.widths[stage]
        self.fc = PredictionLinear(c_in, nc)
        initialise(self)

    def _blocks(self, stage: str, depth: int, c_in: int) -> list[Bottleneck]:
        blocks, c_out = [], self.widths[stage]
        for n in range(depth):
            first, second = (self.widths[f"{stage}.{n}.{conv}"] for conv in ("conv1", "conv2"))
            stride = 2 if n == 0 and stage != STAGES[0] else 1
            blocks.append(
                Bottleneck(c_in if n == 0 else c_out, first, second, c_out, stride, n == 0)
            )
        return blocks

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(F.relu_(self.bn1(self.conv1(images))))
        for stage in STAGES:
            x = self.get_submodule(stage)(x)
        return self.fc(pooled(x))

    @property
    def channel_sets(self) -> tuple[ChannelSet, ...]:
        sets = [ChannelSet(STEM, STEM, self.widths[STEM], ("maxpool",))]
        for stage, depth in zip(STAGES, DEPTHS, strict=True):
            taps = tuple(f"{stage}.{n}.relu3" for n in range(depth))
            sets.append(ChannelSet(stage, "out", self.widths[stage], taps))
        for block in BLOCKS:
            for number in (1, 2):
                name = f"{block}.conv{number}"
                sets.append(ChannelSet(name, "mid", self.widths[name], (f"{block}.relu{number}",)))
        return tuple(sets)

    @property
    def wires(self) -> tuple[Wire, ...]:
        wires = [*conv_bn("conv1", "bn1", STEM, None)]
        before = STEM
        for block in BLOCKS:
            stage, number = block.split(".")
            first, second = f"{block}.conv1", f"{block}.conv2"
            wires += conv_bn(first, f"{block}.bn1", first, before)
            wires += conv_bn(second, f"{block}.bn2", second, first)
            wires += conv_bn(f"{block}.conv3", f"{block}.bn3", stage, second)
            if number == "0":
                shortcut = f"{block}.downsample"
                wires += conv_bn(f"{shortcut}.0", f"{shortcut}.1", stage, before)
            before = stage
        return (*wires, Wire("fc", None, before))


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> Classifier:
    """Build ResNet-50.

    Args:
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: its ``network`` and ``widths``.

    Returns:
        The classifier in training form.

    Raises:
        CompressionError: The plan is of another network, or the widths do not fit.
    """
    return build_planned(ResNet50, nc, width, plan)
