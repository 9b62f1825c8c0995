"""Files of tensors that are larger than memory: written image by image, mapped from disk, hashed in pieces.

They are safetensors files like all others, with the tensor that is streamed behind all that are held.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..base.errors import PackError
from ..base.files import atomic_path

TYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32, "F64": np.float64}
CHUNK = 2**20  # bytes that are read at once
UNKNOWN_SHA256 = "0" * 64  # in its place until all bytes were seen
ALIGNMENT = 8


def write_streamed(
    out: str | Path,
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int, ...],
    rows: Iterable[NDArray[np.uint8]],
    metadata: Mapping[str, str],
) -> None:
    """Write tensors of which one is as large as it likes; only a row of it is held at a time.

    Args:
        out: The file, with the same checksum as ``write_pack`` gives it.
        arrays: The other tensors by name.
        name: Name of the streamed tensor, uint8.
        shape: Its shape; the first axis counts the rows.
        rows: Its rows in order, each of ``shape[1:]``.
        metadata: Strings; ``sha256`` is put to them.

    Raises:
        PackError: There are more or fewer rows.
    """
    held = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    order = sorted(held, key=lambda key: (-held[key].dtype.itemsize, key))  # all of them aligned
    head = _header(held, order, name, shape, metadata)
    with atomic_path(out) as file:
        with file.open("wb") as handle:
            handle.write(len(head).to_bytes(8, "little") + head)
            for key in order:
                handle.write(held[key].data)
            digest = _digest(held, name, _written(handle, rows, shape, out))
            mark = b'"sha256":"'
            handle.seek(8 + head.index(mark + UNKNOWN_SHA256.encode()) + len(mark))
            handle.write(digest.encode())
        file.chmod(0o644)


def _header(
    held: Mapping[str, NDArray[Any]],
    order: list[str],
    name: str,
    shape: tuple[int, ...],
    metadata: Mapping[str, str],
) -> bytes:
    """The header of the file: names, types, shapes and places of all tensors."""
    types = {np.dtype(kind): title for title, kind in TYPES.items()}
    entries: dict[str, Any] = {
        "__metadata__": dict(sorted({**metadata, "sha256": UNKNOWN_SHA256}.items()))
    }
    start = 0
    tensors = [(key, types[held[key].dtype], held[key].shape, held[key].nbytes) for key in order]
    for key, kind, sides, size in [*tensors, (name, "U8", shape, math.prod(shape))]:
        entries[key] = {"dtype": kind, "shape": sides, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % ALIGNMENT)


def _written(
    handle: BinaryIO,
    rows: Iterable[NDArray[np.uint8]],
    shape: tuple[int, ...],
    out: str | Path,
) -> Iterator[NDArray[np.uint8]]:
    """Write rows as they come, and hand them on."""
    count = 0
    for row in rows:
        block = np.ascontiguousarray(row)
        if block.shape != shape[1:] or count == shape[0]:
            fix = f"{shape[0]} rows of {shape[1:]} were announced"
            raise PackError(out, f"row {count}", block.shape, fix)
        handle.write(block.data)
        yield block
        count += 1
    if count != shape[0]:
        raise PackError(out, "rows", count, f"{shape[0]} were announced")


def _digest(held: Mapping[str, NDArray[Any]], name: str, rows: Iterable[NDArray[np.uint8]]) -> str:
    """SHA-256 over the bytes of all tensors, in the order of their names; takes all rows."""
    digest = hashlib.sha256()
    for key in sorted([*held, name]):
        digest.update(key.encode())
        for block in rows if key == name else [held[key]]:
            digest.update(block.data)
    return digest.hexdigest()


def read_header(path: str | Path) -> tuple[dict[str, Any], int]:
    """What a file says of its tensors, by name, and where their bytes begin."""
    with Path(path).open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        entries = json.loads(handle.read(length))
    entries.pop("__metadata__", None)
    return entries, 8 + length


def map_tensor(path: str | Path, name: str) -> NDArray[Any]:
    """A tensor as it lies in its file; pages are read when they are asked for, and what is written to it is lost."""
    entries, start = read_header(path)
    entry = entries[name]
    offset = start + entry["data_offsets"][0]
    return np.memmap(path, TYPES[entry["dtype"]], "c", offset, tuple(entry["shape"]))


def file_checksum(path: str | Path) -> str:
    """SHA-256 over the bytes of the tensors of a file, in the order of their names, without holding them."""
    entries, start = read_header(path)
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        for name in sorted(entries):
            digest.update(name.encode())
            first, end = entries[name]["data_offsets"]
            handle.seek(start + first)
            for place in range(first, end, CHUNK):
                digest.update(handle.read(min(CHUNK, end - place)))
    return digest.hexdigest()
