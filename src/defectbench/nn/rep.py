"""Re-parameterised convolutions: many branches in training, one 3x3 when deployed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batch_norm import batch_moments, is_one_value, normalize_batch
from .blocks import StridedPointwiseConv2d
from .fold import bn_scale_shift, fold_conv_bn


class RepDepthwise(nn.Module):
    """BN plus ``copies`` [depthwise 1x1 + BN] plus ``copies`` [depthwise 3x3 + BN], then activation.

    The 1x1 branches are never run: their batch statistics follow from the input's, mean ``w m`` and
    variance ``w^2 v``, so that they and the identity are one batch norm of the input. The mathematics
    is that of the branches one by one, with fewer passes over memory.

    Args:
        channels: Channels in and out.
        copies: Number of 1x1 and of 3x3 branches.
    """

    def __init__(self, channels: int, copies: int = 4) -> None:
        super().__init__()
        self.identity = nn.BatchNorm2d(channels)
        self.points = nn.Parameter(torch.empty(copies, channels).uniform_(-1, 1))
        self.point_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(copies))
        self.kernels = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
            for _ in range(copies)
        )
        self.kernel_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(copies))

    def forward(self, x: Tensor) -> Tensor:
        has_moments = self.training and not is_one_value(x)
        out = self._pointwise_in_training(x) if has_moments else self._pointwise(x)
        for conv, norm in zip(self.kernels, self.kernel_norms, strict=True):
            out = out.add_(norm(conv(x)))
        return F.leaky_relu_(out, 0.1)

    def _branches(self) -> tuple[list[nn.BatchNorm2d], Tensor]:
        """Norms of the identity and the 1x1 branches, and their weights [copies + 1, C]."""
        norms = [self.identity, *self.point_norms]
        return norms, F.pad(self.points, (0, 0, 1, 0), value=1.0)  # type: ignore[return-value]

    def _pointwise_in_training(self, x: Tensor) -> Tensor:
        """Sum of the identity and the 1x1 branches from batch statistics; updates the running ones.

        A branch w x gives w (x - m) / sqrt(w^2 v + eps); relative to the batch norm of x itself that
        is a factor w sqrt((v + eps) / (w^2 v + eps)).
        """
        norms, weights = self._branches()
        mean, variance = batch_moments(x)
        variances, eps = weights.square() * variance, self.identity.eps
        gains = torch.stack([norm.weight for norm in norms]) * weights
        scale = (gains * ((variance + eps) / (variances + eps)).sqrt()).sum(0)
        shift = torch.stack([norm.bias for norm in norms]).sum(0)
        self._update(norms, weights * mean, variances, x.numel() // x.shape[1])
        return normalize_batch(x, scale, shift, eps)

    @torch.no_grad()
    def _update(
        self, norms: list[nn.BatchNorm2d], means: Tensor, variances: Tensor, count: int
    ) -> None:
        """Move the running statistics as batch norms of the branches would."""
        variances = variances * (count / max(count - 1, 1))
        for norm, mean, variance in zip(norms, means, variances, strict=True):
            momentum = 0.1 if norm.momentum is None else norm.momentum
            for running, seen in ((norm.running_mean, mean), (norm.running_var, variance)):
                if running is not None:
                    running.lerp_(seen, momentum)
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)

    def _pointwise(self, x: Tensor) -> Tensor:
        """Sum of the identity and the 1x1 branches from running statistics."""
        scale, shift = self._pointwise_scale_shift()
        return torch.addcmul(shift.view(1, -1, 1, 1), x, scale.view(1, -1, 1, 1))

    def _pointwise_scale_shift(self) -> tuple[Tensor, Tensor]:
        norms, weights = self._branches()
        pairs = [bn_scale_shift(norm) for norm in norms]
        scale = (torch.stack([scale for scale, _ in pairs]) * weights).sum(0)
        return scale, torch.stack([shift for _, shift in pairs]).sum(0)

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """One depthwise 3x3 with bias, then activation."""
        channels = self.points.shape[1]
        conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        scale, shift = self._pointwise_scale_shift()
        kernel = torch.zeros_like(conv.weight)
        kernel[:, 0, 1, 1] = scale  # a 1x1 kernel is the centre of a 3x3
        for branch, norm in zip(self.kernels, self.kernel_norms, strict=True):
            gain, bias = bn_scale_shift(norm)  # type: ignore[arg-type]
            weight: Tensor = branch.weight  # type: ignore[assignment]
            kernel += weight * gain.view(-1, 1, 1, 1)
            shift = shift + bias
        conv.weight.copy_(kernel)
        assert conv.bias is not None
        conv.bias.copy_(shift)
        return nn.Sequential(conv, nn.LeakyReLU(0.1, inplace=True))


class RepConv(nn.Module):
    """RepVGG's block (Ding et al., CVPR 2021): ReLU of 3x3 + BN, 1x1 + BN and BN of the input, added up.

    The input's own branch is there where it has the shape of the output.

    Args:
        c_in: Channels in.
        c_out: Channels out; as many as in where nothing is said.
        stride: Of both convolutions.
    """

    def __init__(self, c_in: int, c_out: int | None = None, stride: int = 1) -> None:
        super().__init__()
        c_out = c_in if c_out is None else c_out
        self.square = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        )
        self.point = nn.Sequential(
            StridedPointwiseConv2d(c_in, c_out, stride), nn.BatchNorm2d(c_out)
        )
        self.identity = nn.BatchNorm2d(c_in) if c_in == c_out and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.square(x) + self.point(x)
        return F.relu_(out if self.identity is None else out + self.identity(x))

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """One 3x3 with bias, then ReLU."""
        conv = fold_conv_bn(*self.square)  # type: ignore[arg-type]
        point = fold_conv_bn(*self.point)  # type: ignore[arg-type]
        assert conv.bias is not None
        assert point.bias is not None
        centre = conv.weight[:, :, 1, 1]  # a 1x1 kernel is the centre of a 3x3
        centre += point.weight[:, :, 0, 0]
        conv.bias += point.bias
        if self.identity is not None:
            scale, shift = bn_scale_shift(self.identity)
            centre += scale.diag()
            conv.bias += shift
        return nn.Sequential(conv, nn.ReLU(inplace=True))
