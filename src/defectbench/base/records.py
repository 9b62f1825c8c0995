"""Records: JSON beside an artifact, with its figures and how they came about."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .files import atomic_write_json, read_json, sha256_file
from .record_fields import AGAIN, Fields, check_fields

SCHEMA = "defectbench/1"
ABSENT = "absent_because"  # in the place of scores, in the record of a control that a set has no grounds for
_PACKAGES = (
    "defectbench",
    "torch",
    "onnxruntime",
    "onnx",
    "numpy",
    "ultralytics",
    "faster-coco-eval",
)


def cpu_model() -> str:
    """The processor as its maker calls it; empty where the machine does not tell."""
    lines = (_text("/proc/cpuinfo") or "").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# Instructions that kernels of arithmetic are chosen by, so that another set of them rounds otherwise.
_VECTOR = re.compile(r"(f16c|fma|avx\w*|amx\w*|asimd\w*|sve\w*|neon|i8mm|bf16)")
_KIND = ("vendor_id", "cpu family", "model", "stepping", "CPU implementer", "CPU part")


def cpu_kind() -> str | None:
    """What tells one make of processor from another beyond its name: family, model and vector instructions.

    A host may call all its processors the same. None where the machine does not tell.
    """
    first = (_text("/proc/cpuinfo") or "").split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    words = [f"{name} {fields[name]}" for name in _KIND if name in fields]
    words += sorted(flag for flag in flags if _VECTOR.fullmatch(flag))
    return ", ".join(words) or None


def machine_key() -> str | None:
    """A short key that tells two machines of one kind apart, and names neither; None where the machine does not tell.

    In a container without an identity of its own it is that of the running system, which changes when it starts anew.
    """
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        identity = (_text(path) or "").strip()
        if identity not in ("", "uninitialized"):
            return hashlib.sha256(f"defectbench {identity}".encode()).hexdigest()[:8]
    return None


def _text(path: str) -> str | None:
    """What a file of the machine says; None where it is not there or may not be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _memory_gib() -> float | None:
    """Memory of the machine; None where it does not tell."""
    try:
        bytes_there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(bytes_there / 2**30, 1) if bytes_there > 0 else None


def usable_cores() -> int | None:
    """Cores that this process may use; None where the machine does not tell."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count()


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def hardware_card() -> dict[str, Any]:
    """The machine that this process runs on: processor, cores, memory (GiB), board, key; what it hides is None."""
    board = _text("/proc/device-tree/model")
    return {
        "cpu": cpu_model(),
        "cpu_kind": cpu_kind(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "architecture": platform.machine(),
        "board": board.strip("\0 \n") if board else None,
        "machine": machine_key(),
    }


@cache
def software_card() -> dict[str, Any]:
    """Versions of Python, the kernel and the packages that a figure can depend on."""
    packages = {name: _installed(name) for name in _PACKAGES}
    return {
        "python": sys.version.split()[0],
        "kernel": platform.release(),
        **{name: number for name, number in packages.items() if number},
    }


def write_record(
    path: str | Path,
    kind: str,
    figures: Mapping[str, Any],
    inputs: Mapping[str, str | Path],
    seconds: float | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write one record.

    Args:
        path: JSON file to write (atomically).
        kind: What it records: ``train``, ``accuracy``, ``complexity``, ``latency``, ...
        figures: The measured values; each key ends in its unit.
        inputs: Files that the figures depend on, stored with their SHA-256.
        seconds: Wall time that the measurement took.
        extra: Further top-level fields, such as settings.

    Returns:
        The record as written.

    Raises:
        ConfigError: An input file is missing, or is the file to write.
    """
    refuse_own_inputs(path, inputs.values())
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": kind,
        "figures": dict(figures),
        "inputs": {name: _input(Path(file)) for name, file in inputs.items()},
        "software": software_card(),
        "hardware": hardware_card(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None if seconds is None else round(seconds, 3),
        **(extra or {}),
    }
    atomic_write_json(path, record)
    return record


def refuse_own_inputs(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Stop before a result takes the place of what it is made from.

    Args:
        path: The file to write.
        inputs: What is read for it.

    Raises:
        ConfigError: It is one of them.
    """
    for file in map(Path, inputs):
        if Path(path).exists() and file.exists() and file.samefile(path):
            fix = "it would replace what it is made from: name another file"
            raise ConfigError(path, "output", "one of its inputs", fix)


def _input(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ConfigError(path, "input file", "nothing", "run the rule that makes it first")
    return {"path": path.as_posix(), "sha256": sha256_file(path)}


def record_beside(path: str | Path) -> Path:
    """Where the record of a file lies that is no record itself: ``predictions.record.json``."""
    return Path(path).with_suffix(".record.json")


def read_record(path: str | Path, kind: str) -> dict[str, Any]:
    """Read a record and check its schema, its kind and the types of its fields.

    Returns:
        The record. A field that it lacks is a named error where it is asked for.

    Raises:
        ConfigError: The file is missing, of another schema or of another kind, or a field is damaged.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise ConfigError(path, "content", type(record).__name__, AGAIN)
    for field, expected in (("schema", SCHEMA), ("kind", kind)):
        if record.get(field) != expected:
            fix = f"a record with {field} {expected!r} is needed here; make it again"
            raise ConfigError(path, field, record.get(field), fix)
    check_fields(path, record)
    return Fields.of(record, path)
