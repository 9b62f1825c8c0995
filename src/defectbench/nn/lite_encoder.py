"""The lite encoder of the smallest DEIMv2 (Huang et al., arXiv 2509.20787): one map in, two maps of one width out.

The coarser map is made by pooling, takes up its own mean, and both ways between the two maps end in a block of
re-parameterised convolutions, which fold to plain ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvBlock
from .fold import fold_conv_bn

ACT = "silu"
HIDDEN = 0.34  # width inside a fusion block, as a share of half the width
BOTTLENECKS = 2


class RepBottleneck(nn.Module):
    """SiLU of 3x3 + BN and 1x1 + BN, added up; deployed as one 3x3.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.square = ConvBlock(channels, channels, 3, act="none")
        self.point = ConvBlock(channels, channels, act="none")

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.square(x) + self.point(x))

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """One 3x3 with bias, then SiLU."""
        conv = fold_conv_bn(*self.square)  # type: ignore[arg-type]
        point = fold_conv_bn(*self.point)  # type: ignore[arg-type]
        assert conv.bias is not None
        assert point.bias is not None
        conv.weight[:, :, 1, 1] += point.weight[:, :, 0, 0]  # a 1x1 is the centre of a 3x3
        conv.bias += point.bias
        return nn.Sequential(conv, nn.SiLU(inplace=True))


class RepCSP(nn.Module):
    """A 1x1 to two halves; bottlenecks on one of them, then both are added and pass a 3x3.

    Args:
        c_in: Channels in.
        width: Channels of a half, and out.
    """

    def __init__(self, c_in: int, width: int) -> None:
        super().__init__()
        self.split = ConvBlock(c_in, 2 * width, act=ACT)
        self.bottlenecks = nn.Sequential(*(RepBottleneck(width) for _ in range(BOTTLENECKS)))
        self.leave = ConvBlock(width, width, 3, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        kept, passed = self.split(x).chunk(2, 1)
        return self.leave(kept + self.bottlenecks(passed))


class FusionBlock(nn.Module):
    """A 1x1 to two halves, two CSP blocks in a row on one of them, all four joined by a 1x1.

    Args:
        width: Channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = int(HIDDEN * width / 2)
        self.enter = ConvBlock(width, 2 * width, act=ACT)
        self.first, self.second = RepCSP(width, hidden), RepCSP(hidden, hidden)
        self.leave = ConvBlock(2 * (width + hidden), width, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        kept, passed = self.enter(x).chunk(2, 1)
        first = self.first(passed)
        return self.leave(torch.cat((kept, passed, first, self.second(first)), 1))


class Halve(nn.Module):
    """Mean of 3x3 with stride 2, zeros at the border counted, then a 1x1.

    Args:
        width: Channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = ConvBlock(width, width, act=ACT)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(F.avg_pool2d(x, 3, 2, 1))


class LiteEncoder(nn.Module):
    """One map [B, C, H, W] at stride 16 to two of one width, at strides 16 and 32; H and W are even.

    Args:
        c_in: Channels in.
        width: Channels out.
    """

    def __init__(self, c_in: int, width: int) -> None:
        super().__init__()
        self.enter = ConvBlock(c_in, width, act="none")
        self.halve = Halve(width)
        self.mean = ConvBlock(width, width, act=ACT)
        self.top_down = FusionBlock(width)
        self.halve_again = Halve(width)
        self.bottom_up = FusionBlock(width)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.enter(x)
        coarse = self.halve(fine)
        coarse = self.mean(coarse + coarse.mean((2, 3), keepdim=True))
        fine = self.top_down(fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        return [fine, self.bottom_up(coarse + self.halve_again(fine))]
