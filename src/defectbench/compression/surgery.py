"""Cutting channels out of a classifier: the narrow network takes over every weight that survives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..base.errors import CompressionError
from ..nn.blocks import chosen
from ..nn.classifier import Classifier, known
from ..training.randomness import derived_seed

INHERIT = {"full": False, "conv_only": True}  # whether only weights of convolutions are inherited

_C = TypeVar("_C", bound=Classifier)


def prune(
    network: _C, kept: Mapping[str, Sequence[int]], inherit: str = "full", seed: int = 0
) -> _C:
    """The network without the channels that are not kept.

    In eval mode it computes what the whole network does with the dropped channels at zero. Everything that survives
    is inherited: weights, biases, batch norms with their statistics, the head. The published code inherits only
    weights of convolutions and starts the rest afresh; that is ``conv_only``.

    Args:
        network: In its pruning form; it is left as it was.
        kept: Ascending indices by set; a set that is not named keeps all.
        inherit: ``full`` or ``conv_only``.
        seed: Of what starts afresh.

    Returns:
        A network of the same class, device, number type and mode.

    Raises:
        CompressionError: A set is unknown, or its indices are none, not ascending or out of range.
        ConfigError: ``inherit`` has no such value.
    """
    only_convs = chosen("inherit", inherit, INHERIT)
    indices = checked_kept(network, kept)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, 0, "prune"))
        made = network.narrowed({name: len(own) for name, own in indices.items()})
    like = next(network.parameters())
    made.to(like.device, like.dtype).train(network.training)
    state = made.state_dict()
    for name, tensor in _survivors(network, indices):
        if tensor.dim() == 4 or not only_convs:
            state[name] = tensor
    made.load_state_dict(state)
    return made


def checked_kept(network: Classifier, kept: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Indices of every set of a network, held against it.

    Raises:
        CompressionError: A set is unknown, or its indices are none, not ascending or out of range.
    """
    known(kept, network.widths, "kept")
    indices: dict[str, list[int]] = {}
    for name, width in network.widths.items():
        own = list(kept.get(name, range(width)))
        if not own or own != sorted(set(own)) or own[0] < 0 or own[-1] >= width:
            fix = f"give at least one of 0 to {width - 1}, each once, ascending"
            raise CompressionError("kept", name, own, fix)
        indices[name] = own
    return indices


def _survivors(
    network: Classifier, indices: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the network by name, without the channels that are not kept."""
    for wire in network.wires:
        for name, tensor in network.get_submodule(wire.module).state_dict().items():
            cut = tensor.detach()
            if wire.writes and cut.dim():
                cut = _taken(cut, 0, indices[wire.writes])
            if wire.reads and cut.dim() > 1:
                cut = _taken(cut, 1, indices[wire.reads])
            yield f"{wire.module}.{name}", cut


def _taken(tensor: Tensor, axis: int, indices: Sequence[int]) -> Tensor:
    return tensor.index_select(axis, torch.tensor(indices, device=tensor.device))
