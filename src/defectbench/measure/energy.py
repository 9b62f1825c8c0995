"""Energy as the machine tells it, joules; a machine that does not tell says why.

Linux keeps a counter of each processor package below ``/sys/class/powercap`` (RAPL), NVIDIA's library one of each GPU.
Both count all that runs on them, so that energy is read beside that of a pause. Another source, such as the text that
``tegrastats`` prints on a Jetson, is one more function of ``SOURCES`` that returns meters.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(
    r"intel-rapl:\d+"
)  # of AMD's processors, too; parts of a package have a second number
NVML = "pynvml"
STANDS_STILL = "its counter stands still, as in a virtual machine"


class Meter(Protocol):
    """A counter of energy.

    Attributes:
        name: What it is of.
    """

    name: str

    def joules(self) -> float:
        """Energy since the meter was made."""
        ...


@dataclass
class PackageMeter:
    """The counter of a processor package, which begins anew where it is full.

    It is read at least every few seconds, within which it cannot come round twice.

    Args:
        name: What the kernel calls it.
        counter: File of the counter, microjoules.
        full: Microjoules after which it begins anew.
    """

    name: str
    counter: Path
    full: int

    def __post_init__(self) -> None:
        self.last, self.total = read_number(self.counter), 0

    def joules(self) -> float:
        """Energy since the meter was made."""
        now = read_number(self.counter)
        self.total += now - self.last + (self.full if now < self.last else 0)
        self.last = now
        return self.total / 1e6


@dataclass
class GpuMeter:
    """The counter of a GPU.

    Args:
        name: Its number.
        read: Millijoules since its driver was loaded.
    """

    name: str
    read: Callable[[], int]

    def __post_init__(self) -> None:
        self.first = self.read()

    def joules(self) -> float:
        """Energy since the meter was made."""
        return (self.read() - self.first) / 1e3


def read_number(path: Path) -> int:
    """The whole number in a file of the kernel."""
    return int(path.read_text(encoding="utf-8"))


def find_packages(root: Path = POWERCAP) -> tuple[list[Meter], str]:
    """Meters of all processor packages; where one is not told none is, and the reason.

    Packages alone are counted: their parts are within them, and the zone of a whole board (``psys``) holds them.
    """
    zones = sorted(zone for zone in _entries(root) if PACKAGE.fullmatch(zone.name))
    meters: list[Meter] = []
    for zone in zones:
        try:
            name = (zone / "name").read_text(encoding="utf-8").strip()
            if name.startswith("package"):
                full = read_number(zone / "max_energy_range_uj")
                meters.append(PackageMeter(name, zone / "energy_uj", full))
        except PermissionError as error:
            return [], f"{error.filename} may be read by root alone"
        except (OSError, ValueError) as error:
            return [], f"{zone} cannot be read: {error}"
    return meters, "" if meters else f"{root} has no processor package"


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def find_gpus() -> tuple[list[Meter], str]:
    """Meters of all GPUs that NVIDIA's library tells of; where there is none, the reason."""
    try:
        nvml: Any = importlib.import_module(NVML)
    except ImportError:
        return [], f"{NVML} is not installed"
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
        meters: list[Meter] = [
            GpuMeter(f"gpu-{n}", lambda gpu=gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
            for n, gpu in enumerate(handles)
        ]
    except nvml.NVMLError as error:
        return [], f"{NVML}: {error}"
    return meters, "" if meters else f"{NVML} finds no GPU"


SOURCES: Mapping[str, Callable[[], tuple[list[Meter], str]]] = {
    "rapl": find_packages,
    "nvml": find_gpus,
}


def find_meters(
    sources: Mapping[str, Callable[[], tuple[list[Meter], str]]] = SOURCES,
) -> tuple[list[Meter], dict[str, str]]:
    """All meters of the machine, and by source why it has none."""
    meters: list[Meter] = []
    absent = {}
    for name, find in sources.items():
        there, reason = find()
        meters += there
        if reason:
            absent[name] = reason
    return meters, absent


def read_joules(meters: Sequence[Meter]) -> dict[str, float]:
    """Energy by meter since each was made."""
    return {meter.name: meter.joules() for meter in meters}
