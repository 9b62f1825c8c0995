"""Published weights into a network that is about to be trained: what fits is taken, the classes are drawn afresh.

Files of deployed networks have their batch norms folded into the convolutions before them. A network that trains needs
them back. A convolution gets the published weight, the norm behind it the mean and deviation of what the convolution
gives for training images, and a scale and shift that undo both: in eval mode the network then computes what it
computed folded, and in training its norms see what they expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..base.errors import WeightsError
from ..base.published import FOLDED
from .loading import norms_behind

FIX = "start from scratch with these options, or leave the options that change the network"


@dataclass
class Taken:
    """What a network took of published weights.

    Attributes:
        loaded: Tensors of ours that were taken whole.
        partly: Tensors of ours of which the channels of classes are fresh and the others were taken.
        fresh: Tensors of ours that are as they were drawn.
        left: Published tensors, or channels of them, that were not taken.
        n_numbers: Numbers that were taken.
        shifts: Bias of a folded convolution by the name of the batch norm that gets it.
    """

    loaded: list[str] = field(default_factory=list)
    partly: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    n_numbers: int = 0
    shifts: dict[str, Tensor] = field(default_factory=dict)

    def words(self) -> dict[str, Any]:
        """The same for a record: names of what is not whole, numbers of what is."""
        return {
            "n_tensors_loaded": len(self.loaded) + len(self.partly),
            "n_numbers_loaded": self.n_numbers,
            "partly_loaded": self.partly,
            "fresh": self.fresh,
            "left": self.left,
            "n_norms_unfolded": len(self.shifts),
        }


@torch.no_grad()
def take_published(
    network: nn.Module,
    state: Mapping[str, Tensor],
    about: Mapping[str, Any],
    file: str | Path,
    classes: Sequence[str] = (),
) -> Taken:
    """Put published weights into a network in training form, in place.

    A head for other classes keeps its own channels of classes, also where it has as many of them; only one for the very
    same classes, in the same order, takes all. What else differs is an error.

    Args:
        network: A network in training form, on any device.
        state: Tensors by the names of our network.
        about: ``form``, ``class_channels`` and ``published_classes`` of the record beside them.
        file: Named in errors.
        classes: Names of the classes that the network is to learn.

    Raises:
        WeightsError: The network has no such tensor, or one of another shape.
    """
    ours, taken = network.state_dict(keep_vars=True), Taken()
    norms = norms_behind(network) if about["form"] == FOLDED else {}
    known = list(about.get("published_classes") or [])
    channels = {} if known and known == list(classes) else about["class_channels"]
    for name, value in state.items():
        module, _, kind = name.rpartition(".")
        if kind == "bias" and module in norms:
            taken.shifts[norms[module]] = value
            continue
        if name not in ours:
            raise WeightsError(file, f"tensor {name}", "no such tensor in the network", FIX)
        _take(ours[name], name, value, channels.get(module), taken, file)
    for norm, value in taken.shifts.items():
        bias = ours[f"{norm}.bias"]
        if bias.shape != value.shape:
            fix = f"{norm} of the network has {list(bias.shape)}; {FIX}"
            raise WeightsError(file, f"bias before {norm}", list(value.shape), fix)
        taken.n_numbers += value.numel()
    unfolded = tuple(f"{norm}." for norm in taken.shifts)
    got = {*taken.loaded, *taken.partly}
    taken.fresh = [n for n in ours if n not in got and not (unfolded and n.startswith(unfolded))]
    return taken


def _take(
    ours: Tensor,
    name: str,
    value: Tensor,
    classes: list[int] | None,
    taken: Taken,
    file: str | Path,
) -> None:
    if ours.shape == value.shape and classes is None:
        ours.copy_(value)
        taken.loaded.append(name)
        taken.n_numbers += value.numel()
        return
    first, end = classes or (0, 0)
    behind = len(value) - end
    own_end = len(ours) - behind if ours.dim() else 0
    if classes is None or ours.shape[1:] != value.shape[1:] or own_end <= first:
        fix = f"that of the network is {list(ours.shape)}; {FIX}"
        raise WeightsError(file, f"tensor {name}", list(value.shape), fix)
    ours[:first].copy_(value[:first])
    ours[own_end:].copy_(value[end:])
    taken.left.append(f"{name}[{first}:{end}]")
    kept = value[:first].numel() + value[end:].numel()
    if kept:
        taken.partly.append(name)
        taken.n_numbers += kept


@torch.no_grad()
def unfold(network: nn.Module, shifts: Mapping[str, Tensor], images: Iterable[Tensor]) -> None:
    """Give folded batch norms statistics, scale and shift, so that the network computes the same as before.

    Args:
        network: A network whose convolutions hold folded weights; it is left in its mode.
        shifts: Bias of the folded convolution by the name of the norm behind it.
        images: Batches of training images, float32 [B, 3, H, W] in 0..1, on the network's device.
    """
    norms = {name: network.get_submodule(name) for name in shifts}
    moments = {name: _Moments() for name in norms}
    handles = []
    for name, norm in norms.items():
        assert isinstance(norm, nn.BatchNorm2d)
        _set_norm(norm, torch.zeros_like(norm.bias), torch.ones_like(norm.bias), shifts[name])
        handles.append(norm.register_forward_pre_hook(_noting(moments[name])))
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        for batch in images:
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    for name, norm in norms.items():
        assert isinstance(norm, nn.BatchNorm2d)
        mean, variance = moments[name].result()
        _set_norm(norm, mean, variance, shifts[name])


def _noting(moments: _Moments) -> Any:
    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.add(inputs[0])

    return hook


def _set_norm(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, shift: Tensor) -> None:
    """Let a norm in eval mode add ``shift`` to its input, whatever the statistics are."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(shift.to(mean.device).double() + norm.running_mean.double())


class _Moments:
    """Mean and variance of the channels of many batches, each position of the same weight."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Tensor, Tensor]] = []

    def add(self, x: Tensor) -> None:
        """Note a batch [B, C, H, W]."""
        variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        self.parts.append((x.numel() // x.shape[1], mean.double(), variance.double()))

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean [C] and biased variance [C]."""
        counts, means, variances = zip(*self.parts, strict=True)
        shares = torch.tensor(counts, dtype=torch.float64, device=means[0].device)
        shares = (shares / shares.sum()).unsqueeze(1)
        each = torch.stack(means)
        mean = (shares * each).sum(0)
        spread = torch.stack(variances) + (each - mean).square()
        return mean, (shares * spread).sum(0)


def in_batches(images: Tensor, size: int = 16) -> Iterator[Tensor]:
    """Images uint8 [N, 3, H, W] as batches, float32 in 0..1."""
    for batch in images.split(size):
        yield batch.float() / 255
