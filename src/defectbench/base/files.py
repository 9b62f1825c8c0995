"""Atomic outputs, locks and hashes: an output is whole or it is not there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import (
    BusyError,
    ConfigError,
    DefectBenchError,
    DiskFullError,
    FileAccessError,
    MeasurementError,
)

_RIGHTS = "get the right to use it, or name another place"
_FIXES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "this disk is read only; name another place",
    errno.ENOENT: "it is not there, or its folder was removed meanwhile; make it again, then repeat the command",
    errno.ENOTDIR: "a file stands where a folder is needed; move the file away or name another place",
    errno.EISDIR: "a folder stands where a file is needed; move the folder away or name a file",
    errno.EEXIST: "something stands there already; move it away or name another place",
    errno.ENOTEMPTY: "something was put into this folder meanwhile; repeat the command",
    errno.ENAMETOOLONG: "a name may have 255 bytes and a path 4,096; use shorter ones",
    errno.ELOOP: "a link leads back to itself; put in its place what it should lead to",
    errno.EMFILE: "more files are open than are allowed; raise the limit: ulimit -n 4096",
    errno.EIO: "the disk cannot read or write it; check the disk",
}
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)
LONGEST_NAME = 255  # bytes, of a file on the file systems of today
POINTER = b"version https://git-lfs"  # begins what a clone without Git LFS has in place of a file
OF_POINTER = "get the file itself: git lfs pull"
MADE_BY_WORKFLOW = ".snakemake_timestamp"  # in a folder that Snakemake noted as an output
_SYSTEM_FOLDERS = {
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
_SYSTEM_FILES = {".ds_store", ".directory", ".localized", "thumbs.db", "desktop.ini"}
_SYSTEM_FILES |= {".gitkeep", ".gitignore", ".gitattributes"}
_SYSTEM_STARTS = ("._", ".#", ".~", ".nfs", ".fuse_hidden")  # of macOS, editors, network disks


def _sibling(path: Path) -> Path:
    """A hidden temporary name beside ``path`` that keeps its suffix, whatever the length of its name."""
    if not path.name:  # this folder, or the root
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = f".{uuid.uuid4().hex[:8]}.part{path.suffix}"
    room = max(0, LONGEST_NAME - 1 - len(os.fsencode(ending)))
    stem = os.fsencode(path.stem)[:room].decode(errors="ignore")
    return path.with_name(f".{stem}{ending}")


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fsync_folder(path: Path) -> None:
    """Sync a folder's list of names; some network and other file systems cannot, and some may not be read."""
    try:
        _fsync(path)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _remove(path: Path) -> None:
    """Clear away what is left; what cannot be cleared away stays, and hides no other error."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _refusals_named(target: Path, *parts: Path) -> Iterator[None]:
    """Name what the operating system refuses of an output; what it refuses of other files passes unchanged."""
    try:
        yield
    except Exception as error:
        number = error_number(error)
        if number is None:
            raise
        files = [Path(os.fsdecode(f)) for f in (getattr(error, "filename", None),) if f is not None]
        of_output = (target, *target.parents, *parts)
        is_within = any(part in file.parents for file in files for part in parts)
        if not is_disk_full(error) and files and not is_within and files[0] not in of_output:
            raise
        raise named_refusal(error, target) from error


def error_number(error: BaseException) -> int | None:
    """The operating system's number of an error; None where it is no error of the operating system.

    Libraries written in Rust, such as safetensors, raise errors of their own that only name the number.
    """
    if isinstance(error, OSError):
        return error.errno
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full."""
    return error_number(error) in (errno.ENOSPC, errno.EDQUOT)


def named_refusal(error: BaseException, where: str | Path | None = None) -> DefectBenchError:
    """What the operating system refuses, as an error with a remedy.

    Args:
        error: An ``OSError``, or another one with a number of the operating system.
        where: The file or folder that was used; that of the error by default.
    """
    told = getattr(error, "filename", None)
    path = (
        where if where is not None else os.fsdecode(told) if isinstance(told, str | bytes) else None
    )
    number = error_number(error)
    if is_disk_full(error):
        fix = "make room on this disk, then run the same command again"
        return DiskFullError(path or "disk", "free bytes", _free_bytes(path), fix)
    reason = os.strerror(number) if number is not None else str(error) or type(error).__name__
    fix = _FIXES.get(
        number or 0, "the operating system refuses it; mend that and repeat the command"
    )
    return FileAccessError(path or "file", "access", reason, fix)


def _free_bytes(path: str | Path | None) -> int | None:
    """Free bytes where a file was to be; None where nobody tells."""
    for folder in Path(path or ".").absolute().parents:
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def _refuse_no_plain_file(target: Path) -> None:
    """Stop before a device or a pipe is replaced by a file, as root would do with ``/dev/null``."""
    with suppress(OSError):  # what cannot be looked at is named where it is written
        is_special = target.exists() and not target.is_file() and not target.is_dir()
        if is_special or (target.is_symlink() and target.absolute().parent == Path("/dev")):
            fix = "name a plain file: an output takes the place of what is there"
            raise FileAccessError(target, "kind of file", "a device or a pipe", fix)


def refuse_others_files(path: Path, *signs: Path) -> None:
    """Stop before what a user keeps in the place of an output is replaced.

    Args:
        path: The file or folder that is to be made.
        signs: Files that show that it was made here: one of them is there beside or in what was.

    Raises:
        FileAccessError: Something is there, and no sign of it.
    """
    is_made = any(sign.is_file() for sign in (*signs, path / MADE_BY_WORKFLOW))
    first = next(path.iterdir(), None) if path.is_dir() else path if path.exists() else None
    if first is not None and not is_made:
        fix = "it would be replaced, and nothing shows that it was made here: name another place, or move it away"
        raise FileAccessError(path, "content", first.name, fix)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file name; on success it is synced and renamed to ``path``.

    Args:
        path: The file to make. Its folder is made if it is missing.

    Raises:
        DiskFullError: The disk has no room. No partial file stays behind.
        FileAccessError: The operating system refuses the file or its folder.

    Example:
        >>> with atomic_path("out.txt") as part:  # doctest: +SKIP
        ...     part.write_text("whole or not at all")
    """
    target = Path(path)
    _refuse_no_plain_file(target)
    with _refusals_named(target):
        part = _sibling(target)
    try:
        with _refusals_named(target, part):
            yield part
            _fsync(part)
            part.replace(target)
            _fsync_folder(target.parent)
    finally:
        _remove(part)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it takes the place of ``path``.

    Args:
        path: The folder to make; a folder that is there is replaced as a whole.

    Raises:
        DiskFullError: The disk has no room. No partial folder stays behind.
        FileAccessError: The operating system refuses the folder, or a file stands in its place.
    """
    target = Path(path)
    with _refusals_named(target):
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
        part, old = _sibling(target), _sibling(target)
    try:
        with _refusals_named(target, part, old):
            part.mkdir(parents=True)
            yield part
            _exchange(part, target, old)
            _fsync_folder(target.parent)
    finally:
        _remove(part)
        if target.exists():
            _remove(old)


def _exchange(part: Path, target: Path, old: Path) -> None:
    """Put a new folder in the place of the old one, which returns where that fails."""
    if not target.exists():
        part.replace(target)
        return
    target.replace(old)
    try:
        part.replace(target)
    except OSError:
        old.replace(target)
        raise


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
    """Read a JSON file, in any of the encodings of JSON, with a byte order mark or without.

    Raises:
        ConfigError: The file is missing or is not JSON.
        FileAccessError: The operating system refuses it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(path, "file", "nothing", "run the rule that makes it first") from error
    except OSError as error:
        raise named_refusal(error, path) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, "encoding", str(error), "save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, "content", str(error), "it is no JSON; make it again") from error


def is_system_folder(name: str) -> bool:
    """Whether a folder is hidden or made by a system: copies for its own use, which are no data.

    Example:
        >>> is_system_folder(".ipynb_checkpoints"), is_system_folder("@eaDir"), is_system_folder("line 2")
        (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_system_file(name: str) -> bool:
    """Whether a system or an editor put a file there; other names that begin with a dot are a user's.

    Example:
        >>> is_system_file("._plate.png"), is_system_file("Thumbs.db"), is_system_file(".plate.png")
        (True, True, False)
    """
    return name.startswith(_SYSTEM_STARTS) or name.lower() in _SYSTEM_FILES


def files_below(folder: str | Path, needed: Callable[[Path], bool] | None = None) -> list[Path]:
    """Files in a folder at any depth, sorted; links are followed, unless they lead back to a folder above them.

    Folders that are hidden or of a system are passed over.

    Args:
        folder: Where to look.
        needed: Asked of what may not be read, whether its folder matters; elsewhere it is passed over. Default: all
            matters. A link without suffix matters everywhere, since a folder may lie behind it.

    Raises:
        ConfigError: A link that matters leads nowhere, or a folder that matters may not be read.
    """
    return sorted(_below(Path(folder), frozenset(), needed or (lambda path: True)))


def _below(folder: Path, above: frozenset[str], needed: Callable[[Path], bool]) -> Iterator[Path]:
    chain = above | {os.path.realpath(folder)}
    try:
        paths = [(path, path.is_dir()) for path in folder.iterdir()]
    except PermissionError as error:
        if above and not needed(folder / "*"):
            return
        raise ConfigError(folder, "folder", "no right to read it", "give that right") from error
    for path, is_folder in paths:
        if is_folder:
            leads_back = path.is_symlink() and os.path.realpath(path) in chain
            if not leads_back and not is_system_folder(path.name):
                yield from _below(path, chain, needed)
        elif path.is_file():
            yield path
        elif path.is_symlink() and not is_system_file(path.name):
            if path.suffix and not needed(path):
                continue
            fix = "the link leads nowhere: mount or mend what it leads to, or remove it"
            raise ConfigError(path, "link", os.fspath(path.readlink()), fix)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def md5_file(path: str | Path) -> str:
    """MD5 of a file's bytes as 32 hex digits: what old publishers print; no protection against malice."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def unchanged(*paths: str | Path) -> Iterator[None]:
    """Hold what a figure speaks of by its hash: the file that was used is the file that is recorded.

    Raises:
        MeasurementError: A file was changed or removed meanwhile.
    """
    digests = {path: sha256_file(path) for path in paths if Path(path).is_file()}
    yield
    for path, digest in digests.items():
        seen = sha256_file(path) if Path(path).is_file() else "nothing"
        if seen != digest:
            fix = f"it was {digest} when it was opened; leave it alone and repeat the command"
            raise MeasurementError(path, "sha256", seen, fix)


@contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Hold ``path`` as a lock file; the lock dies with the process.

    Raises:
        BusyError: Another process holds it.
    """
    target = Path(path)
    with _refusals_named(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.open("a+", encoding="utf-8")
    with lock as handle:
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
