"""Which channels stay: collaborative filter pruning, and its controls at equal widths.

Widths of collaborative filter pruning depend on its clusters, so a control takes the widths that it ended with:

    kept = select_cfp(network, scores, rates)
    others = select_by_rank(network, scores, widths_of(kept))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...base.errors import CompressionError
from ...nn.classifier import ChannelSet, Classifier, check_names
from ...training.randomness import generator
from .filters import LayerScores, cluster, keep
from .widths import Rates, rates_by_set

Kept = dict[str, list[int]]


def widths_of(kept: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """How many channels of each set stay."""
    return {name: len(indices) for name, indices in kept.items()}


def select_cfp(
    network: Classifier,
    scores: Mapping[str, LayerScores],
    rates: Rates,
    scale: float = 2.0,
    most: int = 4,
    least: int = 0,
) -> Kept:
    """Collaborative filter pruning: of each cluster of channels the quota with the highest ranks.

    A set that follows another keeps as many as the other, by rank alone (ours: the published code starts such a
    layer afresh).

    Args:
        network: What will be pruned.
        scores: Of every set that loses channels, see ``sets_pruned``.
        rates: See ``rates_by_set``.
        scale: Of ``cluster``; infinity with ``most=2`` is the rule of the published script, always two clusters.
        most: Largest number of clusters.
        least: Channels that each cluster keeps at any rate; 0 is what was published.

    Returns:
        Sorted indices of every set.

    Raises:
        CompressionError: The rates do not fit the network, or a set has no scores or scores of another width.
    """
    by_set = rates_by_set(network, rates)
    kept: Kept = {}
    for channels in network.channel_sets:
        name, rate = channels.name, by_set.get(channels.name)
        if rate is None:
            assert channels.follows
            count = min(len(kept[channels.follows]), channels.width)
            kept[name] = _by_rank(channels, scores, count)
        elif rate == 0:
            kept[name] = list(range(channels.width))
        else:
            set_scores = _scores_of(channels, scores)
            kept[name] = keep(
                set_scores.ranks, cluster(set_scores.distances, scale, most), rate, least
            )
    return kept


def select_by_rank(
    network: Classifier, scores: Mapping[str, LayerScores], widths: Mapping[str, int]
) -> Kept:
    """Control: the highest mean ranks of a set, without clusters; among equals the higher index.

    Args:
        network: What will be pruned.
        scores: Of every set that loses channels.
        widths: How many stay, by set; a set that is not named keeps all.

    Returns:
        Sorted indices of every set.

    Raises:
        CompressionError: The widths do not fit the network, or a set has no scores.
    """
    counts = _counts(network, widths)
    return {c.name: _by_rank(c, scores, counts[c.name]) for c in network.channel_sets}


def select_by_norm(network: Classifier, widths: Mapping[str, int]) -> Kept:
    """Control: the filters with the largest sum of absolute weights (Li et al., ICLR 2017).

    Where several layers write a set, their sums are added up.

    Args:
        network: What will be pruned.
        widths: See ``select_by_rank``.

    Returns:
        Sorted indices of every set.

    Raises:
        CompressionError: The widths do not fit the network.
    """
    counts = _counts(network, widths)
    norms: dict[str, Tensor] = {}
    for wire in network.wires:
        layer = network.get_submodule(wire.module)
        if wire.writes and isinstance(layer, nn.Conv2d | nn.Linear):
            layer_norms = layer.weight.detach().double().abs().flatten(1).sum(1).cpu()
            norms[wire.writes] = norms.get(wire.writes, torch.zeros_like(layer_norms)) + layer_norms
    return {name: _best(norms[name].tolist(), count) for name, count in counts.items()}


def select_at_random(network: Classifier, widths: Mapping[str, int], seed: int) -> Kept:
    """Control: channels drawn without replacement, each set from (seed, its name).

    Args:
        network: What will be pruned.
        widths: See ``select_by_rank``.
        seed: Of the draw.

    Returns:
        Sorted indices of every set.

    Raises:
        CompressionError: The widths do not fit the network.
    """
    kept: Kept = {}
    for name, count in _counts(network, widths).items():
        source = generator(seed, 0, f"keep {name}")
        order = torch.randperm(network.widths[name], generator=source)
        kept[name] = sorted(order[:count].tolist())
    return kept


def _counts(network: Classifier, widths: Mapping[str, int]) -> dict[str, int]:
    """Widths of all sets in order, held against the network."""
    check_names(widths, network.widths, "widths")
    counts: dict[str, int] = {}
    for name, full in network.widths.items():
        counts[name] = widths.get(name, full)
        if not 1 <= counts[name] <= full:
            raise CompressionError("widths", name, counts[name], f"give 1 to {full}")
    return counts


def _by_rank(channels: ChannelSet, scores: Mapping[str, LayerScores], count: int) -> list[int]:
    if count == channels.width:
        return list(range(count))
    return _best(_scores_of(channels, scores).ranks, count)


def _scores_of(channels: ChannelSet, scores: Mapping[str, LayerScores]) -> LayerScores:
    set_scores = scores.get(channels.name)
    if set_scores is None or len(set_scores.ranks) != channels.width:
        seen = None if set_scores is None else len(set_scores.ranks)
        fix = f"score this network: {channels.name} has {channels.width} channels"
        raise CompressionError("scores", channels.name, seen, fix)
    return set_scores


def _best(values: Sequence[float] | NDArray, count: int) -> list[int]:
    """Sorted indices of the largest values; among equals the higher index."""
    return sorted(sorted(range(len(values)), key=lambda n: (values[n], n), reverse=True)[:count])
