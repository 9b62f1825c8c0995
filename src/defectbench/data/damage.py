"""Damaged input: whatever a library raises on it becomes one named error that names the file.

Decoders promise little about bytes that a stranger sent or a disk flipped: `zipfile` seeks to where no byte can lie
(``OSError: [Errno 22]``), `tarfile` meets a number that is none, `zlib` and `struct` have errors of their own. What
they raise says that the file is damaged, unless it is the machine that failed: its disk is full, say.
"""

from __future__ import annotations

import errno
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from PIL import Image

from ..base.errors import DefectBenchError
from ..base.files import OF_POINTER, POINTER

DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    cv2.error,
    Image.DecompressionBombError,
    EOFError,
    SyntaxError,  # Pillow's word for a broken PNG
    RuntimeError,  # encrypted, or an unknown compression
    ValueError,  # a number or a name that is none
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    MemoryError,  # a length that no file of this size can have
)
# All other numbers, or none, are of the content: a place before the first byte, a name that cannot be that of a file.
FAULTS_OF_THE_MACHINE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ENXIO,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
}


@contextmanager
def damage_named(
    path: str | Path, kind: type[DefectBenchError], field: str, fix: str
) -> Iterator[None]:
    """Raise what a library says of a damaged file as one named error.

    Args:
        path: The file that is read.
        kind: The error to raise.
        field: What of the file is at fault, such as ``content``.
        fix: What the user can do about it.

    Raises:
        DefectBenchError: Of the kind asked for; the file, its first bytes and the library's words stand in it.
        OSError: The machine failed, not the file.

    Example:
        >>> with damage_named("set.zip", ArchiveError, "content", "download it again"):
        ...     zipfile.ZipFile("set.zip")  # doctest: +SKIP
    """
    try:
        yield
    except DAMAGE as error:
        raise _named(path, kind, field, fix, error) from error
    except OSError as error:
        if error.errno in FAULTS_OF_THE_MACHINE:
            raise
        raise _named(path, kind, field, fix, error) from error


def _named(
    path: str | Path, kind: type[DefectBenchError], field: str, fix: str, error: Exception
) -> DefectBenchError:
    with Path(path).open("rb") as handle:
        head = handle.read(len(POINTER))
    if head == POINTER:
        return kind(path, field, "a pointer of Git LFS", OF_POINTER)
    told = f"{error or type(error).__name__} in a file that begins with {head[:16]!r}"
    return kind(path, field, told if head else "an empty file", fix)
