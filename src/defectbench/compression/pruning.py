"""Pruning a detector: channels first, then residual units, then the statistics of what is left.

The stages of Chen et al., Electronics 2024, 13(2), 253, between their sparse training and their distillation. A network
is left with a plan; plan and state dict rebuild it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from ..base.compressions import Pruning
from ..base.errors import CompressionError
from ..nn.size import stored_mib
from .channels import ChannelGraph, Masks
from .constants import absorb_constants, recalibrate
from .slimming import classic_masks, masks_to_size
from .units import drop_units, scores_after, units_to_drop


def prune(
    model: nn.Module, settings: Pruning, batches: Iterable[Tensor], channels_alone: bool = False
) -> dict[str, Any]:
    """Cut a network in place and measure its statistics anew; its optimiser and its average must be made anew.

    Args:
        model: Detector after sparse training, best its average.
        settings: How much goes.
        batches: Batches [B, 3, H, W] of training images on the network's device, some 200; the first one also shows
            the constants of dead channels.
        channels_alone: Whether the units that go stay for now: the channels are those of the whole cut.

    Returns:
        Figures with units: sizes before, after the channels and after the units, channels before and after, the
        largest score that went and the smallest that stayed, scores of residual units and which of them were dropped
        (none with ``channels_alone``), batches seen.

    Raises:
        CompressionError: A setting makes no sense for this network, no cut is that small, or there is no batch.

    Example:
        >>> from defectbench.nn.yolov4 import YOLOv4
        >>> model = YOLOv4(6, Plan(0.05))
        >>> figures = prune(model, Pruning(target_mib=0.3, drop_units=4), [torch.rand(2, 3, 64, 64)])
        >>> figures["size_mib"] <= 0.3
        True
    """
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise CompressionError("pruning", "batches", 0, "give at least one batch of images")
    before = {"size_mib_before": stored_mib(model), "params_before": _params(model)}
    graph = ChannelGraph(model)
    masks = choose_channels(graph, settings)
    kept = {
        "channels_before": sum(len(keep) for keep in masks.values()),
        "channels": sum(int(keep.sum()) for keep in masks.values()),
        "groups": len(graph.groups),
        **_borders(graph, masks),
        "unit_scores": scores_after(graph, masks),
    }
    left = absorb_constants(graph, masks, first) if settings.absorb else []
    gone = units_to_drop(graph, masks, settings.drop_units)
    cut_channels(graph, masks)
    of_channels = {"size_mib_channels": stored_mib(model)}
    if channels_alone:
        gone = []
    drop_units(model, gone)
    seen = recalibrate(model, chain([first], iterator))
    after = {**of_channels, "size_mib": stored_mib(model), "params": _params(model)}
    extra = {"units_dropped": gone, "constants_left": left, "batches_seen": seen}
    return {**before, **after, **kept, **extra}


def _borders(graph: ChannelGraph, masks: Masks) -> dict[str, float | None]:
    """Largest score of a channel that goes and smallest of one that stays; a layer's least share may cross them."""
    scores = torch.cat([graph.scores(group) for group in graph.groups])
    stays = torch.cat([masks[group.root] for group in graph.groups])
    gone, kept = scores[~stays], scores[stays]
    return {
        "largest_score_cut": float(gone.max()) if len(gone) else None,
        "smallest_score_kept": float(kept.min()),
    }


def choose_channels(graph: ChannelGraph, settings: Pruning) -> Masks:
    """Channels that stay by a setting's rule.

    Raises:
        CompressionError: No cut is as small as was asked for, or the network lacks the units to drop.
    """
    if settings.rule == "classic":
        return classic_masks(graph, settings.percent, settings.layer_keep, settings.round_to)
    return masks_to_size(
        graph,
        settings.target_mib,
        settings.layer_keep,
        settings.round_to,
        settings.drop_units,
    )


def cut_channels(graph: ChannelGraph, masks: Masks) -> None:
    """Remove channels from a network for good; the graph is of no use afterwards.

    Args:
        graph: Of the network.
        masks: What stays.

    Raises:
        CompressionError: A mask leaves nothing, or is of no group.
    """
    lost = graph.lost(masks)
    for name, module in graph.modules.items():
        halves, gone = getattr(module, "halves", None), lost.get((f"{name}.first.0", False))
        if halves is not None and gone is not None:  # a split's parts shrink with its convolution
            of_first = int((gone < halves[0]).sum())
            module.halves = [halves[0] - of_first, halves[1] - len(gone) + of_first]  # type: ignore[assignment]
    for (name, takes), gone in lost.items():
        if len(gone):
            _cut(graph.modules[name], takes, gone.tolist())


def _cut(module: nn.Module, takes: bool, gone: list[int]) -> None:
    """Remove channels from one module."""
    if isinstance(module, nn.BatchNorm2d):
        tp.prune_batchnorm_out_channels(module, gone)
    elif not isinstance(module, nn.Conv2d):
        fix = "cut convolutions and batch norms only"
        raise CompressionError("masks", "module", type(module).__name__, fix)
    elif takes:
        tp.prune_conv_in_channels(module, gone)
    elif module.groups > 1:
        tp.prune_depthwise_conv_out_channels(module, gone)
    else:
        tp.prune_conv_out_channels(module, gone)


def _params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
