"""Whether two runs of a study have made the same, byte for byte, apart from what tells a time, a date or a machine.

Compared are data, weights, model files, predictions, records and the tables of the report (as CSV, of which its other
forms are made). What is masked in records and tables is a list of names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

# Fields of records and columns of tables that tell a time, a date, a speed, a use of memory or a machine, which have no
# value to repeat; and hashes of files that hold such fields, which are compared themselves.
MASKED = (
    *("created", "seconds", "hardware", "software", "device"),
    *("peak_rss_mib", "peak_rss_model_mib"),
    *("train_s", "images_per_s", "fps", "latency_valid", "latency_invalid_because"),
    *("latency_ms_p50", "latency_ms_p50_low", "latency_ms_p50_high"),
    *("latency_ms_p90", "latency_ms_p99"),
    *("ratio_to_reference", "ratio_to_reference_low", "ratio_to_reference_high"),
    *("sha256", "certificate_sha256"),
)
# Files and folders that hold times alone (.mirror.json: those of a user's files), or are kept for a resume.
LEFT_OUT = ("logs", "latency", "checkpoint", ".lock", ".mirror.json", ".snakemake_timestamp")
TABLE = ".csv"  # what is compared of a report


def contents(results: Path) -> dict[str, bytes]:
    """What is compared of a folder of results, by path.

    Args:
        results: The folder, of one study and its data.

    Returns:
        Bytes behind the mask. A file that cannot be read as what its name says is given as it is.
    """
    names = (path.relative_to(results) for path in sorted(results.rglob("*")) if path.is_file())
    return {name.as_posix(): _masked(results / name) for name in names if _is_compared(name)}


def differences(whole: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Files that one of two runs lacks, or that differ."""
    return sorted(name for name in {*whole, *other} if whole.get(name) != other.get(name))


def digest(files: dict[str, bytes]) -> str:
    """One hash of all that is compared."""
    total = hashlib.sha256()
    for name, content in sorted(files.items()):
        total.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _is_compared(name: Path) -> bool:
    if any(part.endswith(LEFT_OUT) for part in name.parts):
        return False
    return "report" not in name.parts or name.suffix == TABLE


def _masked(path: Path) -> bytes:
    content = path.read_bytes()
    mask = _MASKS.get(path.suffix)
    try:
        return mask(content) if mask else content
    except ValueError:
        return content


def _masked_header(content: bytes) -> bytes:
    """A file of tensors, whose header may hold the hash of a record."""
    start = 8 + int.from_bytes(content[:8], "little")
    return _masked_record(content[8:start]) + content[start:]


def _masked_table(content: bytes) -> bytes:
    rows = csv.DictReader(io.StringIO(content.decode()))
    return json.dumps([_without_masked(row) for row in rows]).encode()


def _masked_record(content: bytes) -> bytes:
    return json.dumps(_without_masked(json.loads(content))).encode()


def _without_masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_masked(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_masked(item) for name, item in value.items() if name not in MASKED}
    return value


_MASKS = {".json": _masked_record, ".csv": _masked_table, ".safetensors": _masked_header}
