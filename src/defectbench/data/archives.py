"""Safe extraction of archives that strangers made."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..base.errors import ArchiveError, DiskFullError
from .damage import damage_named

MAX_MEMBERS = 500_000
MAX_BYTES = 16 * 2**30
_CHUNK = 2**20
_LARGEST_READ = 64 * 2**20  # a tar header that asks for more is an attack on memory
_WHOLE = "get a whole ZIP or tar archive without a password; download it again"
_DOS, _UTF8_FLAG = "cp437", 0x800
# What Windows packs names in, by country; a folder that a card names tells which it was.
_ENCODINGS = (_DOS, "gb18030", "big5", "cp932", "cp949", "cp1252", "cp1250", "cp1251", "cp850")
_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}

Wanted = Callable[[PurePosixPath], bool]


_OTHER_KINDS = {b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7z"}


def extract_into(
    archive: str | Path, folder: Path, max_bytes: int = MAX_BYTES, wanted: Wanted | None = None
) -> int:
    """Unpack a ZIP or tar archive into a folder that the caller puts in place or throws away.

    Args:
        archive: The file.
        folder: Folder to write to.
        max_bytes: Most bytes that may come out, against decompression bombs.
        wanted: Says of a member's path whether it is to be written; all are checked. Default: all.

    Returns:
        Number of files written.

    Raises:
        ArchiveError: It is truncated, encrypted, no archive, too large, or has a member that
            leads outside, is a link or a device, or occurs twice.
        DiskFullError: The disk has no room.
    """
    path = Path(archive)
    _refuse_other_kinds(path)
    with damage_named(path, ArchiveError, "content", _WHOLE):
        if zipfile.is_zipfile(path):
            return _unzip(path, folder, max_bytes, wanted or _all)
        return _untar(path, folder, max_bytes, wanted or _all)


def _refuse_other_kinds(path: Path) -> None:
    """Stop at an archive of a kind that is known and not read, whatever its name."""
    with path.open("rb") as handle:
        start = handle.read(max(map(len, _OTHER_KINDS)))
    for signature, kind in _OTHER_KINDS.items():
        if start.startswith(signature):
            fix = "unpack it by a program of its own and name the folder, or pack it as ZIP or tar"
            raise ArchiveError(path, "kind", kind, fix)


def _all(_: PurePosixPath) -> bool:
    return True


def _unzip(path: Path, out: Path, max_bytes: int, wanted: Wanted) -> int:
    written = 0
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        encoding = _encoding(_silent_names(members), wanted)
        total = sum(info.file_size for info in members)
        _check_size(path, total, len(members), max_bytes)
        free = shutil.disk_usage(out).free
        if total > free:
            raise DiskFullError(out, "free bytes", free, f"{path.name} needs {total}; make room")
        for info in members:
            kind = stat.S_IFMT(info.external_attr >> 16)
            name = _member(path, _name(info, encoding), kind in (0, stat.S_IFREG))
            if wanted(name):
                with archive.open(info) as source:  # stops at the declared size, checks the CRC
                    _write(path, name, source, out)
                written += 1
    return written


def names_encoding(
    archive: str | Path, wanted: Wanted | None = None, max_bytes: int = MAX_BYTES
) -> str | None:
    """In which encoding the names in an archive are read; None where the archive says it.

    A ZIP says so by a flag, which old tools and those of Windows leave out, and an old tar never does. Then names are
    UTF-8 where all are, else in the first of the usual encodings in which most members lie in folders that are wanted,
    else that of DOS.

    Args:
        archive: The file.
        wanted: As for ``extract_into``.
        max_bytes: As for ``extract_into``.

    Raises:
        ArchiveError: It is damaged, too large, no archive, or of a kind that is not read.
    """
    path = Path(archive)
    _refuse_other_kinds(path)
    with damage_named(path, ArchiveError, "content", _WHOLE):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as content:
                names = _silent_names(content.infolist())
        else:
            names = _strange_names(path, max_bytes)
    return _encoding(names, wanted or _all) if names else None


def _silent_names(members: list[zipfile.ZipInfo]) -> list[bytes]:
    """Names of a ZIP that do not say in which encoding they are."""
    return [
        info.orig_filename.encode(_DOS)
        for info in members
        if _is_silent(info) and not info.is_dir()
    ]


def _strange_names(path: Path, max_bytes: int) -> list[bytes]:
    """Names of a tar that are not UTF-8."""
    with _tar(path, max_bytes) as archive:
        names = [_tar_bytes(member.name) for member in archive if not member.isdir()]
    return [name for name in names if not _is_utf8(name)]


def _tar_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoding(names: list[bytes], wanted: Wanted) -> str:
    best, most = _DOS, 0
    for encoding in ("utf-8", *_ENCODINGS) if names else ():
        try:
            texts = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return encoding
        count = sum(wanted(PurePosixPath(text.replace("\\", "/"))) for text in texts)
        if count > most:
            best, most = encoding, count
    return best


def _is_silent(info: zipfile.ZipInfo) -> bool:
    """Whether a member has a name beyond ASCII and does not say in which encoding."""
    return not info.flag_bits & _UTF8_FLAG and not info.orig_filename.isascii()


def _name(info: zipfile.ZipInfo, encoding: str) -> str:
    return info.orig_filename.encode(_DOS).decode(encoding) if _is_silent(info) else info.filename


def _untar(path: Path, out: Path, max_bytes: int, wanted: Wanted) -> int:
    written = total = 0
    encoding = ""
    with _tar(path, max_bytes) as archive:
        for number, member in enumerate(archive, 1):
            total += member.size
            _check_size(path, total, number, max_bytes)
            raw_name, text = _tar_bytes(member.name), member.name
            if not _is_utf8(raw_name):
                encoding = encoding or names_encoding(path, wanted, max_bytes) or _DOS
                text = raw_name.decode(encoding)
            name = _member(path, text, member.isreg() or member.isdir())
            source = archive.extractfile(member) if wanted(name) else None
            if source is not None:
                with source:
                    _write(path, name, source, out)
                written += 1
    if not total and not written:
        raise ArchiveError(path, "members", 0, _WHOLE)
    return written


@contextmanager
def _tar(path: Path, max_bytes: int) -> Iterator[tarfile.TarFile]:
    """A tar, compressed or not, whose names that are not UTF-8 keep their bytes."""
    with _decompressed(path) as handle:
        bounded: Any = _Bounded(handle, path, max_bytes + MAX_MEMBERS * 1024)
        with tarfile.open(
            fileobj=bounded, mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            yield archive


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as handle:
        head = handle.read(6)
    openers = [opener for magic, opener in _OPENERS.items() if head.startswith(magic)]
    return openers[0](path) if openers else path.open("rb")


class _Bounded:
    """The bytes of a tar; stops one that swells without end or asks for all memory at once."""

    def __init__(self, handle: IO[bytes], path: Path, limit: int) -> None:
        self.handle, self.path, self.limit = handle, path, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise ArchiveError(self.path, "bytes of a header", size, "do not trust this archive")
        return self.handle.read(size)

    def seek(self, position: int) -> int:
        _check_size(self.path, position, 0, self.limit)
        return self.handle.seek(position)

    def tell(self) -> int:
        return self.handle.tell()


def _check_size(path: Path, total: int, members: int, max_bytes: int) -> None:
    if total > max_bytes:
        raise ArchiveError(path, "unpacked bytes", total, f"at most {max_bytes} are allowed")
    if members > MAX_MEMBERS:
        raise ArchiveError(path, "members", members, f"at most {MAX_MEMBERS} are allowed")


def _member(path: Path, name: str, plain: bool) -> PurePosixPath:
    """A member's path inside the archive, once it is known to be harmless."""
    if not plain:
        fix = "use an archive of plain files, without links and devices"
        raise ArchiveError(path, "link or special member", name, fix)
    member = PurePosixPath(name.replace("\\", "/"))
    if member.is_absolute() or ".." in member.parts:
        raise ArchiveError(path, "member outside the folder", name, "do not trust this archive")
    if ":" in name or not name.isprintable():
        raise ArchiveError(path, "member", name, "use an archive with plain file names")
    return member


def _write(path: Path, member: PurePosixPath, source: IO[bytes], out: Path) -> None:
    target = out.joinpath(*member.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise ArchiveError(path, "member", member.as_posix(), "it occurs twice; get another copy")
    with target.open("wb") as sink:
        shutil.copyfileobj(source, sink, _CHUNK)
