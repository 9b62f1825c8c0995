"""Text that users wrote: read where its encoding is certain, otherwise named with the line that is not UTF-8."""

from __future__ import annotations

import codecs
import csv
import unicodedata
from pathlib import Path

from .errors import ConfigError, DefectBenchError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def same_text(text: str) -> str:
    r"""A name as it is compared: composed (NFC), since disks and tools write one letter as one sign or as two.

    Example:
        >>> same_text("Pru\u0308fung") == "Prüfung"
        True
    """
    return unicodedata.normalize("NFC", text)


def read_text(path: str | Path, kind: type[DefectBenchError] = ConfigError) -> str:
    """Text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Args:
        path: The file.
        kind: What is raised where it is neither.

    Raises:
        DefectBenchError: Of that kind: a line is not UTF-8.
        OSError: The file cannot be read.
    """
    return decode_text(Path(path).read_bytes(), path, kind)


def decode_text(data: bytes, path: str | Path, kind: type[DefectBenchError] = ConfigError) -> str:
    """The same of bytes that were read from a file."""
    marked = [encoding for mark, encoding in _MARKS.items() if data.startswith(mark)]
    try:
        return data.decode(marked[0] if marked else "utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(data, path, kind, error) from error


def not_utf8(
    data: bytes,
    path: str | Path,
    kind: type[DefectBenchError],
    error: UnicodeDecodeError,
    declared: str = "UTF-8",
) -> DefectBenchError:
    """The error that names the first line which is not what the file declares, UTF-8 where it declares nothing."""
    start = data.rfind(b"\n", 0, error.start) + 1
    line = data[start:].split(b"\n", 1)[0].rstrip(b"\r")
    number = data.count(b"\n", 0, error.start) + 1
    return kind(path, f"line {number}", line[:80], f"it is not {declared}; save the file as UTF-8")


def read_columns(
    path: str | Path, columns: tuple[str, ...], kind: type[DefectBenchError] = ConfigError
) -> list[tuple[str, ...]]:
    """Columns of a CSV that a user wrote, parted by commas; further columns are passed over.

    Args:
        path: The file.
        columns: Names that its first line must hold.
        kind: What is raised where it is no such table.

    Raises:
        DefectBenchError: Of that kind: it is not UTF-8, lacks a column, or a line lacks a value.
    """
    rows = csv.reader(read_text(path, kind).splitlines(keepends=True), strict=True)
    named = ",".join(columns)
    try:
        head = [name.strip() for name in next(rows, [])]
        if not set(columns) <= set(head):
            fix = f"the first line names the columns, parted by commas: {named}"
            raise kind(path, "columns", ",".join(head), fix)
        places = [head.index(name) for name in columns]
        table = []
        for row in rows:
            if row and (len(row) <= max(places) or not all(row[place] for place in places)):
                raise kind(
                    path, f"line {rows.line_num}", ",".join(row), f"write {named} in each line"
                )
            if row:
                table.append(tuple(row[place] for place in places))
    except csv.Error as error:
        fix = f"{error}; write {named}, parted by commas, with names in double quotes where they hold a comma"
        raise kind(path, f"line {rows.line_num}", "no row of a CSV", fix) from error
    return table
