"""ShuffleNetV2 (Ma et al., ECCV 2018), the backbone of the NanoDets, of YOLO-FastestV2 and of FastestDet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .blocks import ConvBlock, outputs_of
from .functional import channel_shuffle, halves


def right_branch(c_in: int, half: int, stride: int, act: str = "leaky") -> nn.Sequential:
    """1x1, depthwise 3x3 without activation, 1x1."""
    return nn.Sequential(
        ConvBlock(c_in, half, act=act),
        ConvBlock(half, half, 3, stride, groups=half, act="none"),
        ConvBlock(half, half, act=act),
    )


def left_branch(c_in: int, half: int, act: str = "leaky") -> nn.Sequential:
    """Depthwise 3x3 of stride 2 without activation, 1x1."""
    return nn.Sequential(
        ConvBlock(c_in, c_in, 3, 2, groups=c_in, act="none"), ConvBlock(c_in, half, act=act)
    )


class Unit(nn.Module):
    """ShuffleNetV2 unit: half of the channels pass, half are convolved, then a shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = right_branch(channels // 2, channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = halves(x)
        return channel_shuffle(torch.cat((left, self.right(right)), 1), 2)


class DownUnit(nn.Module):
    """ShuffleNetV2 unit that halves the map: both branches are convolved."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.left = left_branch(c_in, half)
        self.right = right_branch(c_in, half, 2)

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(torch.cat((self.left(x), self.right(x)), 1), 2)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 without its last convolution; by default 1.0x with LeakyReLU(0.1).

    Args:
        widths: Channels of the maps at strides 8, 16, 32.
        unit: Builds a unit of so many channels.
        down: Builds a unit that halves the map, from (channels in, channels out).
        act: Activation of the stem.
    """

    depths = (3, 7, 3)

    def __init__(
        self,
        widths: Sequence[int] = (116, 232, 464),
        unit: Callable[[int], nn.Module] = Unit,
        down: Callable[[int, int], nn.Module] = DownUnit,
        act: str = "leaky",
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.Sequential(ConvBlock(3, 24, 3, 2, act=act), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 24
        for width, depth in zip(self.widths, self.depths, strict=True):
            stages.append(nn.Sequential(down(c_in, width), *(unit(width) for _ in range(depth))))
            c_in = width
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=1 / module.weight.shape[1])
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 1e-4)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


class ShuffleFirstUnit(nn.Module):
    """ShuffleNetV2 unit that shuffles first: even channels pass, odd ones are convolved, then joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = right_branch(channels // 2, channels // 2, 1, "relu")

    def forward(self, x: Tensor) -> Tensor:
        even, odd = halves(channel_shuffle(x, x.shape[1] // 2))
        return torch.cat((even, self.right(odd)), 1)


class PlainDownUnit(nn.Module):
    """ShuffleNetV2 unit that halves the map: both branches are convolved, nothing is shuffled."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.left = left_branch(c_in, c_out // 2, "relu")
        self.right = right_branch(c_in, c_out // 2, 2, "relu")

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.left(x), self.right(x)), 1)


def fastest_shufflenet() -> ShuffleNetV2:
    """The small one with ReLU that YOLO-FastestV2 and FastestDet share: 48, 96 and 192 channels, 143,136 parameters."""
    return ShuffleNetV2((48, 96, 192), ShuffleFirstUnit, PlainDownUnit, "relu")
