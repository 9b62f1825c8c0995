"""Plans: how wide a pruned network's convolutions are, how they are split, and which residual units stay.

A plan and an ordinary state dict rebuild a pruned network; no module is ever pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..base.errors import CompressionError
from ..base.files import atomic_write_text

_M = TypeVar("_M", bound=nn.Module)


class Plan:
    """Widths by convolution and kept residual units by stage; what is not named is the network's own.

    All names are those of modules, such as ``backbone.stages.1.main.0``.

    Args:
        width: Factor of the network's own widths, where its class takes one.
        widths: Channels out of single convolutions.
        units: Indices of the residual units that a stage keeps.
        splits: Both parts of what a cross-stage block splits; see ``C2f``.

    Raises:
        CompressionError: A width is below 1.
    """

    def __init__(
        self,
        width: float = 1.0,
        widths: Mapping[str, int] | None = None,
        units: Mapping[str, Sequence[int]] | None = None,
        splits: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.width = width
        self.widths, self.units, self.splits = widths or {}, units or {}, splits or {}
        for name, channels in self.widths.items():
            _refuse_empty(f"widths.{name}", channels)
        for name, parts in self.splits.items():
            _refuse_empty(f"splits.{name}", *parts)

    @classmethod
    def of(cls, model: nn.Module) -> Plan:
        """The plan of a network as it stands: all of its convolutions, units and splits."""
        modules = dict(model.named_modules())
        return cls(
            widths={n: m.out_channels for n, m in modules.items() if isinstance(m, nn.Conv2d)},
            units={n: [int(k) for k in kept] for n, kept in _units(model).items()},
            splits={n: list(m.halves) for n, m in modules.items() if hasattr(m, "halves")},  # type: ignore[arg-type]
        )

    def to_dict(self) -> dict[str, Any]:
        """What ``plan.json`` holds, and what a method's ``build(nc, plan=...)`` takes."""
        return {
            "widths": dict(self.widths),
            "units": {name: list(kept) for name, kept in self.units.items()},
            "splits": {name: list(parts) for name, parts in self.splits.items()},
        }

    def channels(self, name: str, paper: int) -> int:
        """Channels out of a ``ConvBlock``, by its name and its width in the paper."""
        return self.widths.get(f"{name}.0", max(1, round(paper * self.width)))

    def kept(self, stage: str, count: int) -> list[int]:
        """Units that a stage keeps, of so many.

        Raises:
            CompressionError: It has no such unit.
        """
        kept = list(self.units.get(stage, range(count)))
        if not set(kept) <= set(range(count)):
            fix = f"the stage has units 0 to {count - 1}"
            raise CompressionError("plan", f"units.{stage}", kept, fix)
        return kept

    def check(self, model: nn.Module) -> None:
        """Compare a built network with what this plan names.

        Raises:
            CompressionError: The plan names what the network lacks, or another width or choice of units.
        """
        built = Plan.of(model).to_dict()
        for kind, entries in self.to_dict().items():
            for name, value in entries.items():
                if built[kind].get(name) != value:
                    seen = built[kind].get(name, "none of that name")
                    fix = f"the network has {seen}; give the plan of this network and its options"
                    raise CompressionError("plan", f"{kind}.{name}", value, fix)


def _refuse_empty(field: str, *channels: int) -> None:
    if min(channels) < 1:
        raise CompressionError("plan", field, min(channels), "keep at least one channel")


def _units(model: nn.Module) -> dict[str, nn.ModuleDict]:
    """Residual units that can be left out, by stage: what a stage holds as ``units``."""
    held = {name: getattr(module, "units", None) for name, module in model.named_modules()}
    return {name: units for name, units in held.items() if isinstance(units, nn.ModuleDict)}


@torch.no_grad()
def narrow(model: _M, plan: Plan, size: int = 64) -> _M:
    """Give a network that was built whole the widths of a plan.

    Each layer takes as many channels in as arrive at it in one pass, so a plan names channels out alone. Weights are
    the first of the whole network's; they are meant to be loaded.

    Args:
        model: The whole network; it is changed.
        plan: Widths and splits; names of units have no place here.
        size: Side of the pass's image, pixels.

    Returns:
        The same network.

    Raises:
        CompressionError: The plan does not fit the network.
    """
    for name, halves in plan.splits.items():
        block = dict(model.named_modules()).get(name)
        if hasattr(block, "halves"):
            block.halves = list(halves)  # type: ignore[union-attr]
    hooks = [
        module.register_forward_pre_hook(partial(_fit, name, plan.widths.get(name)))
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm))
    ]
    training = model.training
    try:
        with _EqualWidths():
            model.eval()(torch.zeros(1, 3, size, size, device=next(model.parameters()).device))
    except RuntimeError as error:
        fix = "give the plan of this network and its options"
        raise CompressionError("plan", "widths", str(error).splitlines()[0], fix) from error
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    plan.check(model)
    return model


class _EqualWidths(TorchFunctionMode):
    """Refuses to stretch a map of one channel over the channels of another."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in ("add", "__add__", "mul", "__mul__"):
            widths = {x.shape[1] for x in args if isinstance(x, Tensor) and x.ndim == 4}
            if len(widths) > 1:
                raise RuntimeError(f"maps of {min(widths)} and {max(widths)} channels are joined")
        return func(*args, **(kwargs or {}))


def _fit(name: str, wanted: int | None, layer: nn.Module, inputs: tuple[Tensor]) -> None:
    """Make a layer take what arrives, and a convolution give what is wanted."""
    c_in = inputs[0].shape[1]
    if isinstance(layer, nn.Conv2d):
        depthwise = layer.groups == layer.in_channels > 1
        c_out = c_in if depthwise else wanted or layer.out_channels
        if c_in > layer.in_channels or c_out > layer.out_channels:
            fix = f"at most {layer.in_channels} in, {layer.out_channels} out"
            raise CompressionError("plan", f"widths.{name}", [c_in, c_out], fix)
        layer.in_channels, layer.out_channels = c_in, c_out
        layer.groups = c_in if depthwise else 1
        layer.weight = _first(layer.weight, c_out, 1 if depthwise else c_in)
        layer.bias = None if layer.bias is None else _first(layer.bias, c_out)
    elif isinstance(layer, nn.BatchNorm2d):
        layer.num_features = c_in
        layer.weight, layer.bias = _first(layer.weight, c_in), _first(layer.bias, c_in)
        for statistic in ("running_mean", "running_var"):
            setattr(layer, statistic, getattr(layer, statistic)[:c_in].clone())
    elif isinstance(layer, nn.GroupNorm) and c_in != layer.num_channels:
        fix = f"channels of a group norm are not pruned; it has {layer.num_channels}"
        raise CompressionError("plan", f"widths.{name}", c_in, fix)


def _first(parameter: Tensor, *counts: int) -> nn.Parameter:
    """The first entries of a parameter's first dimensions."""
    part = parameter.detach()[tuple(slice(count) for count in counts)]
    return nn.Parameter(part.clone(), requires_grad=parameter.requires_grad)


def write_plan(model: nn.Module, path: str | Path) -> None:
    """Write the plan of a detector as it stands: ``widths``, ``units``, ``splits`` by names of modules."""
    atomic_write_text(Path(path), json.dumps(Plan.of(model).to_dict(), indent=1) + "\n")


def read_plan(path: str | Path) -> dict[str, Any]:
    """Read what rebuilds a cut network, for ``build(nc, plan=...)`` or as the recipe's ``options.plan``.

    A classifier's plan names its ``network`` and the ``widths`` of its sets of channels; a detector's has ``widths``,
    ``units`` and ``splits`` by names of modules.

    Raises:
        CompressionError: The file is missing or is no plan.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return _classifier_plan(content) if "network" in content else Plan(**content).to_dict()
    except FileNotFoundError as error:
        raise CompressionError(path, "file", "nothing", "prune the network first") from error
    except (ValueError, TypeError, AttributeError) as error:
        fix = "give a plan.json with widths, units and splits, or with network and widths"
        raise CompressionError(path, "content", str(error), fix) from error


def _classifier_plan(content: Mapping[str, Any]) -> dict[str, Any]:
    network, widths = content["network"], content.get("widths")
    if not isinstance(network, str) or not isinstance(widths, dict):
        raise TypeError(f"network {network!r} with widths {widths!r}")
    return {"network": network, "widths": widths}
