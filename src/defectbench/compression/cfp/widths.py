"""Rates of pruning to widths, and the rates that reach a ratio of parameters.

A rate is the share of its channels that a set gives up. Wang et al., Collaborative Filter Pruning for Efficient
Automatic Surface Defect Detection, IEEE Transactions on Industrial Informatics, 2023, give one rate per layer by
hand; the solver is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ...base.errors import CompressionError
from ...base.rates import parse_rates
from ...nn.classifier import ChannelSet, Classifier, check_names
from .filters import quota

Rates = str | Sequence[float] | Mapping[str, float]
HIGHEST = 1 - 1e-6  # what the solver clips a scaled rate to
STEPS = 50  # of the bisection: halves a scale factor down to the resolution of a float


def rates_by_set(network: Classifier, rates: Rates) -> dict[str, float]:
    """The rate of every set of a network, checked.

    Args:
        network: What is pruned.
        rates: One of: the short form; one rate per set in order, where the network's ``tail`` may be left out; or
            rates by name or role of sets, where a name wins over a role and what is not named keeps all.

    Returns:
        Rates by set. A set that follows another and is not named is missing: it takes the other's width.

    Raises:
        CompressionError: A name is unknown, there are too many or too few rates, or one is not in 0..1, 1 excluded.
    """
    sets = network.channel_sets
    named = rates if isinstance(rates, Mapping) else _by_order(network, rates)
    check_names(named, dict.fromkeys([s.name for s in sets] + [s.role for s in sets]), "rates")
    for rate in named.values():
        quota(1, rate)
    rates_of_sets = {s.name: named.get(s.name, named.get(s.role)) for s in sets}
    free = {s.name for s in sets if s.follows is None}
    return {
        name: rate or 0.0
        for name, rate in rates_of_sets.items()
        if rate is not None or name in free
    }


def _by_order(network: Classifier, rates: str | Sequence[float]) -> dict[str, float]:
    listed = parse_rates(rates) if isinstance(rates, str) else list(rates)
    names = [s.name for s in network.channel_sets]
    least = len(names) - len(network.tail)
    if not least <= len(listed) <= len(names):
        fix = f"{network.name} takes {least} to {len(names)} rates, or rates by name"
        raise CompressionError("rates", "number of rates", len(listed), fix)
    return dict(zip(names, listed, strict=False))


def sets_pruned(network: Classifier, rates: Rates) -> list[str]:
    """Names of the sets that lose channels at these rates: those that must be scored."""
    by_set = rates_by_set(network, rates)
    return [
        s.name
        for s in network.channel_sets
        if by_set.get(s.name, by_set.get(s.follows or "", 0.0)) > 0
    ]


def widths_at(
    network: Classifier, rates: Rates, clusters: Mapping[str, Sequence[int]] | None = None
) -> dict[str, int]:
    """Kept widths: of every cluster floor((1 - rate) size), added up, at least 1.

    Args:
        network: What is pruned.
        rates: See ``rates_by_set``.
        clusters: Sizes of the clusters by set; one cluster of all channels where nothing is said.

    Returns:
        Widths of all sets.

    Raises:
        CompressionError: The rates do not fit the network, or sizes do not add up to the width.
    """
    by_set, sizes = rates_by_set(network, rates), clusters or {}
    check_names(sizes, network.widths, "clusters")
    widths: dict[str, int] = {}
    for channels in network.channel_sets:
        if channels.name in by_set:
            cluster_sizes = sizes.get(channels.name, [channels.width])
            widths[channels.name] = _kept(channels, cluster_sizes, by_set[channels.name])
        else:
            assert channels.follows
            widths[channels.name] = min(widths[channels.follows], channels.width)
    return widths


def _kept(channels: ChannelSet, sizes: Sequence[int], rate: float) -> int:
    if sum(sizes) != channels.width:
        fix = f"cluster sizes of {channels.name} add up to {channels.width}"
        raise CompressionError("clusters", channels.name, list(sizes), fix)
    return max(1, sum(quota(size, rate) for size in sizes))


def parameters_at(network: Classifier, widths: Mapping[str, int] | None = None) -> int:
    """Parameters of the network at other widths, by the shapes of its tensors; nothing is built."""
    at = {**network.widths, **(widths or {})}
    total = 0
    for wire in network.wires:
        for parameter in network.get_submodule(wire.module).parameters(recurse=False):
            shape = list(parameter.shape)
            if wire.writes:
                shape[0] = at[wire.writes]
            if wire.reads and len(shape) > 1:
                shape[1] = at[wire.reads]
            total += torch.Size(shape).numel()
    return total


@dataclass(frozen=True)
class Solution:
    """Rates that reach a ratio.

    Attributes:
        scale: What the pattern was multiplied by.
        rates: Rates by set.
        widths: Kept widths, one cluster per set.
        ratio: Parameters of the network over those at these widths.
    """

    scale: float
    rates: dict[str, float]
    widths: dict[str, int]
    ratio: float


def solve(network: Classifier, pattern: Rates, ratio: float, tolerance: float = 0.01) -> Solution:
    """Scale a pattern of rates until the network has so many times fewer parameters.

    Bisection on one factor; scaled rates are clipped just below 1, where a set keeps one channel. Widths assume one
    cluster per set, so that a selection by clusters can end a little narrower.

    Args:
        network: What is pruned, at its width.
        pattern: Rates in their proportions; 0 stays 0.
        ratio: Parameters before over after, above 1.
        tolerance: How far off the ratio may be, as a share of it.

    Raises:
        CompressionError: The pattern cannot reach the ratio, or widths are whole numbers too coarse for it.
    """
    shape = rates_by_set(network, pattern)
    if ratio <= 1 or not any(shape.values()):
        fix = "give a ratio above 1 and a pattern with a rate above 0"
        raise CompressionError("solve", "ratio and pattern", (ratio, pattern), fix)
    low, high = 0.0, 1 / min(rate for rate in shape.values() if rate > 0)
    best = _scaled(network, shape, high)
    if best.ratio < ratio * (1 - tolerance):
        fix = f"at most {best.ratio:.2f} with this pattern; prune more sets"
        raise CompressionError("solve", "ratio", ratio, fix)
    for _ in range(STEPS):
        middle = _scaled(network, shape, (low + high) / 2)
        best = min(best, middle, key=lambda s: abs(s.ratio - ratio))
        if abs(best.ratio - ratio) <= tolerance * ratio:
            return best
        low, high = (middle.scale, high) if middle.ratio < ratio else (low, middle.scale)
    fix = f"the nearest is {best.ratio:.3f}; widen the tolerance or change the pattern"
    raise CompressionError("solve", "ratio", ratio, fix)


def _scaled(network: Classifier, shape: Mapping[str, float], scale: float) -> Solution:
    rates = {name: min(scale * rate, HIGHEST) for name, rate in shape.items()}
    widths = widths_at(network, rates)
    ratio = parameters_at(network) / parameters_at(network, widths)
    return Solution(scale, rates, widths, ratio)
