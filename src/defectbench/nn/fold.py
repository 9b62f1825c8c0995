"""Folding: the deployed network computes the same with fewer operations."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def bn_scale_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift [C] that a batch norm applies with its running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


@torch.no_grad()
def fold_conv_bn(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution with bias that equals ``norm(conv(x))`` in eval mode."""
    scale, shift = bn_scale_shift(norm)
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
    )
    made.weight.copy_(conv.weight * scale.view(-1, 1, 1, 1))
    assert made.bias is not None
    made.bias.copy_(shift if conv.bias is None else shift + conv.bias * scale)
    return made


def fold_all(module: nn.Module, norms: bool = True) -> nn.Module:
    """Fold, in place, every module that has ``folded()`` and every convolution + BN pair of a sequence.

    Args:
        module: The network.
        norms: Whether batch norms are folded too; papers count parameters with them.

    Returns:
        The module, in eval mode.
    """
    module.eval()
    for name, child in module.named_children():
        folded = getattr(child, "folded", None)
        if callable(folded):
            setattr(module, name, folded())
        else:
            fold_all(child, norms)
    if norms and isinstance(module, nn.Sequential):
        _fold_sequence(module)
    return module


def _fold_sequence(sequence: nn.Sequential) -> None:
    layers = list(sequence.named_children())
    for (name, first), (follower, second) in pairwise(layers):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(sequence, name, fold_conv_bn(first, second))
            setattr(sequence, follower, nn.Identity())
