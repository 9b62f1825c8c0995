"""LIDD-Net (Sha, Xie, Guo, Sun; J. Northeastern Univ. Nat. Sci. 2025, 1005-3026(2025)10-0018-09).

NanoDet-Plus with three swaps: CISB-Net as backbone, RepGhostPAN as neck, and LATM, a light auxiliary
head that lives in training only and guides the assigner. The paper prints neither widths nor dilation
rates; what is marked *reconstructed* follows from its parameter and FLOPs counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.assigners import Assignment
from defectbench.nn.blocks import (
    ConvBlock,
    DOConv2d,
    SimAM,
    chosen,
    outputs_of,
)
from defectbench.nn.detector import Targets
from defectbench.nn.functional import channel_shuffle, depthwise_conv
from defectbench.nn.guides import AssignGuide
from defectbench.nn.heads import NanoDetPlusHead, decode_bins
from defectbench.nn.nanodet import Guide, NanoDetFamily
from defectbench.nn.necks import GhostBottleneck, GhostPAN
from defectbench.nn.rep import RepDepthwise

# --- blocks ---------------------------------------------------------------------------------------


def pooling(kind: str, channels: int) -> nn.Module:
    """Halves the branches that are not convolved, odd sizes rounded up (*reconstructed*: ``avg``)."""
    kinds = {
        "avg": lambda: nn.AvgPool2d(2, ceil_mode=True),
        "max": lambda: nn.MaxPool2d(2, ceil_mode=True),
        "dw": lambda: ConvBlock(channels, channels, 3, 2, groups=channels, act="none"),
    }
    return chosen("pool", kind, kinds)()


class CSE(nn.Module):
    """CSE-B (stride 1) and the body of CSE-A (stride 2): split 6:5:5, convolve, attend, add, shuffle.

    Args:
        channels: Channels in and out, a multiple of 16.
        stride: 2 halves the map.
        shuffle: Groups of the channel shuffle (*reconstructed*: AugShuffleNet's 4).
        add: What is added (*reconstructed*; the text allows all three, which cost the same): ``literal`` the
            two passive branches, ``attended`` the first to the second behind SimAM, ``residual`` the
            enhanced part to what it was made from.
        pool: How a stride of 2 halves the passive branches, see ``pooling``.
    """

    def __init__(
        self,
        channels: int,
        stride: int = 1,
        shuffle: int = 4,
        add: str = "literal",
        pool: str = "avg",
    ) -> None:
        super().__init__()
        first, passive = channels * 6 // 16, channels * 10 // 16
        self.sizes, self.shuffle = (first, passive), shuffle
        self.add = chosen("add", add, {kind: kind for kind in ("literal", "attended", "residual")})
        self.convolve = nn.Sequential(
            ConvBlock(first, first, act="none"),
            ConvBlock(first, first, 3, stride, groups=first, act="none"),
        )
        self.pool = pooling(pool, passive) if stride == 2 else nn.Identity()
        self.attend = SimAM()
        # A DO-Conv with a 1x1 kernel is a plain convolution by definition
        self.enhance = ConvBlock(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        x1, rest = x.split(self.sizes, 1)
        x2, x3 = self.pool(rest).chunk(2, 1)
        c4, c5 = self.convolve(x1).chunk(2, 1)  # 6/16 into 3/16 each
        mixed = torch.cat((c5, x2), 1)  # 3/16 + 5/16
        enhanced = self.enhance(self.attend(mixed))
        if self.add == "residual":
            parts = (c4, enhanced + mixed, x3)
        else:
            parts = (c4, enhanced, x2 + (self.attend(x3) if self.add == "attended" else x3))
        return channel_shuffle(torch.cat(parts, 1), self.shuffle)  # 3 + 8 + 5 = 16


class MSFFM(nn.Module):
    """Multi-scale fusion: one shared depthwise 3x3 at three dilations, a pooled funnel, a residual.

    Depthwise sharing, the rates and the funnel's pooling and 3x3 kernel are *reconstructed*; its
    width C/16 is the paper's. One weight, but a batch norm per rate, since the statistics differ.
    """

    def __init__(self, channels: int, dilations: Sequence[int] = (1, 2, 3)) -> None:
        super().__init__()
        self.dilations = tuple(dilations)
        self.weight = nn.Parameter(torch.empty(channels, 1, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in self.dilations)
        narrow = channels // 16
        self.squeeze = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),
            DOConv2d(channels, narrow, 3),
            nn.BatchNorm2d(narrow),
            nn.LeakyReLU(0.1, inplace=True),
        )
        self.expand = ConvBlock(narrow, channels, act="none")

    def forward(self, x: Tensor) -> Tensor:
        funnel = self.squeeze(x)
        funnel = F.interpolate(funnel, size=x.shape[-2:], mode="bilinear", align_corners=False)
        out = x + self.expand(funnel)
        for rate, norm in zip(self.dilations, self.norms, strict=True):
            out = out + norm(depthwise_conv(x, self.weight, dilation=rate))
        return F.leaky_relu(out, 0.1)


# --- backbone -------------------------------------------------------------------------------------


class CISBNet(nn.Module):
    """Stages B1 to B4 with widths 24, 64, 128, 256 (*reconstructed*); B2, B3, B4 feed the neck."""

    widths = (64, 128, 256)
    depths = (3, 7, 3)

    def __init__(
        self, shuffle: int, add: str, pool: str, dilations: Sequence[int] = (1, 2, 3)
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        stages, c_in = [], 24
        for width, depth in zip(self.widths, self.depths, strict=True):
            # CSE-A raises the channels on the full map, then halves it: the counts leave no other
            # order (*reconstructed*). CSE-B follows `depth` times.
            blocks = [ConvBlock(c_in, width), CSE(width, 2, shuffle, add, pool)]
            blocks += [CSE(width, 1, shuffle, add) for _ in range(depth)]
            stages.append(nn.Sequential(*blocks))
            c_in = width
        stages[-1].append(MSFFM(c_in, dilations))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- neck -----------------------------------------------------------------------------------------


def rep_ghost_block(c_in: int, c_out: int) -> GhostBottleneck:
    """RepGhostBlock: a ghost bottleneck with a multi-branch depthwise convolution inside.

    The branches (identity, four 1x1, four 3x3) are the paper's; that they are depthwise is
    *reconstructed*: dense ones would add 370 k parameters where the paper's neck adds 8.4 k.
    """
    return GhostBottleneck(c_in, c_out, inner=RepDepthwise)


def rep_ghost_pan(widths: Sequence[int], rep_down: bool) -> GhostPAN:
    """GhostPAN with RepGhostBlocks; ``rep_down`` also puts the branches behind its stride-2 convolutions."""
    pan = GhostPAN(widths, 96, rep_ghost_block)
    if rep_down:
        for down in (*pan.down, pan.extra_in, pan.extra_out):
            down.append(RepDepthwise(96))  # type: ignore[operator]
    return pan


# --- training-only head ---------------------------------------------------------------------------


class AuxiliaryHead(Guide):
    """LATM's auxiliary training head: each level sees its two neighbours (*reconstructed*).

    The section on LATM is lost but for its last line. A level's input is the 1x1 convolution of
    [finer level pooled, itself, coarser level up-sampled]; at the ends it stands in for what is missing.
    """

    def __init__(self, nc: int, width: int = 96, levels: int = 4) -> None:
        super().__init__()
        self.mix = nn.ModuleList(ConvBlock(3 * width, width) for _ in range(levels))
        self.head = NanoDetPlusHead(nc, width, levels)

    def forward(self, features: Sequence[Tensor], neck: Sequence[Tensor], detach: bool) -> Tensor:
        maps = [m.detach() for m in neck] if detach else list(neck)
        return self.head([self._mixed(maps, level) for level in range(len(maps))])

    def _mixed(self, maps: Sequence[Tensor], level: int) -> Tensor:
        """Convolution of the three levels, part by part: nothing is concatenated.

        A 1x1 convolution and up-sampling commute, so the coarser level is convolved when small.
        """
        conv, *rest = self.mix[level].children()
        of_fine, of_here, of_coarse = conv.weight.chunk(3, 1)  # type: ignore[operator,union-attr]
        first, last = level == 0, level == len(maps) - 1
        of_here = of_here + of_fine if first else of_here
        of_here = of_here + of_coarse if last else of_here
        out, size = F.conv2d(maps[level], of_here), maps[level].shape[-2:]
        if not first:
            out = out + F.conv2d(F.adaptive_avg_pool2d(maps[level - 1], size), of_fine)  # type: ignore[arg-type]
        if not last:
            coarse = F.conv2d(maps[level + 1], of_coarse)
            out = out + F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        for layer in rest:
            out = layer(out)
        return out


class LIDDNet(NanoDetFamily):
    """The frame of NanoDet-Plus with LATM's ways to put two heads into one loss.

    Args:
        learn_from: ``each`` head's outputs (*reconstructed*: the lost section says that both are fused
            and put into the loss); ``fused``, their mean alone; or the ``main`` head's beside the mean.
        frame: Arguments of ``NanoDetFamily``.
    """

    def __init__(self, *frame: Any, learn_from: str, **named: Any) -> None:
        super().__init__(*frame, **named)
        kinds = {"each": "each", "fused": "fused", "main": "main"}
        self.learn_from = chosen("learn_from", learn_from, kinds)

    def _guided_losses(
        self,
        head: tuple[Tensor, Tensor],
        guide: tuple[Tensor, Tensor],
        priors: Tensor,
        targets: Targets,
        assignment: Assignment,
    ) -> dict[str, Tensor]:
        if self.learn_from == "each":
            return super()._guided_losses(head, guide, priors, targets, assignment)
        raw = (head[0] + guide[0]) / 2
        fused = raw, decode_bins(raw[..., self.nc :], priors)
        if self.learn_from == "main":
            return super()._guided_losses(head, fused, priors, targets, assignment)
        return self._losses(*fused, priors, targets, assignment)


# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int,
    latm: str = "ath",
    assign_from: str = "aux",
    learn_from: str = "each",
    neck: str = "repghost",
    rep_down: bool = False,
    shuffle: int = 4,
    add: str = "literal",
    pool: str = "avg",
    dilations: Sequence[int] = (1, 2, 3),
) -> NanoDetFamily:
    """Build LIDD-Net. The defaults are the paper's net; the options are what its text leaves open.

    Args:
        nc: Number of classes.
        latm: ``ath`` (the paper's), ``agm`` (NanoDet-Plus's guide, a control) or ``none``.
        assign_from: Whose predictions the assigner sees: ``aux``, ``main`` or ``mean`` of both.
        learn_from: What enters the loss: outputs of ``each`` head, the ``fused`` ones alone, or those of the
            ``main`` head and the fused ones.
        neck: ``repghost`` (the paper's) or ``ghost`` (its ablation).
        rep_down: Multi-branch convolutions behind the neck's stride-2 convolutions too.
        shuffle: Groups of the channel shuffle.
        add: Reading of the block's addition, ``literal``, ``attended`` or ``residual``.
        pool: How CSE-A halves its passive branches: ``avg``, ``max`` or ``dw``.
        dilations: Rates of the MSFFM.

    Returns:
        The detector in training form.

    Raises:
        ConfigError: An option has no such value.
        ValueError: A number among them does not fit the widths.

    Example:
        >>> model = build(6, latm="none", neck="ghost")
        >>> sum(p.numel() for p in model.parameters())
        641552
    """
    if shuffle not in (1, 2, 4, 8, 16):
        raise ValueError(
            f"shuffle {shuffle} is no divisor of 16, of which all widths are multiples"
        )
    if not dilations or not all(isinstance(rate, int) and rate >= 1 for rate in dilations):
        raise ValueError(f"dilations {dilations} are no list of whole numbers from 1")
    backbone = CISBNet(shuffle, add, pool, dilations)
    necks = {
        "repghost": lambda: rep_ghost_pan(backbone.widths, rep_down),
        "ghost": lambda: GhostPAN(backbone.widths),
    }
    pan = chosen("neck", neck, necks)()
    guides = {
        "ath": lambda: AuxiliaryHead(nc),
        "agm": lambda: AssignGuide(nc, pan),
        "none": lambda: None,
    }
    guide = chosen("latm", latm, guides)()
    head = NanoDetPlusHead(nc)
    return LIDDNet(nc, backbone, pan, head, guide, assign_from, learn_from=learn_from)
