"""Layer pruning: which residual units of a CSPDarknet go.

Units are ranked by the mean |scale| of their second batch norm, on the network that has lost its channels. Only
residual units are candidates: the shell of a stage stays, and a stage may lose all of its units.
"""

from __future__ import annotations

from torch import nn

from ...base.errors import CompressionError
from ...nn.csp_darknet import ResidualUnit
from .channels import ChannelGraph, Masks


def unit_scores(model: nn.Module) -> dict[str, float]:
    """Mean |scale| of the second batch norm of every residual unit, by the unit's name."""
    return {
        name: float(unit.expand[1].weight.detach().abs().mean())  # type: ignore[operator]
        for name, unit in model.named_modules()
        if isinstance(unit, ResidualUnit)
    }


def scores_after(graph: ChannelGraph, masks: Masks) -> dict[str, float]:
    """What ``unit_scores`` would be after a cut; nothing is cut."""
    lost, scores = graph.lost(masks), {}
    for name, unit in graph.modules.items():
        if isinstance(unit, ResidualUnit):
            scale = unit.expand[1].weight.detach().abs().cpu().clone()  # type: ignore[operator]
            gone = lost.get((f"{name}.expand.1", False))
            if gone is not None:
                scale[gone] = float("nan")
            scores[name] = float(scale.nanmean())
    return scores


def units_to_drop(graph: ChannelGraph, masks: Masks, count: int) -> list[str]:
    """Names of the ``count`` units that would score lowest after a cut, of equal ones the first; nothing is cut.

    Raises:
        CompressionError: The network has fewer units.
    """
    scores = scores_after(graph, masks)
    if not 0 <= count <= len(scores):
        fix = f"the network has {len(scores)} residual units"
        raise CompressionError("pruning", "drop_units", count, fix)
    return sorted(scores, key=lambda name: scores[name])[:count]


def drop_units(model: nn.Module, names: list[str]) -> None:
    """Take units out of their stages; the others keep their numbers."""
    for name in names:
        stage, _, number = name.rpartition(".")
        del model.get_submodule(stage)[number]  # type: ignore[operator]
