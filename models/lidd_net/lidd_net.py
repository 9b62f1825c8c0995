"""LIDD-Net (Sha, Xie, Guo, Sun; J. Northeastern Univ. Nat. Sci. 2025, 1005-3026(2025)10-0018-09).

NanoDet-Plus with three swaps: CISB-Net as backbone, RepGhostPAN as neck, and LATM, a light auxiliary head
that lives in training only and guides the assigner. The paper prints neither widths nor dilation rates;
what is marked *reconstructed* follows from its parameter and FLOPs counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock, DOConv2d, SimAM, channel_shuffle, outputs_of, separable
from defectbench.nn.guides import AssignGuide
from defectbench.nn.heads import PRIOR_BIAS, NanoDetPlusHead
from defectbench.nn.nanodet import Guide, NanoDetFamily
from defectbench.nn.necks import GhostBottleneck, GhostPAN
from defectbench.nn.rep import RepDepthwise

# --- blocks ---------------------------------------------------------------------------------------


def halve(x: Tensor) -> Tensor:
    """Average pool 2x2, odd sizes rounded up."""
    return F.avg_pool2d(x, 2, 2, ceil_mode=True)


class CSE(nn.Module):
    """CSE-B (stride 1) and the body of CSE-A (stride 2): split 6:5:5, convolve, attend, add, shuffle.

    Args:
        channels: Channels in and out, a multiple of 16.
        stride: 2 halves the map; the branches that are not convolved are then pooled (*reconstructed*).
        shuffle: Groups of the channel shuffle (*reconstructed*: AugShuffleNet's 4).
        add: ``literal`` adds the two passive branches, ``residual`` adds around the attention (*reconstructed*).
    """

    def __init__(
        self, channels: int, stride: int = 1, shuffle: int = 4, add: str = "literal"
    ) -> None:
        super().__init__()
        part = channels // 16
        self.sizes = [6 * part, 5 * part, 5 * part]
        self.stride, self.shuffle, self.add = stride, shuffle, add
        first = self.sizes[0]
        self.convolve = nn.Sequential(
            ConvBlock(first, first, act=False),
            ConvBlock(first, first, 3, stride, groups=first, act=False),
        )
        self.attend = SimAM()
        self.enhance = ConvBlock(
            channels // 2, channels // 2
        )  # DO-Conv at 1x1 is a plain convolution

    def forward(self, x: Tensor) -> Tensor:
        x1, x2, x3 = x.split(self.sizes, 1)
        if self.stride == 2:
            x2, x3 = halve(x2), halve(x3)
        c4, c5 = self.convolve(x1).chunk(2, 1)
        mixed = torch.cat((c5, x2), 1)
        enhanced = self.enhance(self.attend(mixed))
        literal = (c4, enhanced, x2 + x3)
        parts = literal if self.add == "literal" else (c4, enhanced + mixed, x3)
        return channel_shuffle(torch.cat(parts, 1), self.shuffle)


class MSFFM(nn.Module):
    """Multi-scale fusion: one shared depthwise 3x3 at three dilations, a pooled funnel, a residual.

    Depthwise sharing, the rates and the funnel's width C/16 are *reconstructed*.
    """

    def __init__(self, channels: int, dilations: Sequence[int] = (1, 2, 3)) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.weight = nn.Parameter(torch.empty(channels, 1, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in self.dilations)
        narrow = channels // 16
        self.squeeze = nn.Sequential(
            DOConv2d(channels, narrow, 3), nn.BatchNorm2d(narrow), nn.LeakyReLU(0.1, inplace=True)
        )
        self.expand = ConvBlock(narrow, channels, act=False)

    def forward(self, x: Tensor) -> Tensor:
        funnel = self.squeeze(halve(x))
        funnel = F.interpolate(funnel, size=x.shape[-2:], mode="bilinear", align_corners=False)
        out = x + self.expand(funnel)
        for rate, norm in zip(self.dilations, self.norms, strict=True):
            out = out + norm(F.conv2d(x, self.weight, None, 1, rate, rate, x.shape[1]))
        return F.leaky_relu(out, 0.1)


# --- backbone -------------------------------------------------------------------------------------


class CISBNet(nn.Module):
    """Stages B1 to B4 with widths 24, 64, 128, 256 (*reconstructed*); B2, B3, B4 feed the neck."""

    widths = (64, 128, 256)
    depths = (3, 7, 3)

    def __init__(self, shuffle: int = 4, add: str = "literal") -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 24
        for width, depth in zip(self.widths, self.depths, strict=True):
            # CSE-A raises the channels on the full map, then halves it: the counts leave no other order
            blocks = [ConvBlock(c_in, width), CSE(width, 2, shuffle, add)]
            stages.append(
                nn.Sequential(*blocks, *(CSE(width, 1, shuffle, add) for _ in range(depth)))
            )
            c_in = width
        stages[-1].append(MSFFM(c_in))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- neck -----------------------------------------------------------------------------------------


def rep_ghost_bottleneck(c_in: int, c_out: int) -> GhostBottleneck:
    """RepGhostBlock: a ghost bottleneck with re-parameterised depthwise branches inside (*reconstructed*)."""
    return GhostBottleneck(c_in, c_out, inner=RepDepthwise)


# --- training-only head ---------------------------------------------------------------------------


class AuxiliaryHead(Guide):
    """LATM's auxiliary training head: each level sees its two neighbours (*reconstructed*)."""

    def __init__(self, nc: int, width: int = 96, levels: int = 4, bins: int = 8) -> None:
        super().__init__()
        self.mix = nn.ModuleList(ConvBlock(3 * width, width) for _ in range(levels))
        self.towers = nn.ModuleList(
            nn.Sequential(separable(width, width, 5), separable(width, width, 5))
            for _ in range(levels)
        )
        self.outputs = nn.ModuleList(nn.Conv2d(width, nc + 4 * bins, 1) for _ in range(levels))
        for output in self.outputs:
            nn.init.normal_(output.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.constant_(output.bias, PRIOR_BIAS)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor], neck: Sequence[Tensor], detach: bool) -> Tensor:
        maps = [m.detach() for m in neck] if detach else list(neck)
        raw = []
        for level, here in enumerate(maps):
            size = (here.shape[-2], here.shape[-1])
            fine = F.adaptive_avg_pool2d(maps[max(level - 1, 0)], size)
            coarse = maps[min(level + 1, len(maps) - 1)]
            coarse = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
            mixed = self.mix[level](torch.cat((fine, here, coarse), 1))
            raw.append(self.outputs[level](self.towers[level](mixed)).flatten(2))
        return torch.cat(raw, 2).transpose(1, 2)


# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int,
    latm: str = "ath",
    assign_from: str = "guide",
    neck: str = "repghost",
    shuffle: int = 4,
    add: str = "literal",
) -> NanoDetFamily:
    """Build LIDD-Net.

    Args:
        nc: Number of classes.
        latm: ``ath`` (the paper's), ``agm`` (NanoDet-Plus's guide, a control) or ``none``.
        assign_from: Whose predictions guide the assigner: ``guide``, ``main`` or ``mean``.
        neck: ``repghost`` (the paper's) or ``ghost`` (its ablation).
        shuffle: Groups of the channel shuffle.
        add: Reading of the block's addition, ``literal`` or ``residual``.

    Returns:
        The detector in training form.
    """
    backbone = CISBNet(shuffle, add)
    pan = GhostPAN(
        backbone.widths, 96, rep_ghost_bottleneck if neck == "repghost" else GhostBottleneck
    )
    guides = {
        "ath": lambda: AuxiliaryHead(nc),
        "agm": lambda: AssignGuide(nc, pan),
        "none": lambda: None,
    }
    return NanoDetFamily(nc, backbone, pan, NanoDetPlusHead(nc), guides[latm](), assign_from)
