"""Lines of tegrastats: each field by an expression of its own, since which there are differs from board to board.

Power: the first number of a rail is of now, the second a mean since the program was started. On Orin Nano and NX
``VDD_IN`` alone is the input of the module; on AGX Orin three rails make it. The two families are never added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MODULE_RAIL = "VDD_IN"
AGX_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
OFF_C = -256.0

_DATE = re.compile(r"^\d\d-\d\d-\d{4} \d\d:\d\d:\d\d\s+")
_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"(\d+)%(?:@(\d+))?")
_EMC = re.compile(r"\bEMC_FREQ (\d+)%(?:@(\d+))?")
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?([\d,]+)\]?)?")
_HEAT = re.compile(r"\b([A-Za-z][\w-]*)@(-?\d+(?:\.\d+)?)C(?:/-?\d+(?:\.\d+)?C)?")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?:/(\d+)(?:mW)?)?(?= |$)")


@dataclass(frozen=True)
class Sample:
    """A line of tegrastats; what it does not say is None or empty.

    Attributes:
        ram_mb: Memory in use, MB.
        ram_total_mb: Memory, MB.
        cpu_percent: Load by core; None of a core that is off.
        emc_percent: Load of the memory controller.
        gpu_percent: Load of the GPU.
        gpu_mhz: Its clock by cluster, MHz.
        temperatures_c: By sensor, without those that are off.
        rails_mw: Power of now by rail, mW.
    """

    ram_mb: int | None = None
    ram_total_mb: int | None = None
    cpu_percent: Sequence[int | None] = ()
    emc_percent: int | None = None
    gpu_percent: int | None = None
    gpu_mhz: Sequence[int] = ()
    temperatures_c: dict[str, float] = field(default_factory=dict)
    rails_mw: dict[str, int] = field(default_factory=dict)

    @property
    def board_w(self) -> float | None:
        """Power of the module's input, W; None where its rails are not told."""
        if MODULE_RAIL in self.rails_mw:
            return self.rails_mw[MODULE_RAIL] / 1000
        if all(rail in self.rails_mw for rail in AGX_RAILS):
            return sum(self.rails_mw[rail] for rail in AGX_RAILS) / 1000
        return None


def parse_line(line: str) -> Sample | None:
    """A line of tegrastats; None of a line that is none."""
    text = " ".join(_DATE.sub("", line.strip()).split())
    ram = _RAM.search(text)
    if ram is None:
        return None
    cpu, emc, gpu = _CPU.search(text), _EMC.search(text), _GPU.search(text)
    cores = [_CORE.match(core.strip()) for core in cpu[1].split(",")] if cpu else []
    heat = {name: float(value) for name, value in _HEAT.findall(text)}
    return Sample(
        ram_mb=int(ram[1]),
        ram_total_mb=int(ram[2]),
        cpu_percent=[int(core[1]) if core else None for core in cores],
        emc_percent=int(emc[1]) if emc else None,
        gpu_percent=int(gpu[1]) if gpu and gpu[1] else None,
        gpu_mhz=[int(clock) for clock in gpu[2].split(",")] if gpu and gpu[2] else [],
        temperatures_c={name: value for name, value in heat.items() if value != OFF_C},
        rails_mw={name: int(now) for name, now, _, _ in _RAIL.findall(_without_memory(text))},
    )


def _without_memory(text: str) -> str:
    """A line without the fields of memory, whose figures look like those of a rail that tells no unit."""
    return re.sub(r"\b(RAM|SWAP|IRAM) \d+/\d+[kM]B(\s*\([^)]*\))?", "", text)


def summarise_lines(lines: Iterable[str]) -> dict[str, Any]:
    """Power, memory and heat over some lines, and how many could not be read.

    Returns:
        ``n_samples``, ``n_unparsed_lines``, ``board_w_mean``, ``board_w_max``, ``ram_mb_max``, ``gpu_percent_mean``,
        ``temperatures_c_max`` by sensor, ``rails_mw_mean`` by rail; None where no line tells.
    """
    told = [line for line in lines if line.strip()]
    samples = [sample for sample in map(parse_line, told) if sample is not None]
    power = [sample.board_w for sample in samples if sample.board_w is not None]
    gpu = [sample.gpu_percent for sample in samples if sample.gpu_percent is not None]
    ram = [sample.ram_mb for sample in samples if sample.ram_mb is not None]
    rails = dict.fromkeys(name for sample in samples for name in sample.rails_mw)
    sensors = dict.fromkeys(name for sample in samples for name in sample.temperatures_c)
    return {
        "n_samples": len(samples),
        "n_unparsed_lines": len(told) - len(samples),
        "board_w_mean": float(np.mean(power)) if power else None,
        "board_w_max": max(power) if power else None,
        "ram_mb_max": max(ram) if ram else None,
        "gpu_percent_mean": float(np.mean(gpu)) if gpu else None,
        "rails_mw_mean": {
            rail: float(np.mean([s.rails_mw[rail] for s in samples if rail in s.rails_mw]))
            for rail in rails
        },
        "temperatures_c_max": {
            sensor: max(s.temperatures_c[sensor] for s in samples if sensor in s.temperatures_c)
            for sensor in sensors
        },
    }
