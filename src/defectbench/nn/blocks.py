"""Blocks that several methods share: conv + BN + activation, shuffle, SimAM, DO-Conv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.errors import ConfigError
from .functional import depthwise_conv, is_narrowed, mish, simam

_T = TypeVar("_T")


def chosen(option: str, value: str, table: Mapping[str, _T]) -> _T:
    """Look up the value of a build option.

    Raises:
        ConfigError: The option has no such value.
    """
    if value not in table:
        raise ConfigError("build", option, value, f"choose one of {', '.join(table)}")
    return table[value]


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution whose weight gradient is quick; see ``depthwise_conv``."""

    def __init__(self, channels: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        return depthwise_conv(input, self.weight, self.stride[0], bias=self.bias)


class _Predicting(nn.Module):
    """Before a layer whose outputs are predictions: in float32 under autocast too, so that losses are."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        if not is_narrowed(input):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class PredictionConv2d(_Predicting, nn.Conv2d):
    """Convolution that predicts, in float32 under autocast too."""


class PredictionLinear(_Predicting, nn.Linear):
    """The same of a linear layer, as classifiers end in."""


class StridedPointwiseConv2d(nn.Conv2d):
    """1x1 convolution with a stride, without bias.

    On processors without AVX-512, oneDNN (torch 2.13.0) computes the weight gradient of such a convolution past the end
    of its memory where eights of channels are not full: a fresh network then ends in "double free". While it learns
    on a processor, the pixels that the stride keeps are therefore taken first, and convolved without one.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__(c_in, c_out, 1, stride, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        learns = self.training and torch.is_grad_enabled()
        if not learns or input.device.type != "cpu" or self.in_channels % 8 == 0:
            return super().forward(input)
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight)


class Mish(nn.Mish):
    """Mish that trains quickly; see ``functional.mish``."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        return mish(input)


def activation(name: str) -> nn.Module:
    """An activation by its name; ``none`` is the identity.

    Raises:
        ConfigError: There is none of that name.
    """
    table = {
        "leaky": lambda: nn.LeakyReLU(0.1, inplace=True),
        "relu": lambda: nn.ReLU(inplace=True),
        "relu6": lambda: nn.ReLU6(inplace=True),
        "silu": lambda: nn.SiLU(inplace=True),
        "hardswish": lambda: nn.Hardswish(inplace=True),
        "mish": Mish,
        "none": nn.Identity,
    }
    return chosen("activation", name, table)()


class ConvBlock(nn.Sequential):
    """Convolution without bias, batch norm and activation.

    Padding keeps ceil(size / stride). Depthwise when ``groups`` equals the channels.

    Args:
        c_in: Channels in.
        c_out: Channels out.
        kernel: Side of the kernel.
        stride: Stride.
        groups: Groups of channels.
        act: Name of the activation, see ``activation``.
        eps: Of the batch norm.
        momentum: Of the batch norm's running statistics.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: str = "leaky",
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        if groups == c_in == c_out:
            conv: nn.Conv2d = DepthwiseConv2d(c_in, kernel, stride)
        else:
            conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(c_out, eps, momentum)]
        if act != "none":
            layers.append(activation(act))
        super().__init__(*layers)


def separable(
    c_in: int,
    c_out: int,
    kernel: int,
    stride: int = 1,
    act: str = "leaky",
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> nn.Sequential:
    """Depthwise ``kernel`` x ``kernel`` and pointwise 1x1, each with BN and activation."""
    depthwise = ConvBlock(c_in, c_in, kernel, stride, c_in, act, eps, momentum)
    return nn.Sequential(depthwise, ConvBlock(c_in, c_out, act=act, eps=eps, momentum=momentum))


def outputs_of(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Run stages one after the other on x [B, C, H, W] and keep what each gives, one map a stage."""
    outs = []
    for stage in stages:
        x = stage(x)
        outs.append(x)
    return outs


class SimAM(nn.Module):
    """Parameter-free attention (Yang et al., ICML 2021), per sample and channel."""

    def __init__(self, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return simam(x, self.eps)


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
