"""Safe extraction of archives that strangers made."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from ..base.errors import ArchiveError
from ..base.files import atomic_directory

MAX_MEMBERS = 500_000
MAX_BYTES = 64 * 2**30
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError)


def extract(archive: str | Path, out_dir: str | Path, max_bytes: int = MAX_BYTES) -> int:
    """Unpack a ZIP or tar archive into a folder, as a whole or not at all.

    Args:
        archive: The file.
        out_dir: Folder to make; an old one is replaced.
        max_bytes: Most bytes that may come out, against decompression bombs.

    Returns:
        Number of files written.

    Raises:
        ArchiveError: It is truncated, no archive, too large, or has a member that leads outside or is a link.
    """
    path = Path(archive)
    with atomic_directory(out_dir) as part:
        if zipfile.is_zipfile(path):
            return _guarded(path, lambda: _unzip(path, part, max_bytes))
        if tarfile.is_tarfile(path):
            return _guarded(path, lambda: _untar(path, part, max_bytes))
        raise ArchiveError(path, "content", _head(path), "get a whole ZIP or tar archive")


def _guarded(path: Path, action: Callable[[], int]) -> int:
    try:
        return action()
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ArchiveError(
            path, "content", str(error), "it is damaged; download it again"
        ) from error


def _unzip(path: Path, out: Path, max_bytes: int) -> int:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        _check_sum(path, [info.file_size for info in members], max_bytes)
        for info in members:
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ArchiveError(
                    path, "link member", info.filename, "use an archive without links"
                )
            with archive.open(info) as source:
                _write(path, info.filename, info.file_size, source, out)
        return len(members)


def _untar(path: Path, out: Path, max_bytes: int) -> int:
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        _check_sum(path, [member.size for member in members], max_bytes)
        for member in members:
            source = archive.extractfile(member) if member.isreg() else None
            if source is None:
                fix = "use an archive of plain files, without links and devices"
                raise ArchiveError(path, "link or special member", member.name, fix)
            with source:
                _write(path, member.name, member.size, source, out)
        return len(members)


def _check_sum(path: Path, sizes: list[int], max_bytes: int) -> None:
    if sum(sizes) > max_bytes:
        raise ArchiveError(path, "unpacked bytes", sum(sizes), f"at most {max_bytes} are allowed")
    if len(sizes) > MAX_MEMBERS:
        raise ArchiveError(path, "members", len(sizes), f"at most {MAX_MEMBERS} are allowed")


def _write(path: Path, name: str, size: int, source: IO[bytes], out: Path) -> None:
    member = PurePosixPath(name.replace("\\", "/"))
    if member.is_absolute() or ".." in member.parts or ":" in member.parts[0]:
        raise ArchiveError(path, "member outside the folder", name, "do not trust this archive")
    target = out.joinpath(*member.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 2**20)
    if target.stat().st_size != size:
        raise ArchiveError(
            path, f"bytes of {name}", target.stat().st_size, f"{size} are declared; it is damaged"
        )


def _head(path: Path) -> str:
    with path.open("rb") as handle:
        return repr(handle.read(16))
