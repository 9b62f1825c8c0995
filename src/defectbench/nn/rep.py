"""Re-parameterised depthwise convolution: many branches in training, one 3x3 when deployed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .fold import bn_scale_shift


class RepDepthwise(nn.Module):
    """Identity-BN plus ``copies`` depthwise 1x1-BN plus ``copies`` depthwise 3x3-BN branches, then activation.

    Only the 3x3 convolutions are run. Batch statistics of a depthwise 1x1 branch follow from its input's:
    mean ``w m`` and variance ``w^2 v``. So the identity and all 1x1 branches are one scale and shift of the
    input, and the 3x3 branches share one grouped convolution. Same mathematics, fewer passes over memory.

    Args:
        channels: Channels in and out.
        copies: Number of 1x1 and of 3x3 branches.
    """

    def __init__(self, channels: int, copies: int = 4) -> None:
        super().__init__()
        self.channels, self.copies = channels, copies
        self.identity = nn.BatchNorm2d(channels)
        self.points = nn.Parameter(torch.empty(copies, channels))
        self.kernels = nn.Parameter(torch.empty(channels, copies, 3, 3))
        nn.init.uniform_(self.points, -1, 1)
        nn.init.kaiming_uniform_(self.kernels.view(-1, 1, 3, 3), a=5**0.5)
        self.point_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(copies))
        self.kernel_norm = nn.BatchNorm2d(channels * copies)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            scale, shift = self._pointwise_in_training(x)
        else:
            scale, shift = self._pointwise()
        maps = F.conv2d(x, self.kernels.reshape(-1, 1, 3, 3), None, 1, 1, 1, self.channels)
        sums = self.kernel_norm(maps).unflatten(1, (self.channels, self.copies)).sum(2)
        return F.leaky_relu(torch.addcmul(sums, x, scale) + shift, 0.1)

    def _pointwise_in_training(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift of all pointwise branches from batch statistics; updates the running ones."""
        count = x.numel() // self.channels
        var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        scale, shift = torch.zeros_like(mean), torch.zeros_like(mean)
        ones = torch.ones_like(mean)
        branches = [(self.identity, ones), *zip(self.point_norms, self.points, strict=True)]
        for module, weight in branches:
            norm: nn.BatchNorm2d = module  # type: ignore[assignment]
            branch_mean, branch_var = weight * mean, weight * weight * var
            _update(norm, branch_mean.detach(), branch_var.detach() * (count / max(count - 1, 1)))
            gain = norm.weight * torch.rsqrt(branch_var + norm.eps)
            scale = scale + gain * weight
            shift = shift + norm.bias - gain * branch_mean
        return scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)

    def _pointwise(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of all pointwise branches from running statistics."""
        scale, shift = bn_scale_shift(self.identity)
        for norm, weight in zip(self.point_norms, self.points, strict=True):
            gain, bias = bn_scale_shift(norm)  # type: ignore[arg-type]
            scale, shift = scale + gain * weight, shift + bias
        return scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """One depthwise 3x3 with bias, then activation."""
        conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, groups=self.channels)
        gain, bias = bn_scale_shift(self.kernel_norm)
        kernel = (self.kernels.flatten(0, 1) * gain.view(-1, 1, 1)).view_as(self.kernels).sum(1)
        scale, shift = self._pointwise()
        kernel[:, 1, 1] += scale.flatten()
        conv.weight.copy_(kernel.unsqueeze(1))
        assert conv.bias is not None
        conv.bias.copy_(shift.flatten() + bias.view(self.channels, self.copies).sum(1))
        return nn.Sequential(conv, nn.LeakyReLU(0.1, inplace=True))


def _update(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    momentum = norm.momentum or 0.1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(var, momentum)
    norm.num_batches_tracked.add_(1)
