"""Operations whose gradients are written by hand, because the automatic ones waste the processor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def simam(x: Tensor, eps: float = 1e-4) -> Tensor:
    """SimAM attention (Yang et al., ICML 2021): x * sigmoid(d / (4 (v + eps)) + 0.5).

    d is the squared distance to the mean of the map, v its variance; per sample and channel.

    Args:
        x: [B, C, H, W]; computed in float32 under autocast.
        eps: Added to the variance.
    """
    if is_exporting():
        centred, energy_scale = _centred(x, eps)
        return x * (centred * centred * energy_scale + 0.5).sigmoid()
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    if not is_narrowed(x):
        return _SimAM.apply(wide, eps).to(x.dtype)  # type: ignore[no-any-return]
    with torch.autocast(x.device.type, enabled=False):
        return _SimAM.apply(wide, eps).to(x.dtype)  # type: ignore[no-any-return]


def depthwise_conv(
    x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1, bias: Tensor | None = None
) -> Tensor:
    """Depthwise convolution that keeps ceil(size / stride).

    oneDNN has a fast weight gradient for kernels of at most three columns that are not dilated;
    others run some ten times slower. On a processor the gradient is therefore taken in strips of
    three columns, and tap by tap where the kernel is dilated.

    Args:
        x: [B, C, H, W].
        weight: [C, 1, K, K], K odd.
        stride: Of rows and columns; 1 if dilated.
        dilation: Of rows and columns.
        bias: [C].
    """
    slow = x.device.type == "cpu" and (weight.shape[-1] > 3 or dilation > 1)
    learns = weight.requires_grad and torch.is_grad_enabled()
    if slow and learns:
        if torch.is_autocast_enabled("cpu"):
            narrow = torch.get_autocast_dtype("cpu")
            x, weight = x.to(narrow), weight.to(narrow)
            bias = None if bias is None else bias.to(narrow)
        return _Depthwise.apply(x, weight, stride, dilation, bias)  # type: ignore[no-any-return]
    return _plain_depthwise(x, weight, stride, dilation, bias)


def mish(x: Tensor) -> Tensor:
    """Mish (Misra, BMVC 2020): x * tanh(softplus(x)).

    With s = sigmoid(x) and r = 2 / (1 + (1 - s)^2), tanh(softplus(x)) = r - 1: one transcendental function in
    place of three, so that forward and backward take half the time on a processor. A network that is not trained,
    and one on a GPU, uses the library's.

    Args:
        x: [...], of any floating type; narrow ones are computed in float32.
    """
    if _learns_on_processor(x):
        return _Mish.apply(x)  # type: ignore[no-any-return]
    return F.mish(x)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave equal runs of channels.

    The library's own way leaves maps that lie channels first, and so do its gradients: all that meets them then works
    across two orders of memory, an activation's gradient twenty times slower. While a network learns on a processor, a
    map that lies channels last is therefore taken pixel by pixel, and stays so in both directions.

    Args:
        x: [B, C, H, W].
        groups: How many runs.
    """
    if _learns_channels_last(x):
        return _Shuffle.apply(x, groups)  # type: ignore[no-any-return]
    b, c, h, w = x.shape
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the second half of the channels.

    While a network learns on a processor, of a map that lies channels last each half is laid out anew: what reads a
    view row by row, in both directions, takes longer than the copy.

    Args:
        x: [B, C, H, W], C even.
    """
    first, second = x.chunk(2, 1)
    if _learns_channels_last(x):
        last = torch.channels_last
        return first.contiguous(memory_format=last), second.contiguous(memory_format=last)
    return first, second


def _learns_channels_last(x: Tensor) -> bool:
    """Whether a map that lies channels last is to have a gradient, on a processor."""
    return _learns_on_processor(x) and x.is_contiguous(memory_format=torch.channels_last)


def _learns_on_processor(x: Tensor) -> bool:
    """Whether a tensor is to have a gradient, on a processor, and no file is made of the network."""
    learns = x.requires_grad and torch.is_grad_enabled()
    return learns and x.device.type == "cpu" and not is_exporting()


def is_narrowed(x: Tensor) -> bool:
    """Whether autocast would narrow a layer of this input; devices that only count shapes know no autocast."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def is_exporting() -> bool:
    """Whether the network is being traced for a file, where hand-written gradients have no place."""
    return torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()


def _centred(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Centred x and 1 / (4 (v + eps)), per sample and channel."""
    centred = x - x.mean((2, 3), keepdim=True)
    count = x.shape[2] * x.shape[3]
    variance = (centred * centred).sum((2, 3), keepdim=True) / max(count - 1, 1)
    return centred, 0.25 / (variance + eps)


class _SimAM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        centred, scale = _centred(x, eps)
        gate = (centred * centred).mul_(scale).add_(0.5).sigmoid_()
        ctx.save_for_backward(x, centred, scale, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        x, centred, scale, gate = ctx.saved_tensors
        count = x.shape[2] * x.shape[3]
        # energy = centred^2 * scale + 0.5: its gradient reaches x by centred, by scale and by the mean
        pull = torch.ops.aten.sigmoid_backward(grad * x, gate).mul_(centred)
        by_scale = (pull * centred).sum((2, 3), keepdim=True)
        by_scale = by_scale * scale * scale * (-8 / max(count - 1, 1))
        by_mean = pull.sum((2, 3), keepdim=True) * scale * (2 / count)
        out = torch.addcmul((grad * gate).sub_(by_mean), pull, 2 * scale)
        return out.addcmul_(centred, by_scale), None


class _Mish(torch.autograd.Function):
    chunk = 1 << 16  # elements whose temporaries stay in the cache

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if not x.is_contiguous(memory_format=torch.channels_last) or x.dim() != 4:
            x = x.contiguous()
        y, slope = torch.empty_like(x), torch.empty_like(x)
        # the elements in the order in which they lie in memory, whatever the format
        rows = (t.as_strided((t.numel(),), (1,)).split(_Mish.chunk) for t in (x, y, slope))
        for part, out, out_slope in zip(*rows, strict=True):
            wide = part.float() if x.element_size() < 4 else part
            s = wide.sigmoid()
            r = s.mul(-(0.5**0.5)).add_(0.5**0.5).square_().add_(0.5).reciprocal_()
            s.mul_(r)
            tanh = r.sub_(1)
            activated = wide * tanh
            out.copy_(activated)
            torch.addcmul(tanh, s, wide - activated, out=tanh)
            out_slope.copy_(tanh)
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grads[0] * slope


class _Shuffle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int) -> Tensor:
        ctx.groups = groups
        return _interleaved(x, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # runs of as many channels as there were groups undo it
        return _interleaved(grads[0], grads[0].shape[1] // ctx.groups), None


def _interleaved(x: Tensor, groups: int) -> Tensor:
    """Channels of [B, C, H, W] interleaved, in the memory order of channels last."""
    b, c, h, w = x.shape
    order = torch.arange(c).view(groups, c // groups).t().flatten()
    rows = x.permute(0, 2, 3, 1).reshape(-1, c).index_select(1, order)
    return rows.view(b, h, w, c).permute(0, 3, 1, 2)


def _plain_depthwise(
    x: Tensor, weight: Tensor, stride: int, dilation: int, bias: Tensor | None
) -> Tensor:
    pad = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, bias, stride, pad, dilation, x.shape[1])


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int, bias: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return _plain_depthwise(x, weight, stride, dilation, bias)

    @staticmethod
    def backward(
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, Tensor | None]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        pad = ctx.dilation * (weight.shape[-1] // 2)
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            steps = ctx.stride, (pad, pad), ctx.dilation
            to_x = _conv_backward(grad, x, weight, *steps, which=0)
        if ctx.needs_input_grad[1] and ctx.dilation > 1:
            to_weight = _weight_gradient_by_taps(grad, x, weight, ctx.dilation)
        elif ctx.needs_input_grad[1]:
            to_weight = _weight_gradient_by_strips(grad, x, weight, ctx.stride)
        to_bias = grad.sum((0, 2, 3)) if ctx.needs_input_grad[4] else None
        return to_x, to_weight, None, None, to_bias


def _weight_gradient_by_strips(grad: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Gradient to a wide depthwise kernel from overlapping kernels of three columns."""
    pad = weight.shape[-1] // 2
    out = torch.empty_like(weight)
    for left in range(0, weight.shape[-1] - 1, 2):
        seen = F.pad(x, (pad - left, left + 2 - pad))
        strip = weight[..., left : left + 3].contiguous()
        out[..., left : left + 3] = _conv_backward(grad, seen, strip, stride, (pad, 0), 1, which=1)
    return out


def _weight_gradient_by_taps(grad: Tensor, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """Gradient to a dilated depthwise kernel: per tap the sum of the shifted input times ``grad``."""
    pad = dilation * (weight.shape[-1] // 2)
    h, w = x.shape[2:]
    seen = F.pad(x, (pad, pad, pad, pad))
    out = torch.empty_like(weight)
    for row in range(weight.shape[-2]):
        for column in range(weight.shape[-1]):
            top, left = row * dilation, column * dilation
            product = seen[:, :, top : top + h, left : left + w] * grad
            out[:, 0, row, column] = product.sum((0, 2, 3))
    return out


def _conv_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    which: int,
) -> Tensor:
    """Gradient of a depthwise convolution: to its input (``which`` 0) or to its weight (1)."""
    steps, spread = [stride, stride], [dilation, dilation]
    mask = [which == 0, which == 1, False]
    gradients = torch.ops.aten.convolution_backward(
        grad, x, weight, None, steps, padding, spread, False, [0, 0], x.shape[1], mask
    )
    return gradients[which]
