"""What images say of every set of channels of a network, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ...nn.classifier import ChannelSet, Classifier, check_names
from .filters import FilterScores, LayerScores

CHUNK = 1 << 24  # numbers of a map that are scored at once; bounds the copies that ranks need


def score_channels(
    network: Classifier, batches: Iterable[Tensor], names: Iterable[str] | None = None
) -> dict[str, LayerScores]:
    """Scores of sets of channels over images, in eval mode and one pass.

    Maps are scored where they arise and dropped: what stays is one rank and one norm per image and channel. A set
    that is looked at in several places has the mean of the places' ranks and distances (*reconstructed*: the paper
    does not say how channels that residual sums tie together are chosen). A layer of plain features [B, n] counts as
    maps of 1 x 1.

    Args:
        network: What will be pruned, in its pruning form; its mode is left as it was.
        batches: Images float32 [B, 3, H, W], RGB in 0..1; any batch size, moved to the network's device.
        names: Sets to look at; all where nothing is said.

    Returns:
        Scores by set, in the network's order.

    Raises:
        CompressionError: A name is unknown, or there was no image.
    """
    wanted = set(network.widths if names is None else names)
    check_names(wanted, network.widths, "sets")
    sets = [channels for channels in network.channel_sets if channels.name in wanted]
    gathered = {tap: FilterScores() for channels in sets for tap in channels.taps}
    device = next(network.parameters()).device
    with _looking(network, gathered), torch.no_grad():
        for images in batches:
            network(images.to(device))
    return {channels.name: _averaged(channels, gathered) for channels in sets}


def _averaged(channels: ChannelSet, gathered: dict[str, FilterScores]) -> LayerScores:
    places = [gathered[tap].scores() for tap in channels.taps]
    ranks = np.mean([scores.ranks for scores in places], axis=0)
    distances = np.mean([scores.distances for scores in places], axis=0)
    return LayerScores(ranks, distances, places[0].images)


@contextmanager
def _looking(network: Classifier, gathered: dict[str, FilterScores]) -> Iterator[None]:
    """The network in eval mode, its taps' outputs passed on."""
    trains = network.training
    network.eval()
    hooks = [
        network.get_submodule(tap).register_forward_hook(_passing_to(scores))
        for tap, scores in gathered.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        network.train(trains)


def _passing_to(scores: FilterScores) -> Callable[[nn.Module, Sequence[Tensor], Tensor], None]:
    def look(_module: nn.Module, _inputs: Sequence[Tensor], output: Tensor) -> None:
        maps = output if output.dim() == 4 else output[:, :, None, None]
        for part in maps.split(max(1, CHUNK // maps[0].numel())):
            scores.add(part)

    return look
