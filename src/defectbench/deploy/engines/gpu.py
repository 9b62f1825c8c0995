"""The GPU that there is, as its driver tells: asked without a framework, so that a list of engines costs nothing."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # of the driver's attributes: the two numbers of the compute capability
_LONGEST_NAME = 256


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: What its maker calls it.
        compute_capability: Its generation, such as ``8.7``.
    """

    name: str
    compute_capability: str


@cache
def find_gpu() -> Gpu | None:
    """The first GPU that this process may use; None where there is none."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    return ask_driver(driver)


def ask_driver(driver: Any) -> Gpu | None:
    """The first GPU of a driver.

    Args:
        driver: Its library, by the names of the CUDA driver interface.

    Returns:
        The GPU; None where the driver finds none or cannot be asked.
    """
    count, device = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_LONGEST_NAME)
    major, minor = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return None
    refused = [
        driver.cuDeviceGet(ctypes.byref(device), 0),
        driver.cuDeviceGetName(name, _LONGEST_NAME, device),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
    ]
    if any(refused):
        return None
    told = name.value.decode("utf-8", errors="replace").strip()
    return Gpu(told, f"{major.value}.{minor.value}")
