"""What a cut by scales can make of a network, told before anything is trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import nn

from ...base.errors import CompressionError, ConfigError
from ...base.methods import Method, build_network
from ...base.records import write_record
from ...base.slimming import Pruning
from ...nn.csp_darknet import ResidualUnit
from ...nn.size import stored_mib
from .channels import ChannelGraph
from .cut import choose_masks
from .units import unit_scores, units_to_drop


def check_pruning(
    method: Method, nc: int, settings: Pruning, kd: str, out: str | Path
) -> dict[str, Any]:
    """Hold a cut and its recovery against the network that they are for, untrained.

    Args:
        method: The method with the recipe of its cell, whose options say the width.
        nc: Number of classes.
        settings: How much goes and by which rule.
        kd: How the recovery is taught; ``none`` without a teacher.
        out: Record to write: stored size, groups of channels and residual units of the whole network.

    Raises:
        ConfigError: No cut is that small, the network lacks the units to drop, its convolutions cannot be grouped, or
            the method knows no such way of teaching.
    """
    began, where = time.perf_counter(), f"compress: method {method.card.name}"
    network = build_network(method, nc, method.recipe.options).eval()
    if kd != "none":
        try:
            build_network(method, nc, {**method.recipe.options, "kd": kd})
        except ConfigError as error:
            raise ConfigError(where, "kd", kd, error.fix) from error
    whole = stored_mib(network)
    _condemn_large_units(network)
    try:
        graph = ChannelGraph(network)
        units_to_drop(graph, choose_masks(graph, settings), settings.drop_units)
    except CompressionError as error:
        raise ConfigError(where, error.field, error.value, error.fix) from error
    figures = {
        "size_mib": whole,
        "groups": len(graph.groups),
        "channels": sum(group.channels for group in graph.groups),
        "units": len(unit_scores(network)),
    }
    extra = {"method": method.card.name, "nc": nc, "kd": kd, "settings": settings.model_dump()}
    inputs = {name: method.folder / name for name in ("card.yaml", "recipe.yaml")}
    seconds = time.perf_counter() - began
    return write_record(out, "pruning", figures, inputs, seconds, extra)


def _condemn_large_units(network: nn.Module) -> None:
    """Let the largest residual units score lowest: no training leaves a network that the cut makes smaller."""
    for unit in network.modules():
        if isinstance(unit, ResidualUnit):
            norm: nn.Module = unit.expand[1]  # type: ignore[operator]
            nn.init.constant_(
                norm.get_parameter("weight"), 1 / sum(p.numel() for p in unit.parameters())
            )
