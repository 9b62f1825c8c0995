"""What a board says of itself, as text: read there, understood on the desktop. Part of the file that runs on boards."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

TEXTS = {
    "release": "/etc/nv_tegra_release",
    "model": "/proc/device-tree/model",
    "system": "/etc/os-release",
    "processor": "/proc/cpuinfo",
    "memory": "/proc/meminfo",
}
PROGRAMS = {  # of the board itself; none is asked for more rights than the user has
    "power_mode": ["nvpmodel", "-q"],
    "clocks": ["jetson_clocks", "--show"],
}
TRTEXEC = ("trtexec", "/usr/src/tensorrt/bin/trtexec")
MODULES = ("numpy", "onnxruntime", "openvino", "ncnn", "tensorrt")
X86_ONLY = ("GenuineIntel", "AuthenticAMD")
SAMPLE_MS = 500  # between two lines of tegrastats
LONGEST_TEXT = 20_000


def read_text(path: str | Path) -> str | None:
    """What a file says; None where it is not there."""
    try:
        with Path(path).open("rb") as handle:
            return handle.read(LONGEST_TEXT).decode("utf-8", "replace")
    except OSError:
        return None


def ask(command: list[str]) -> str | None:
    """What a program of the board says, both streams; None where there is no such program, or it hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.decode("utf-8", "replace")[:LONGEST_TEXT]


def module_version(name: str) -> str | None:
    """Version of a module; None of one that is not there. What packages tell is asked first: imports take seconds."""
    try:
        return version(name)
    except PackageNotFoundError:
        return imported_version(name)


def imported_version(name: str) -> str | None:
    """What a module says of itself, such as one that a system's own packages brought."""
    try:
        module = importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a broken install is as good as none, and any error may come
        return None
    return str(getattr(module, "__version__", "unknown"))


def trtexec_path() -> str | None:
    """TensorRT's own program; None where there is none."""
    paths = [shutil.which(name) for name in TRTEXEC]
    return next((path for path in paths if path), None)


def is_emulated() -> bool:
    """Whether another processor plays this one: its times would say nothing.

    Under qemu's user mode the kernel tells the emulator's name and its own processor.
    """
    status, processor = read_text("/proc/self/status") or "", read_text("/proc/cpuinfo") or ""
    is_arm = platform.machine().startswith(("aarch64", "arm"))
    has_x86 = any(name in processor for name in X86_ONLY)
    return "qemu" in status.partition("\n")[0] or (is_arm and has_x86)


def identity() -> dict[str, Any]:
    """Texts of the board, versions of what runs models on it, and whether it is emulated."""
    identifier = read_text("/etc/machine-id") or platform.node()
    return {
        "texts": {name: read_text(path) for name, path in TEXTS.items()},
        "programs": {name: ask(command) for name, command in PROGRAMS.items()},
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "cores": usable_cores(),
        "modules": {name: module_version(name) for name in MODULES},
        "trtexec": trtexec_path(),
        "emulated": is_emulated(),
        "machine": hashlib.sha256(identifier.strip().encode()).hexdigest()[:12],
    }


def graphics() -> str:
    """What a plan is built for beside its version: names of the NVIDIA cards, or else the board's model."""
    cards = ask(["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"])
    return (cards or read_text(TEXTS["model"]) or "").strip("\0\n ")


def usable_cores() -> int | None:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count()


def clock_mhz() -> float | None:
    """Mean clock of the processors; None where the board does not tell."""
    folder = Path("/sys/devices/system/cpu")
    texts = [read_text(path) for path in folder.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
    values = [int(text) / 1000 for text in texts if text and text.strip().isdigit()]
    return sum(values) / len(values) if values else None


def temperatures_c() -> dict[str, float]:
    """Temperature by thermal zone, degrees Celsius."""
    values = {}
    for zone in sorted(Path("/sys/class/thermal").glob("thermal_zone*")):
        kind, text = read_text(zone / "type"), read_text(zone / "temp")
        try:
            values[(kind or zone.name).strip()] = int(text or "") / 1000
        except ValueError:
            continue
    return values


def busy_seconds() -> float | None:
    """Busy seconds of all processors since they were started; None where the board does not tell."""
    first = (read_text("/proc/stat") or "").partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu":
        return None
    ticks = [int(value) for value in first[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class BoardWatch:
    """What the board does while calls are counted: clocks, heat, other programs; on a Jetson its power."""

    def __init__(self) -> None:
        self.clocks, self.start, self.busy = [clock_mhz()], time.perf_counter(), busy_seconds()
        self.seconds_of_ours, self.hot = sum(os.times()[:2]), temperatures_c()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the watch ends
        self.process = None
        if shutil.which("tegrastats"):
            self.process = subprocess.Popen(
                ["tegrastats", "--interval", str(SAMPLE_MS)],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.DEVNULL,
            )

    def look(self) -> None:
        """Note the clock of the processors."""
        self.clocks.append(clock_mhz())

    def stop(self) -> None:
        """End what was started."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def evidence(self) -> dict[str, Any]:
        """What was seen since the start; None what is hidden."""
        has_power = self.process is not None
        self.stop()
        wall, after = time.perf_counter() - self.start, busy_seconds()
        cores_of_ours = (sum(os.times()[:2]) - self.seconds_of_ours) / wall
        foreign = None
        if self.busy is not None and after is not None:
            foreign = max(0.0, (after - self.busy) / wall - cores_of_ours)
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").splitlines()
        return {
            "wall_s": wall,
            "foreign_cores_busy": foreign,
            "own_cores_busy": cores_of_ours,
            "usable_cores": usable_cores(),
            "clock_mhz": self.clocks,
            "temperatures_before_c": self.hot,
            "temperatures_after_c": temperatures_c(),
            "power_mode": ask(PROGRAMS["power_mode"]),
            "tegrastats": lines if has_power else None,
        }
