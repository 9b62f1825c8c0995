"""What sparse training left: how large the scales of batch norms are, and which channels that condemns.

Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017. The pull itself is in
``defectbench.training.sparsity``, since the training loop applies it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...base.errors import CompressionError
from ...training.sparsity import scales_of
from .channels import ChannelGraph, Group, Masks
from .units import units_to_drop

EDGES = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # of the histogram; the last class is open


def magnitudes(model: nn.Module) -> Tensor:
    """|scale| [K] of all deployed batch norms, in the order of the modules, on the CPU."""
    return torch.cat([scale.detach().abs().float().cpu() for scale in scales_of(model)])


def scale_histogram(model: nn.Module, edges: Sequence[float] = EDGES) -> list[int]:
    """How many |scale| lie in [edge, next edge), the last class without an upper end.

    Of averaged weights, which are those that are cut, it lags behind what has just faded.
    """
    classes = torch.bucketize(magnitudes(model), torch.tensor(edges), right=True) - 1
    return torch.bincount(classes[classes >= 0], minlength=len(edges)).tolist()


def threshold(model: nn.Module, percent: float) -> float:
    """The |scale| of rank ``percent`` among all, each counted once.

    Raises:
        CompressionError: The share is not in 0..1.
    """
    _refuse_share("percent", percent)
    ranked = magnitudes(model).sort().values
    return float(ranked[min(int(len(ranked) * percent), len(ranked) - 1)])


def classic_masks(
    graph: ChannelGraph, percent: float, layer_keep: float = 0.01, round_to: int = 1
) -> Masks:
    """Channels that stay by the classic rule: above one threshold in any batch norm of their group.

    The threshold is a quantile of single scales, so that a residual chain counts as often as it has batch norms. Each
    batch norm keeps its ``max(1, layer_keep * C)`` largest at least; the votes of a group are joined by OR.

    Args:
        graph: Groups of the network.
        percent: Share of single scales at the threshold, 0..1 (0.85 to 0.93 is usual).
        layer_keep: Least share of a batch norm's channels that stays.
        round_to: Widths are raised to multiples of this where the group is wide enough.

    Returns:
        Masks of all groups.

    Raises:
        CompressionError: A share is not in 0..1.
    """
    _refuse_share("layer_keep", layer_keep)
    limit = threshold(graph.model, percent)
    masks = {}
    for group in graph.groups:
        keep = torch.zeros(group.channels, dtype=torch.bool)
        for norm in group.norms:
            scale = graph.modules[norm.name].weight.detach().abs().float().cpu()  # type: ignore[union-attr]
            stays = scale > limit
            stays[scale.argsort(descending=True, stable=True)[: _least(len(scale), layer_keep)]] = (
                True
            )
            keep[norm.of] |= stays[norm.own]
        masks[group.root] = _finished(keep, graph.scores(group), group, 0.0, round_to)
    return masks


def masks_to_size(
    graph: ChannelGraph,
    target_mib: float = 4.19,
    layer_keep: float = 0.01,
    round_to: int = 1,
    drop_units: int = 0,
) -> Masks:
    """Channels that stay so that as many as possible do within a size, by their group's largest scale.

    Channels are ranked over all groups, each counted once, and the count of those that go is bisected.

    Args:
        graph: Groups of the network.
        target_mib: Largest size, as ``stored_mib`` counts.
        layer_keep: Least share of a group's channels that stays, of each part of a split.
        round_to: Widths are raised to multiples of this where the group is wide enough.
        drop_units: How many residual units will be dropped after the cut; the size is that after both.

    Returns:
        Masks of all groups.

    Raises:
        CompressionError: A setting makes no sense, or no cut is that small.
    """
    _refuse_share("layer_keep", layer_keep)
    scores = [graph.scores(group) for group in graph.groups]
    order = torch.cat(scores).argsort(stable=True)
    counts = [group.channels for group in graph.groups]

    def masks_of(gone: int) -> Masks:
        stays = torch.ones(len(order), dtype=torch.bool)
        stays[order[:gone]] = False
        return {
            group.root: _finished(keep, score, group, layer_keep, round_to)
            for group, score, keep in zip(graph.groups, scores, stays.split(counts), strict=True)
        }

    def size_of(masks: Masks) -> float:
        return graph.stored_mib(masks, units_to_drop(graph, masks, drop_units))

    least = size_of(masks_of(len(order)))
    if least > target_mib:
        fix = f"at least {least:.3f} MiB stay; ask for more, or lower layer_keep"
        raise CompressionError("pruning", "target_mib", target_mib, fix)
    low, high = 0, len(order)  # `high` is small enough
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if size_of(masks_of(middle)) <= target_mib else (middle + 1, high)
    return masks_of(high)


def _finished(
    keep: Tensor, scores: Tensor, group: Group, layer_keep: float, round_to: int
) -> Tensor:
    """A mask in which every part of the group has its least count, and a multiple of ``round_to``."""
    keep = keep.clone()
    for part in group.parts.unique():
        members = (group.parts == part).nonzero().flatten()
        count = max(int(keep[members].sum()), _least(len(members), layer_keep))
        count = min(len(members), -(-count // round_to) * round_to)
        ranked = torch.where(keep, scores + scores.max() + 1, scores)[
            members
        ]  # those that stay first
        keep[members[ranked.argsort(descending=True, stable=True)[:count]]] = True
    return keep


def _least(channels: int, share: float) -> int:
    return max(1, int(share * channels))


def _refuse_share(field: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise CompressionError("pruning", field, value, "give a share in 0..1")
