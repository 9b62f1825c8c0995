"""What else a machine does while calls are timed: evidence for a record, never a condition of a measurement.

Boards, containers and other kernels hide their clock, their counters or their cores; what cannot be read is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psutil

from ..base.records import usable_cores

Value = TypeVar("Value")
HIDDEN = (
    OSError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    psutil.Error,
)


def read_or_none(read: Callable[[], Value]) -> Value | None:
    """What a counter says, or None where the machine does not tell it."""
    try:
        return read()
    except HIDDEN:
        return None


def clock_mhz() -> float | None:
    """The processor's clock where the machine tells it."""
    return read_or_none(lambda: float(psutil.cpu_freq().current)) or None


def _untold() -> int:
    return 0


# Time of this thread on the processor, ns; always 0 where the machine does not tell it.
processor_ns = _untold if read_or_none(time.thread_time_ns) is None else time.thread_time_ns


def machine_seconds() -> tuple[float, float]:
    """Busy seconds of all processors, and of this process."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    times_of_process = psutil.Process().cpu_times()
    return sum(times) - guest - idle, times_of_process.user + times_of_process.system


def load_average() -> float | None:
    """Mean number of runnable programs over a minute."""
    return read_or_none(lambda: os.getloadavg()[0])


class Watch:
    """What the machine does while calls are counted; it watches from when it is made."""

    def __init__(self) -> None:
        self.clocks: list[float | None] = [clock_mhz()]
        self.load, self.start = load_average(), time.perf_counter()
        self.seconds = read_or_none(machine_seconds)

    def look(self) -> None:
        """Note the processor's clock."""
        self.clocks.append(clock_mhz())

    def evidence(self) -> dict[str, Any]:
        """Load of this process and of others since the start, cores; the clock, MHz; None what is hidden."""
        wall = time.perf_counter() - self.start
        before, after = self.seconds, read_or_none(machine_seconds)
        busy = foreign = None
        if before is not None and after is not None and wall > 0:
            busy = (after[1] - before[1]) / wall
            foreign = max(0.0, (after[0] - before[0]) / wall - busy)
        return {
            "wall_s": wall,
            "foreign_cores_busy": foreign,
            "usable_cores": usable_cores(),
            "own_cores_busy": busy,
            "load_average_before": self.load,
            "load_average_after": load_average(),
            "clock_mhz": self.clocks,
        }
