"""Atomic outputs, locks and hashes: an output is whole or it is not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import BusyError, ConfigError, DiskFullError


def _sibling(path: Path) -> Path:
    """A hidden temporary name beside ``path`` that keeps its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _disk_full_named(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        free = shutil.disk_usage(path.parent).free
        fix = "make room on this disk, then run the same command again"
        raise DiskFullError(path, "free bytes", free, fix) from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full.

    Libraries written in Rust, such as safetensors, raise errors of their own that only name the number.
    """
    numbers = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError) and error.errno in numbers:
        return True
    return any(f"(os error {number})" in str(error) for number in numbers)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file name; on success it is synced and renamed to ``path``.

    Args:
        path: The file to make. Its folder is made if it is missing.

    Raises:
        DiskFullError: The disk has no room. No partial file stays behind.

    Example:
        >>> with atomic_path("out.txt") as part:  # doctest: +SKIP
        ...     part.write_text("whole or not at all")
    """
    target = Path(path)
    part = _sibling(target)
    try:
        with _disk_full_named(target):
            yield part
            _fsync(part)
            part.replace(target)
            _fsync(target.parent)
    finally:
        _remove(part)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it takes the place of ``path``.

    Args:
        path: The folder to make; a folder that is there is replaced as a whole.

    Raises:
        DiskFullError: The disk has no room. No partial folder stays behind.
    """
    target = Path(path)
    part, old = _sibling(target), _sibling(target)
    try:
        with _disk_full_named(target):
            part.mkdir(parents=True)
            yield part
            if target.exists():
                target.replace(old)
            part.replace(target)
            _fsync(target.parent)
    finally:
        for left in (part, old):
            if left.exists():
                _remove(left)


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is whole or not there."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` so that the file is whole or not there."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path``; NaN and infinity are refused."""
    atomic_write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: The file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(path, "file", "nothing", "run the rule that makes it first") from error
    except ValueError as error:
        raise ConfigError(path, "content", str(error), "delete it and make it again") from error


def files_below(folder: str | Path) -> list[Path]:
    """Files in a folder at any depth, sorted; links are followed, unless they lead back to a folder above them.

    Raises:
        ConfigError: A link leads nowhere, or a folder may not be read.
    """
    return sorted(_below(Path(folder), frozenset()))


def _below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    chain = above | {os.path.realpath(folder)}
    try:
        paths = list(folder.iterdir())
    except PermissionError as error:
        raise ConfigError(folder, "folder", "no right to read it", "give that right") from error
    for path in paths:
        if path.is_dir():
            if not (path.is_symlink() and os.path.realpath(path) in chain):
                yield from _below(path, chain)
        elif path.is_file():
            yield path
        elif path.is_symlink() and not path.name.startswith(
            "."
        ):  # hidden ones are locks of editors
            fix = "the link leads nowhere: mount or mend what it leads to, or remove it"
            raise ConfigError(path, "link", os.fspath(path.readlink()), fix)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Hold ``path`` as a lock file; the lock dies with the process.

    Raises:
        BusyError: Another process holds it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise BusyError(target, "held by", holder, "wait for that run or stop it") from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()}\n")
        handle.flush()
        yield
