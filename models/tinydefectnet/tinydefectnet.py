"""TinyDefectNet (re-implementation): StarNet-s050 backbone, E-C2f neck, LSCD head, Focal-EIoU.

Neither the authors' code nor the paper's tables are public; its README names the parts, 1.4 M parameters
and 4.6 GFLOPs. What is marked *reconstructed* follows from these and from the two printed reductions; the
form of E-C2f is inferred, so results are of this re-implementation and not of the authors' model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import DepthwiseConv2d, PredictionConv2d, chosen, outputs_of
from defectbench.nn.heads import join_levels
from defectbench.nn.task_aligned import TaskAlignedDetector, planned
from defectbench.nn.yolo import (
    BINS,
    BN_EPS,
    BN_MOMENTUM,
    SPPF,
    C2f,
    DecoupledHead,
    YoloPAN,
    conv_silu,
    set_start,
    two_convs,
)

# --- blocks ---------------------------------------------------------------------------------------


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the constants of the YOLOv8 family."""
    return nn.BatchNorm2d(channels, BN_EPS, BN_MOMENTUM)


def biased_conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm without activation; StarNet's convolutions have a bias all the same."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2), norm(c_out))


class Star(nn.Module):
    """StarNet's block (Ma et al., CVPR 2024): two linear branches multiplied, between 7x7 depthwise ones.

    The second 7x7 has no batch norm, and only one branch is activated.

    Args:
        channels: Channels in and out.
        ratio: Width of the branches, in channels.
    """

    def __init__(self, channels: int, ratio: int = 3) -> None:
        super().__init__()
        wide = ratio * channels
        self.before = nn.Sequential(DepthwiseConv2d(channels, 7, bias=True), norm(channels))
        self.gate = nn.Sequential(nn.Conv2d(channels, wide, 1), nn.ReLU6(inplace=True))
        self.value = nn.Conv2d(channels, wide, 1)
        self.project = biased_conv(wide, channels)
        self.after = DepthwiseConv2d(channels, 7, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        return x + self.after(self.project(self.gate(y) * self.value(y)))


class EdgeResponses(nn.Module):
    """Sobel-x, Sobel-y and Laplacian of every channel: three maps of each, without anything to learn.

    The border is replicated: zeros around the image would be edges that are none.
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
        laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]) / 4
        kernels = torch.stack((sobel, sobel.T, laplacian)).unsqueeze(1)
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3 C, H, W] of x [B, C, H, W]: all Sobel-x, all Sobel-y, all Laplacians."""
        channels, seen = x.shape[1], F.pad(x, (1, 1, 1, 1), mode="replicate")
        kernels = [kernel.expand(channels, 1, 3, 3) for kernel in self.kernels]
        return torch.cat([F.conv2d(seen, kernel, groups=channels) for kernel in kernels], 1)


class EnhanceConv(nn.Module):
    """SiLU(BN(body(x) + sum_k P_k E_k x)): fixed edge operators E_k mixed by learnt 1x1 P_k.

    *Reconstructed*: the printed reductions leave 12 c^2 weights for a bottleneck of a 3x3 and this.

    Args:
        channels: Channels in and out, c.
        body: What the edges are added to; the input itself by default.
    """

    def __init__(self, channels: int, body: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body or nn.Identity()
        self.edges = EdgeResponses()
        self.mix = nn.Conv2d(3 * channels, channels, 1, bias=False)
        self.norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm(self.body(x) + self.mix(self.edges(x))), inplace=True)


class CrossConv(nn.Module):
    """SiLU(BN(1x3(x) + 3x1(x))): 6 c^2 weights instead of 9 c^2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.row = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1), bias=False)
        self.column = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), bias=False)
        self.norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm(self.row(x) + self.column(x)), inplace=True)


def edge(channels: int) -> nn.Module:
    """A 3x3, then EnhanceConv (*reconstructed*, the default)."""
    return nn.Sequential(conv_silu(channels, channels, 3), EnhanceConv(channels))


def parallel(channels: int) -> nn.Module:
    """A 3x3 beside the edges, as one EnhanceConv."""
    return EnhanceConv(channels, nn.Conv2d(channels, channels, 3, padding=1, bias=False))


def asym(channels: int) -> nn.Module:
    """Two convolutions of a row and a column each."""
    return nn.Sequential(CrossConv(channels), CrossConv(channels))


# Forms of the bottleneck: the default, equal budgets, and the plain C2f as a control
FORMS: dict[str, Callable[[int], nn.Module]] = {
    "edge": edge,
    "parallel": parallel,
    "asym": asym,
    "star": Star,
    "plain": two_convs,
}

# --- backbone -------------------------------------------------------------------------------------


class StarNet(nn.Module):
    """StarNet-s050 (*reconstructed*: the only size that the counts allow); maps at strides 8, 16, 32.

    Pooling at the end raises the last map from 128 to 256 channels.
    """

    widths = (32, 64, 256)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            biased_conv(3, 32, 3, 2), nn.ReLU6(inplace=True), biased_conv(32, 16, 3, 2), Star(16)
        )
        stages, c_in = [], 16
        for width, depth in zip((32, 64, 128), (1, 3, 1), strict=True):
            blocks = (Star(width) for _ in range(depth))
            stages.append(nn.Sequential(biased_conv(c_in, width, 3, 2), *blocks))
            c_in = width
        stages[-1].append(SPPF(c_in, 2 * c_in))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- neck -----------------------------------------------------------------------------------------

WIDTHS = (64, 128, 256)


def enhanced_pan(laterals: Sequence[int], form: str) -> YoloPAN:
    """YOLOv8n's neck with an E-C2f at all four places."""
    node = partial(C2f, bottleneck=chosen("form", form, FORMS))
    return YoloPAN(laterals, WIDTHS, node)


# --- head -----------------------------------------------------------------------------------------


def conv_group_norm(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Convolution, group norm of 16 groups and SiLU."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(16, c_out), nn.SiLU(inplace=True))


class LSCD(nn.Module):
    """Light shared-convolution head: a 1x1 per level, then one tower and two 1x1 for all levels.

    Group norm, because statistics differ by level; a learnt factor per level on the box bins.

    Args:
        nc: Number of classes.
        widths: Channels of the levels.
        hidden: Width of the tower, a multiple of 16.
    """

    def __init__(self, nc: int, widths: Sequence[int], hidden: int = 64) -> None:
        super().__init__()
        self.enter = nn.ModuleList(conv_group_norm(c, hidden, 1) for c in widths)
        self.tower = nn.Sequential(*(conv_group_norm(hidden, hidden, 3) for _ in range(2)))
        self.classes = PredictionConv2d(hidden, nc, 1)
        self.boxes = PredictionConv2d(hidden, 4 * BINS, 1)
        self.scales = nn.Parameter(torch.ones(len(widths)))
        set_start(self.classes, self.boxes, nc, 16)  # one bias for all levels: the middle stride

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Raw output [B, P, nc + 4 * BINS], levels one after the other."""
        maps = []
        for enter, scale, x in zip(self.enter, self.scales, features, strict=True):
            y = self.tower(enter(x))
            maps.append(torch.cat((self.classes(y), self.boxes(y) * scale), 1))
        return join_levels(maps)


# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int,
    form: str = "edge",
    head: str = "lscd",
    box_loss: str = "focal_eiou",
    gamma: float = 0.5,
    plan: Mapping[str, Any] | None = None,
    kd: str = "none",
) -> TaskAlignedDetector:
    """Build TinyDefectNet.

    Args:
        nc: Number of classes.
        form: Bottleneck of the E-C2f: ``edge`` (the default), ``parallel``, ``asym``, ``star`` (equal or
            smaller budgets that the sources allow too) or ``plain`` (YOLOv8's, a control).
        head: ``lscd`` or ``decoupled`` (YOLOv8's, a control).
        box_loss: ``focal_eiou`` or ``ciou``.
        gamma: Exponent of the focal weight (*reconstructed*: 0.5).
        plan: Of a pruned network, as its ``plan.json`` says.
        kd: How a pruned network learns from its whole form: ``none`` or ``ekl`` (enhanced KL).

    Returns:
        The detector in training form.

    Raises:
        ConfigError: An option has no such value.
        CompressionError: The plan does not fit.

    Example:
        >>> model = build(6, form="plain")
        >>> sum(p.numel() for p in model.parameters())
        1572089
    """

    def whole() -> TaskAlignedDetector:
        backbone = StarNet()
        neck = enhanced_pan(backbone.widths, form)
        heads = {"lscd": lambda: LSCD(nc, WIDTHS), "decoupled": lambda: DecoupledHead(nc, WIDTHS)}
        made = chosen("head", head, heads)()
        return TaskAlignedDetector(nc, backbone, neck, made, box_loss, gamma, kd=kd)

    return planned(whole, plan)
