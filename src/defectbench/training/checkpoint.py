"""Checkpoints: atomic, checksummed, safetensors and JSON; never a pickled module."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn, optim

from ..base.errors import CheckpointError, ConfigError
from ..base.files import atomic_path
from ..data.pack import checksum
from .ema import Average

FILE = "last.safetensors"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: Steps done.
        seconds: Training time so far.
        history: One row an epoch.
        best: Best validated score and its epoch.
    """

    step: int
    seconds: float
    history: list[dict[str, float]]
    best: dict[str, float]


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    average: Average,
    optimizer: optim.Optimizer,
    progress: Progress,
    settings: dict[str, Any],
) -> None:
    """Write everything that the rest of the run depends on as one file."""
    state = optimizer.state_dict()
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.model.state_dict().items()}
    for number, values in state["state"].items():
        tensors |= {
            f"optimizer/{number}/{k}": v for k, v in values.items() if isinstance(v, Tensor)
        }
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {
        "progress": json.dumps(vars(progress)),
        "settings": json.dumps(settings, sort_keys=True),
        "sha256": checksum(tensors),
    }
    with atomic_path(folder / FILE) as part:
        save_file(tensors, part, metadata)


def set_aside(folder: Path, settings: dict[str, Any]) -> bool:
    """Move a checkpoint that was begun with other settings out of the way; returns whether it was."""
    path = folder / FILE
    if not path.is_file():
        return False
    if _open(path)[0].get("settings") == json.dumps(settings, sort_keys=True):
        return False
    replaced = folder.with_name(f"{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    folder.replace(replaced)
    return True


def _open(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a checkpoint."""
    try:
        with safe_open(path, "pt") as handle:
            return handle.metadata() or {}, {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(path, "content", str(error), "delete it and train again") from error


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    average: Average,
    optimizer: optim.Optimizer,
    settings: dict[str, Any],
) -> Progress | None:
    """Take a run up where it stopped; None if there is nothing to take up.

    Raises:
        CheckpointError: The file is damaged or belongs to a run with other settings.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    metadata, tensors = _open(path)
    if checksum(tensors) != metadata.get("sha256"):
        raise CheckpointError(path, "sha256", metadata.get("sha256"), "delete it and train again")
    if metadata["settings"] != json.dumps(settings, sort_keys=True):
        fix = "delete the folder to start anew, or run with the settings it was begun with"
        raise CheckpointError(path, "settings", metadata["settings"], fix)
    model.load_state_dict(_under(tensors, "model"))
    average.model.load_state_dict(_under(tensors, "average"))
    _load_optimizer(optimizer, _under(tensors, "optimizer"))
    return Progress(**json.loads(metadata["progress"]))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights in training form, buffers included.

    Raises:
        ConfigError: The file is missing, damaged or of another network.
    """
    try:
        model.load_state_dict(load_file(path))
    except (FileNotFoundError, SafetensorError) as error:
        raise ConfigError(path, "start", str(error), "train what the run starts from") from error
    except RuntimeError as error:
        fix = "give weights of the same network, options, plan and number of classes"
        seen = str(error).splitlines()[-1].strip()
        raise ConfigError(path, "start", seen, fix) from error


def _under(tensors: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{head}/"): v for k, v in tensors.items() if k.startswith(f"{head}/")}


def _load_optimizer(optimizer: optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Fill the optimiser's state; its tensors take their parameters' strides, which fused kernels rely on."""
    state = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    values: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split("/", 1)
        like = parameters[int(number)]
        if tensor.shape == like.shape:
            tensor = torch.empty_like(like).copy_(tensor)
        values.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({**state, "state": values})
