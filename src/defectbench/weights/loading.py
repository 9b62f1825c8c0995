"""Published weights into our networks: each tensor has one place, and nothing is left over on either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from ..base.errors import WeightsError
from ..base.published import PublishedInput
from .convolutions import Convolution

COLOURS = 3


def convolution_at(network: nn.Module, name: str, card: str | Path) -> nn.Conv2d:
    """The convolution that a module is, or that it begins with.

    Args:
        network: In training form or folded.
        name: Name of the module.
        card: Named in errors.

    Raises:
        WeightsError: There is no such module, or it is something else.
    """
    try:
        module = network.get_submodule(name)
    except AttributeError as error:
        fix = f"name a module of the network ({error})"
        raise WeightsError(card, "weights", name, fix) from error
    first = module[0] if isinstance(module, nn.Sequential) and len(module) else module
    if not isinstance(first, nn.Conv2d):
        fix = "name a convolution, or a sequence that begins with one"
        raise WeightsError(card, "weights", f"{name}, a {type(module).__name__}", fix)
    return first


@torch.no_grad()
def load_convolutions(
    network: nn.Module,
    convolutions: Sequence[Convolution],
    names: Sequence[str],
    card: str | Path,
) -> None:
    """Put the convolutions of a graph into a folded network, in place.

    Shapes, strides, padding, dilation and groups must agree, and every number of ours is replaced.

    Args:
        network: A folded network, whose only parameters are those of convolutions.
        convolutions: Those of the graph.
        names: Modules of ours that they go to, in the same order.
        card: Of the method, named in errors.

    Raises:
        WeightsError: Numbers or shapes differ, or one side has something that the other lacks.
    """
    if len(convolutions) != len(names):
        fix = f"the file has {len(convolutions)}; name a module for each, in its order"
        raise WeightsError(card, "weights.convolutions", f"{len(names)} names", fix)
    filled = set()
    for convolution, name in zip(convolutions, names, strict=True):
        module = convolution_at(network, name, card)
        _check_geometry(convolution, module, name, card)
        module.weight.copy_(convolution.weight)
        filled.add(module.weight)
        if convolution.bias is not None:
            assert module.bias is not None
            module.bias.copy_(convolution.bias)
            filled.add(module.bias)
    empty = [name for name, value in network.named_parameters() if value not in filled]
    if empty:
        fix = "each parameter of the folded network needs a place in weights.convolutions"
        raise WeightsError(card, "weights.convolutions", f"nothing for {', '.join(empty)}", fix)


def _check_geometry(
    convolution: Convolution, module: nn.Conv2d, name: str, card: str | Path
) -> None:
    theirs = _geometry(convolution, convolution.weight, convolution.bias)
    ours = _geometry(module, module.weight, module.bias)
    different = [key for key in theirs if theirs[key] != ours[key]]
    if different:
        told = ", ".join(f"{key} {ours[key]}" for key in different)
        wanted = ", ".join(f"{key} {theirs[key]}" for key in different)
        fix = f"{convolution.name} of the file has {wanted}; mend the order of the names, or the network"
        raise WeightsError(card, f"weights: {name}", told, fix)


def _geometry(
    conv: Convolution | nn.Conv2d, weight: Tensor, bias: Tensor | None
) -> dict[str, object]:
    square = {
        key: list(value) if isinstance(value, tuple) else [value, value]
        for key, value in (
            ("stride", conv.stride),
            ("padding", conv.padding),
            ("dilation", conv.dilation),
        )
    }
    return {"weight": list(weight.shape), "bias": bias is not None, **square, "groups": conv.groups}


@torch.no_grad()
def load_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    pairs: Mapping[str, str],
    absent: Sequence[str],
    file: str | Path,
) -> None:
    """Put a published state dictionary into a network in training form, in place.

    Args:
        network: The network.
        state: Published tensors by name.
        pairs: Modules of ours by published name; what stands in them bears the same names on both sides.
        absent: Tensors of ours that the file does not hold.
        file: Named in errors.

    Raises:
        WeightsError: A name or shape differs, or one side has a tensor that the other lacks.
    """
    ours = network.state_dict()
    names = {
        f"{published}.{inner}": f"{module}.{inner}"
        for published, module in pairs.items()
        for inner in _inner_names(ours, module)
    }
    lost = sorted(set(names) - set(state))
    if lost:
        raise WeightsError(file, "tensors", f"no {', '.join(lost)}", "name a file that holds them")
    over = sorted(set(state) - set(names))
    if over:
        fix = "name a place for each in weights.tensors of the card"
        raise WeightsError(file, "tensors", f"also {', '.join(over)}", fix)
    empty = sorted(set(ours) - set(names.values()) - set(absent))
    if empty:
        fix = "these tensors of ours get nothing; name what fills them in weights.tensors, or say that it is absent"
        raise WeightsError(file, "tensors", ", ".join(empty), fix)
    for published, name in names.items():
        if state[published].shape != ours[name].shape:
            fix = f"{name} of ours is {list(ours[name].shape)}"
            raise WeightsError(file, f"tensor {published}", list(state[published].shape), fix)
    for published, name in names.items():
        ours[name].copy_(state[published])


def _inner_names(ours: Mapping[str, Tensor], module: str) -> list[str]:
    start = f"{module}."
    return [name.removeprefix(start) for name in ours if name.startswith(start)]


@torch.no_grad()
def normalise_inside(network: nn.Module, wants: PublishedInput, card: str | Path) -> None:
    """Make a network that learnt from normalised colours see colours in 0..1, in place.

    Args:
        network: In training form; the convolution that sees the image has a batch norm behind it and no bias.
        wants: What the network wants to see.
        card: Named in errors.

    Raises:
        WeightsError: The convolution has no such norm, or a bias.
    """
    convolution = convolution_at(network, wants.convolution, card)
    names = {module: name for name, module in network.named_modules()}
    norms = norms_behind(network)
    norm = network.get_submodule(norms.get(names[convolution], wants.convolution))
    if not isinstance(norm, nn.BatchNorm2d) or convolution.bias is not None:
        fix = "it needs a batch norm behind it and no bias, where input.into_first is true"
        raise WeightsError(card, "weights.input.convolution", wants.convolution, fix)
    assert norm.running_mean is not None
    mean, std = (
        torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (wants.mean, wants.std)
    )
    weight = convolution.weight.double()
    norm.running_mean += (weight * mean / std).sum((1, 2, 3)).float()
    convolution.weight.copy_(weight * 255 / std)


def norms_behind(network: nn.Module) -> dict[str, str]:
    """Names of the batch norms that folding takes into a convolution, by that convolution's name."""
    norms: dict[str, str] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Sequential):
            head = f"{name}." if name else ""
            for (conv, first), (norm, second) in pairwise(module.named_children()):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    norms[f"{head}{conv}"] = f"{head}{norm}"
    return norms


@torch.no_grad()
def turn_colours(convolution: nn.Conv2d) -> None:
    """Make a convolution that learnt from BGR see RGB, in place.

    Args:
        convolution: The one that sees the image; where it sees several pixels as channels, their colours in turn.
    """
    weight = convolution.weight
    pixels = weight.unflatten(1, (weight.shape[1] // COLOURS, COLOURS))
    weight.copy_(pixels.flip(2).flatten(1, 2))
