"""What a cut by scales can make of a network, told before anything is trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..base.compressions import Pruning
from ..base.errors import CompressionError, ConfigError
from ..base.methods import Method, build_network
from ..base.records import write_record
from ..nn.size import stored_mib
from .channels import ChannelGraph
from .pruning import choose_channels
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
    taught = {} if kd == "none" else {"kd": kd}
    try:
        network = build_network(method, nc, {**method.recipe.options, **taught}).eval()
    except ConfigError as error:
        field, value = ("kd", kd) if taught else (error.field, error.value)
        raise ConfigError(where, field, value, error.fix) from error
    whole = stored_mib(network)
    try:
        graph = ChannelGraph(network)
        units_to_drop(graph, choose_channels(graph, settings), settings.drop_units)
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
