"""Whether two records come from machines on which equal work gives equal bits.

Equal work gives equal bits on one make of processor with the same libraries and as many threads; elsewhere rounding
differs, and training makes another network of the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The suite is what is compared, and the kernel of the system computes nothing.
_NO_MATTER = ("defectbench", "kernel")
_HARDWARE = {"cpu": "processor", "cpu_kind": "kind of processor", "architecture": "architecture"}


def machine_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between the machines of two records and can change a bit.

    Args:
        before: A record.
        after: The record of the same thing, made again.

    Returns:
        Sentences such as ``torch 2.12.0, now 2.13.0``; none where equal work gives equal bits.

    Example:
        >>> card = {"hardware": {"cpu": "A", "architecture": "x86_64"}, "software": {"torch": "2.13"}, "figures": {}}
        >>> machine_differences(card, {**card, "software": {"torch": "2.14"}})
        ['torch 2.13, now 2.14']
    """
    pairs = [
        (title, _of(before, "hardware", key), _of(after, "hardware", key))
        for key, title in _HARDWARE.items()
    ]
    packages = sorted({*before.get("software", {}), *after.get("software", {})} - {*_NO_MATTER})
    pairs += [(n, _of(before, "software", n), _of(after, "software", n)) for n in packages]
    pairs.append(("threads", _of(before, "figures", "threads"), _of(after, "figures", "threads")))
    pairs.append(("device", before.get("device"), after.get("device")))
    return [f"{title} {_told(old)}, now {_told(new)}" for title, old, new in pairs if old != new]


def _of(record: Mapping[str, Any], part: str, key: str) -> Any:
    return record.get(part, {}).get(key)


def _told(value: Any) -> Any:
    return "not recorded" if value is None else value
