"""Files that are kept compressed: found, hashed and read as what they hold."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...base.files import atomic_write_bytes, sha256_file

ENDING = ".gz"


def kept_file(path: Path) -> Path:
    """A file as it is, or compressed beside its place where only that is there."""
    packed = path.with_name(path.name + ENDING)
    return packed if packed.is_file() and not path.is_file() else path


def content_sha256(path: Path) -> str:
    """SHA-256 of what a file holds, unpacked where it is compressed."""
    if path.suffix != ENDING:
        return sha256_file(path)
    return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()


def keep_compressed(source: Path, folder: Path, name: str = "") -> Path:
    """Compress a file into a folder; equal content gives equal bytes."""
    target = folder / f"{name or source.name}{ENDING}"
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(target, gzip.compress(source.read_bytes(), mtime=0))
    return target


@contextmanager
def unpacked(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Files of which the compressed ones are unpacked for a while."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, path in files.items():
            paths[name] = path
            if path.suffix == ENDING:
                paths[name] = Path(folder) / f"{name}-{path.name.removesuffix(ENDING)}"
                paths[name].write_bytes(gzip.decompress(path.read_bytes()))
        yield paths
