"""Where a run computes. Torch is imported when it is asked, so that other verbs start without it."""

from __future__ import annotations

import os

from .errors import ConfigError
from .records import cpu_model


def resolve_device(wanted: str) -> str:
    """The device, ``cpu`` or ``cuda``, that a run asks for.

    Args:
        wanted: ``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    import torch

    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError("--device", "device", wanted, "choose one of auto, cpu, cuda")
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        fix = "no GPU is visible to torch: use cpu or auto"
        raise ConfigError("--device", "device", wanted, fix)
    return "cuda" if found and wanted != "cpu" else "cpu"


def fix_arithmetic(device: str) -> None:
    """Let equal runs end in equal bits: on a CPU always, on a GPU where torch has such kernels."""
    import torch
    import torch.utils.deterministic

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.use_deterministic_algorithms(mode=True, warn_only=device == "cuda")
    # its default writes NaN over all new memory, to show who reads it too early: 5 % of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]


def device_name(device: str) -> str:
    """What the device is called by its maker."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else cpu_model()
