"""A pruned network as one file: what was kept of what, and the weights; rebuilt bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..base.errors import CompressionError, DefectBenchError
from ..data.pack import checksum, write_pack
from ..nn.classifier import Classifier
from ..nn.classifiers import build_classifier
from .selection import widths_of
from .surgery import checked_kept


@dataclass(frozen=True)
class Plan:
    """What is kept of which network.

    Attributes:
        network: Name of the classifier, a key of ``CLASSIFIERS``.
        nc: Number of classes.
        base_widths: Widths before pruning, by set.
        kept: Sorted indices of every set.
        facts: How they were chosen, such as criterion, rates, seed; JSON.
    """

    network: str
    nc: int
    base_widths: dict[str, int]
    kept: dict[str, list[int]]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def widths(self) -> dict[str, int]:
        """Widths after pruning, by set."""
        return widths_of(self.kept)


def plan_of(network: Classifier, kept: Mapping[str, list[int]], **facts: Any) -> Plan:
    """The plan that ``prune(network, kept)`` carries out.

    Args:
        network: The network before pruning.
        kept: Indices by set; a set that is not named keeps all.
        facts: How they were chosen; JSON.

    Raises:
        CompressionError: The indices do not fit the network.
    """
    indices = checked_kept(network, kept)
    return Plan(network.name, network.nc, dict(network.widths), indices, facts)


def save_pruned(path: str | Path, network: Classifier, plan: Plan) -> None:
    """Write a pruned network, also after its fine-tuning, with its plan as safetensors.

    Raises:
        CompressionError: The network is not one of that plan.
    """
    seen = {"network": network.name, "nc": network.nc, "widths": network.widths}
    for key, value in seen.items():
        if value != getattr(plan, key):
            fix = f"the plan says {getattr(plan, key)!r}"
            raise CompressionError(path, key, value, fix)
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    write_pack(path, tensors, {"plan": json.dumps(asdict(plan), sort_keys=True, allow_nan=False)})


def load_pruned(path: str | Path) -> tuple[Classifier, Plan]:
    """The network in eval mode and its plan, as they were saved.

    Raises:
        CompressionError: The file is damaged, lacks a plan, or plan and weights do not fit each other.
    """
    metadata, tensors = _read(path)
    if metadata.get("sha256") != checksum(tensors):
        fix = "make it again: its bytes have changed"
        raise CompressionError(path, "sha256", metadata.get("sha256"), fix)
    try:
        plan = Plan(**json.loads(metadata["plan"]))
        network = build_classifier(plan.network, plan.nc, plan.widths)
        network.load_state_dict(tensors)
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        DefectBenchError,
    ) as error:
        fix = "give a file that save_pruned wrote"
        raise CompressionError(path, "plan", str(error), fix) from error
    return network.eval(), plan


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as handle:
            return handle.metadata() or {}, {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError) as error:
        raise CompressionError(path, "file", str(error), "prune a network first") from error
