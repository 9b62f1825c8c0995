"""Files of a cut network that every way of compression writes."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from ..base.files import atomic_path


def write_weights(network: nn.Module, folder: Path) -> Path:
    """Write ``weights.safetensors`` of a network into a folder, which is made; returns its path.

    With a ``plan.json`` beside it, it rebuilds the network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic_path(weights) as part:
        save_file(state, part)
    return weights
