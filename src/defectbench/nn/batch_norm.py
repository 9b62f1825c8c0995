"""Batch norm whose moments and gradients are as exact with channels last as with rows first.

With channels last, the library's kernel on a processor adds up all positions of a channel one after the other in
float32, so that its error grows with their number: at 64 images of 96 x 96 the variance is off by 2e-4 of itself,
against 2e-7 with rows first, which is slower. Here every column of a map counts as channels of its own, which are many
short sums; their means and variances are then combined. ``benchmarks/gradient_accuracy.py`` measures both.

A step of one image whose map is one pixel has no moments: one value has no variance. There a norm takes its running
ones, as it does when it is deployed, and leaves them as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# of positions that a channel has in a batch: below it the plain kernel is as exact and has less overhead
LEAST_POSITIONS = 2048


def normalize_batch(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Batch norm by the batch's own moments.

    Args:
        x: [B, C, H, W].
        scale: [C].
        shift: [C].
        eps: Added to the variance.
    """
    if gains_from_columns(x):
        return _ByColumns.apply(x, scale, shift, eps)[0]  # type: ignore[no-any-return]
    return F.batch_norm(x, None, None, scale, shift, training=True, eps=eps)


def batch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C], without gradient, and biased variance [C] of a batch [B, C, H, W]."""
    return _BatchMoments.apply(x)  # type: ignore[no-any-return]


def gains_from_columns(x: Tensor) -> bool:
    """Whether a batch [B, C, H, W] is one whose plain kernel would be inexact."""
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or x.dim() != 4
    if plain or x.numel() < LEAST_POSITIONS * x.shape[1]:
        return False
    return x.is_contiguous(memory_format=torch.channels_last)


def is_one_value(x: Tensor) -> bool:
    """Whether a batch [B, C, ...] has one value a channel, of which there are no moments."""
    return x.numel() == x.shape[1]


def by_running_moments(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """A batch [B, C, ...] normalised as when deployed, with the gradients of that."""
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )


class ExactBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that learns from exact moments; otherwise, and in its state, the library's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        if self.training and is_one_value(input):
            return by_running_moments(self, input)
        learns = self.training and torch.is_grad_enabled()
        if not learns or not self.affine or not gains_from_columns(input):
            return super().forward(input)
        out, mean, variance = _ByColumns.apply(input, self.weight, self.bias, self.eps)
        self._follow(mean, variance, input.numel() // input.shape[1])
        return out

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics by a batch of ``count`` positions a channel."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the mean of all batches so far
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), momentum)


class LenientBatchNorm1d(nn.BatchNorm1d):
    """The library's batch norm, which also takes a step of one image."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        if self.training and is_one_value(input):
            return by_running_moments(self, input)
        return super().forward(input)


def make_batch_norms_exact(network: nn.Module) -> None:
    """Let every batch norm of a network learn from exact moments; parameters and names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = ExactBatchNorm2d
        elif type(module) is nn.BatchNorm1d:
            module.__class__ = LenientBatchNorm1d


@torch.no_grad()
def norms_of_one_value(network: nn.Module, side: int) -> int:
    """How many batch norms meet one value a channel where a step has one image.

    Args:
        network: In any form; it is left as it is.
        side: Of the image, pixels.
    """
    met: set[str] = set()
    norms = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }

    def note(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if is_one_value(inputs[0]):
                met.add(name)

        return hook

    handles = [module.register_forward_pre_hook(note(name)) for name, module in norms.items()]
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters()).device
    try:
        network.eval()
        network(torch.zeros(1, 3, side, side, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return len(met)


def _by_columns(x: Tensor) -> Tensor:
    """A batch [B, C, H, W], channels last, as [B * H, W * C] of the same memory."""
    images, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(images * height, width * channels)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and biased variance [C] of a batch [B, C, H, W]."""
    columns = (x.shape[3], x.shape[1])
    means, variances = torch.batch_norm_update_stats(_by_columns(x), None, None, 0.0)
    between, mean = torch.var_mean(means.view(columns), 0, correction=0)
    return mean, variances.view(columns).mean(0).add_(between)


class _ByColumns(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _moments(x)
        out, _, _ = torch.native_batch_norm(x, scale, shift, mean, variance, False, 0.0, eps)
        ctx.save_for_backward(x, scale, mean, (variance + eps).rsqrt())
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, scale, mean, inverse_std = ctx.saved_tensors
        grad, width = grads[0].contiguous(memory_format=torch.channels_last), x.shape[3]
        each_mean, each_std = mean.repeat(width), inverse_std.repeat(width)
        # its sums alone: of the gradient, and of the gradient times the normalised batch
        moments = (None, None, each_mean, each_std, True, 0.0)
        _, by_scale, by_shift = torch.ops.aten.native_batch_norm_backward(
            _by_columns(grad), _by_columns(x), each_std, *moments, [False, True, True]
        )
        to_scale, to_shift = (sums.view(width, -1).sum(0) for sums in (by_scale, by_shift))
        # scale * inverse_std * (grad - mean(grad) - normalised * mean(grad * normalised)), as a line in x and grad
        of_grad, count = scale * inverse_std, x.numel() // x.shape[1]
        of_x = -of_grad * inverse_std * to_scale / count
        constant = -of_grad * to_shift / count - of_x * mean
        as_map = (1, -1, 1, 1)
        to_x = torch.addcmul(constant.view(as_map), x, of_x.view(as_map))
        return to_x.addcmul_(grad, of_grad.view(as_map)), to_scale, to_shift, None


class _BatchMoments(torch.autograd.Function):
    """The kernels of batch norm find the moments many times faster than ``torch.var_mean``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        if gains_from_columns(x):
            mean, variance = _moments(x)
        else:
            eps = 1e-5
            _, mean, inverse_std = torch.native_batch_norm(
                x, None, None, None, None, True, 0.0, eps
            )
            variance = (inverse_std.square().reciprocal() - eps).clamp_(min=0)
        ctx.save_for_backward(x, mean)
        ctx.mark_non_differentiable(mean)
        return mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, mean = ctx.saved_tensors
        slope = grads[1] * (2 * x.shape[1] / x.numel())
        return torch.addcmul((-slope * mean).view(1, -1, 1, 1), x, slope.view(1, -1, 1, 1))
