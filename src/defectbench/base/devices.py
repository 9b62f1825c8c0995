"""Where a run computes. Torch is imported when it is asked, so that other verbs start without it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError
from .records import cpu_model
from .strict import name_one_of

if TYPE_CHECKING:
    from .methods import Recipe

DEVICES = ("auto", "cpu", "cuda")
GPU_FILES = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"))


def resolve_device(wanted: str) -> str:
    """The device, ``cpu`` or ``cuda``, that a run asks for.

    Args:
        wanted: ``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    import torch

    if wanted not in DEVICES:
        raise ConfigError("--device", "device", wanted, name_one_of(wanted, DEVICES))
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        fix = "no GPU is visible to torch: use cpu or auto"
        raise ConfigError("--device", "device", wanted, fix)
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"


def sees_gpu() -> bool:
    """Whether this machine shows a GPU of NVIDIA, by its driver's files: torch, which takes seconds, is not asked."""
    return any(path.exists() for path in GPU_FILES)


def take_device(wanted: str, threads: int | None) -> str:
    """Set threads and arithmetic for a run; returns its device.

    Args:
        wanted: ``cpu``, ``cuda`` or ``auto``.
        threads: Processor threads; those of torch by default.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    import torch

    torch.set_num_threads(threads or torch.get_num_threads())
    device = resolve_device(wanted)
    fix_arithmetic(device)
    return device


def multiplies_bfloat16(device: str) -> bool:
    """Whether a device has instructions that multiply bfloat16; without them it is slower than float32.

    Args:
        device: ``cpu`` or ``cuda``.
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def settle_precision(recipe: Recipe, device: str) -> Recipe:
    """A recipe whose ``auto`` precisions, its own and those of its options, are what a device is quicker in.

    Args:
        recipe: What was asked.
        device: ``cpu`` or ``cuda``.
    """
    asked = {"precision": recipe.precision, **recipe.options}
    names = [
        name for name, value in asked.items() if name.endswith("precision") and value == "auto"
    ]
    if not names:
        return recipe
    settled = dict.fromkeys(names, "bfloat16" if multiplies_bfloat16(device) else "float32")
    changed = {"precision": settled.pop("precision")} if "precision" in settled else {}
    return recipe.model_copy(update={**changed, "options": {**recipe.options, **settled}})


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
