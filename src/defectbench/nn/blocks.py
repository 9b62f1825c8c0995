"""Blocks that several methods share: conv + BN + activation, shuffle, SimAM, DO-Conv."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """Convolution without bias, batch norm and, unless ``act`` is false, LeakyReLU(0.1).

    Padding keeps ceil(size / stride). Depthwise when ``groups`` equals the channels.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(c_out)]
        if act:
            layers.append(nn.LeakyReLU(0.1, inplace=True))
        super().__init__(*layers)


def separable(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Depthwise ``kernel`` x ``kernel`` and pointwise 1x1, each with BN and activation."""
    return nn.Sequential(ConvBlock(c_in, c_in, kernel, stride, groups=c_in), ConvBlock(c_in, c_out))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave ``groups`` equal runs of channels of x [B, C, H, W]."""
    b, c, h, w = x.shape
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)


def outputs_of(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Run stages one after the other and keep what each gives."""
    outs = []
    for stage in stages:
        x = stage(x)
        outs.append(x)
    return outs


class _SimAM(torch.autograd.Function):
    """x * sigmoid(energy) with an analytic backward that keeps only x."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.eps = eps  # type: ignore[attr-defined]
        d, w, _ = _energy(x, eps)
        return d.div_(4 * w).add_(0.5).sigmoid_().mul_(x)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]  # noqa: ANN001, ANN205
        (x,) = ctx.saved_tensors
        d, w, centred = _energy(x, ctx.eps)
        n = x.shape[-1] * x.shape[-2]
        s = (d / (4 * w)).add_(0.5).sigmoid_()
        to_energy = grad * x * s * (1 - s)
        to_d = to_energy / (4 * w)
        to_variance = (to_energy * d).sum((-1, -2), keepdim=True) / (4 * w * w)
        pull = 2 * centred * to_d
        mean_pull = pull.mean((-1, -2), keepdim=True)
        return grad * s + pull - 2 * centred * (to_variance / max(n - 1, 1)) - mean_pull, None


def _energy(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    centred = x - x.mean((-1, -2), keepdim=True)
    d = centred * centred
    n = x.shape[-1] * x.shape[-2]
    return d, d.sum((-1, -2), keepdim=True) / max(n - 1, 1) + eps, centred


class SimAM(nn.Module):
    """Parameter-free attention (Yang et al., ICML 2021), per sample and channel."""

    def __init__(self, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting():
            d, w, _ = _energy(x, self.eps)
            return x * (d / (4 * w) + 0.5).sigmoid()
        return _SimAM.apply(x, self.eps)  # type: ignore[no-any-return]


class DOConv2d(nn.Conv2d):
    """Depthwise over-parameterised convolution (Cao et al., TIP 2022) without bias.

    The weight is composed as W'[o, i, p] = sum_s (D + D0)[i, p, s] W[o, i, s] with D0 the identity.
    For 1x1 kernels the method is a plain convolution; use ``nn.Conv2d`` there.
    """

    identity: Tensor

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        cells = kernel * kernel
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.depth = nn.Parameter(torch.zeros(c_in, cells, cells))
        self.register_buffer("identity", torch.eye(cells), persistent=False)

    def composed(self) -> Tensor:
        """The effective weight [O, I, k, k]."""
        flat = self.weight.flatten(2)
        return torch.einsum("ips,ois->oip", self.depth + self.identity, flat).view_as(self.weight)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """The plain convolution that computes the same."""
        o, i, kernel, _ = self.weight.shape
        conv = nn.Conv2d(i, o, kernel, padding=kernel // 2, bias=False)
        conv.weight.copy_(self.composed())
        return conv

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        return F.conv2d(input, self.composed(), None, self.stride, self.padding)  # type: ignore[arg-type]
