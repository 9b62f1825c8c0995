"""What a board is, from the texts that it gave: model, release, power mode. What it does not tell is None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")
_MODE = re.compile(r"NV Power Mode:[ \t]*(\S+)")
_DENIED = re.compile(
    r"password is required|permission denied|must be (run as )?root|not permitted|sudo",
    re.IGNORECASE,
)


def l4t_release(text: str | None) -> str | None:
    """Release of Jetson Linux, from ``/etc/nv_tegra_release``.

    Example:
        >>> l4t_release("# R36 (release), REVISION: 4.3, GCID: 0, BOARD: generic, EABI: aarch64")
        '36.4.3'
    """
    match = _RELEASE.search(text or "")
    return f"{match[1]}.{match[2]}" if match else None


def power_mode(text: str | None) -> str | None:
    r"""Name of the power mode, from ``nvpmodel -q``; its number means another mode on another board.

    Example:
        >>> power_mode("NVPM VERB: Current mode: NV Power Mode: 25W\n1\n")
        '25W'
    """
    match = _MODE.search(text or "")
    return match[1] if match else None


def board_model(text: str | None) -> str | None:
    """Name of the board, from the device tree, whose texts end in a NUL byte."""
    name = (text or "").strip("\0 \n")
    return name or None


def clocks_told(text: str | None) -> str | None:
    """What ``jetson_clocks --show`` says; None where it was refused, as it is without the rights of root."""
    return None if not (text or "").strip() or _DENIED.search(text or "") else text


def clocks_locked(text: str | None) -> bool | None:
    """Whether all clocks of processors and GPU stand at their highest; None where that is not told."""
    told = clocks_told(text)
    if told is None:
        return None
    ends = re.findall(r"MinFreq=(\d+) MaxFreq=(\d+)", told)
    return all(low == high for low, high in ends) if ends else None


def processor_name(text: str | None) -> str | None:
    """Name of the processor, from ``/proc/cpuinfo``; boards tell its part number at best."""
    for key in ("model name", "Model", "Hardware", "CPU part"):
        match = re.search(rf"^{key}\s*:\s*(.+)$", text or "", re.MULTILINE)
        if match:
            return match[1].strip()
    return None


def memory_gib(text: str | None) -> float | None:
    """Memory of the board, GiB, from ``/proc/meminfo``."""
    match = re.search(r"^MemTotal:\s*(\d+) kB", text or "", re.MULTILINE)
    return round(int(match[1]) / 2**20, 1) if match else None


def board_card(look: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of a board.

    Args:
        look: What the board said of itself.
    """
    texts, programs = look["texts"], look["programs"]
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', texts["system"] or "", re.MULTILINE)
    return {
        "model": board_model(texts["model"]),
        "l4t": l4t_release(texts["release"]),
        "power_mode": power_mode(programs["power_mode"]),
        "clocks_locked": clocks_locked(programs["clocks"]),
        "clocks": clocks_told(programs["clocks"]),
        "cpu": processor_name(texts["processor"]),
        "cores": look["cores"],
        "memory_gib": memory_gib(texts["memory"]),
        "architecture": look["architecture"],
        "system": system[1] if system else None,
        "kernel": look["kernel"],
        "python": look["python"],
        "versions": {name: v for name, v in look["modules"].items() if v is not None},
        "machine": look["machine"],
        "emulated": look["emulated"],
    }
