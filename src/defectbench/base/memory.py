"""A device, or the machine itself, without room: the words of many libraries as one named error."""

from __future__ import annotations

from pathlib import Path

from .errors import DeviceMemoryError

_NO_ROOM = (
    "out of memory",
    "outofmemory",
    "cudaerrormemoryallocation",
    "failed to allocate memory",  # onnxruntime
    "can't allocate memory",  # torch on a processor
    "cannot allocate memory",  # the operating system
    "unable to allocate",  # numpy
    "bad_alloc",  # the standard library of C++
)
FIX = "end what else holds memory of the device, or take a smaller model or batch"


def is_out_of_memory(told: str) -> bool:
    """Whether a library says that a device has no room.

    Example:
        >>> is_out_of_memory("CUDA out of memory. Tried to allocate 2.00 GiB"), is_out_of_memory("no such operator")
        (True, False)
    """
    words = told.lower()
    return any(sign in words for sign in _NO_ROOM)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error is that of a device without room; Python's own says nothing at times.

    Example:
        >>> lacks_memory(MemoryError()), lacks_memory(RuntimeError("std::bad_alloc")), lacks_memory(ValueError("no"))
        (True, True, False)
    """
    return isinstance(error, MemoryError) or is_out_of_memory(str(error))


def memory_refusal(path: str | Path, field: str, told: str, fix: str = FIX) -> DeviceMemoryError:
    """What a library says of a device without room, as one named error.

    Args:
        path: What was worked on.
        field: What was done.
        told: Its words; may be empty.
        fix: What the user can do about it.
    """
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    signs = [line for line in lines if is_out_of_memory(line)]
    return DeviceMemoryError(path, field, (signs or lines or ["out of memory"])[0], fix)
