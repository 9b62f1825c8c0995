"""What a card says of published weights, and their tensors under the names of our network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..base.errors import ConfigError
from ..base.methods import Method, build_network
from ..base.published import PublishedWeights
from ..base.strict import name_one_of
from .convolutions import read_convolutions
from .loading import (
    convolution_at,
    load_convolutions,
    load_state,
    normalise_inside,
    turn_colours,
)
from .state_dict import read_state_dict


def published_weights(method: Method, name: str | None = None) -> PublishedWeights:
    """What a method's card says of published weights.

    Args:
        method: The method.
        name: Which of them; the only ones by default.

    Raises:
        ConfigError: It says nothing of them, or names several or other ones.
    """
    card, named = method.folder / "card.yaml", method.card.weights
    if not named:
        fix = "name a method whose card has `weights`, or write them; docs/weights.md shows how"
        raise ConfigError(card, "weights", None, fix)
    if name is None and len(named) > 1:
        raise ConfigError(card, "weights", [*named], "say which are meant, as --name NAME")
    if name is not None and name not in named:
        raise ConfigError(card, "weights", name, name_one_of(name, named))
    return named[name or next(iter(named))]


def network_with(method: Method, weights: PublishedWeights, files: Mapping[str, Path]) -> nn.Module:
    """A network of ours with published weights, made to see RGB in 0..1.

    Args:
        method: The method.
        weights: What its card says of them.
        files: The files by suffix.

    Returns:
        The detector in eval mode: folded where the files are, otherwise in training form.

    Raises:
        ConfigError: The file is one of the method's own program.
        WeightsError: The files are damaged or do not fit.
    """
    card = method.folder / "card.yaml"
    if weights.is_of_program:
        fix = "only the method's own program opens such a file; trainings start from it"
        raise ConfigError(card, "weights", ".pt", fix)
    network = build_network(method, weights.nc, method.recipe.options).eval()
    if weights.is_ncnn:
        convolutions = read_convolutions(files[".param"], files[".bin"])
        network = network.deploy().detector
        load_convolutions(network, convolutions, weights.module_names, card)
    else:
        state = read_state_dict(files[".pth"])
        load_state(network, state, weights.module_pairs, weights.absent, files[".pth"])
    if weights.input.into_first:
        normalise_inside(network, weights.input, card)
    if weights.input.colours == "bgr":
        turn_colours(convolution_at(network, weights.input.convolution, card))
    return network


def tensors_of(network: nn.Module, weights: PublishedWeights) -> dict[str, Tensor]:
    """What was published of a network, by the names of ours.

    Args:
        network: What ``network_with`` gives.
        weights: What the card says of them.
    """
    return {
        name: value.detach().contiguous().clone()
        for name, value in network.state_dict().items()
        if name not in weights.absent
    }


def class_channels(
    network: nn.Module, weights: PublishedWeights, card: Path
) -> dict[str, list[int]]:
    """Channels of classes by the name of their convolution or linear layer.

    Args:
        network: What ``network_with`` gives.
        weights: What the card says of them.
        card: Named in errors.

    Raises:
        ConfigError: A module that is named has fewer channels.
        WeightsError: There is no such module, or it is something else.
    """
    names = {module: name for name, module in network.named_modules()}
    channels: dict[str, list[int]] = {}
    for name, (first, end) in weights.class_modules.items():
        predicts = dict(network.named_modules()).get(name)
        if not isinstance(predicts, nn.Linear):
            predicts = convolution_at(network, name, card)
        if end > len(predicts.weight):
            fix = f"{name} has {len(predicts.weight)} channels: mend the numbers"
            raise ConfigError(card, "weights.class_channels", [first, end], fix)
        channels[names[predicts]] = [first, end]
    return channels


def about(weights: PublishedWeights) -> dict[str, Any]:
    """Where published weights come from, in words of a record."""
    fields = ("data", "source", "licence")
    return {field: getattr(weights, field) for field in fields}
