"""Pages in Markdown, and what is replaced within them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import ReportError
from ..base.files import atomic_write_text
from ..report.table import Column, Row, Table
from ..report.writers.markdown import markdown_body

LANGUAGES = {".py": "python", ".smk": "python"}
NOTICE = "<!-- Made by `defectbench document`; edit what it is made from. -->"


@dataclass(frozen=True)
class Page:
    """A generated page.

    Attributes:
        path: Where it stands below the folder of the pages.
        text: Its Markdown.
    """

    path: str
    text: str


def write_pages(pages: Iterable[Page], out_dir: str | Path) -> list[Path]:
    """Write pages below a folder, each whole or not at all.

    Returns:
        The files.
    """
    files = []
    for page in pages:
        files.append(Path(out_dir) / page.path)
        atomic_write_text(files[-1], page.text)
    return files


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    r"""A table of words.

    Args:
        headings: Names of the columns.
        rows: Their cells.
        align: One letter a column, ``l`` or ``r``; the last one goes on.

    Example:
        >>> print(table(["name", "size"], [["a|b", "3"]], "lr"))
        | name | size |
        |---|---:|
        | a\|b | 3 |
    """
    letters = (align or "l").ljust(len(headings), (align or "l")[-1])
    columns = [
        Column(str(n), heading, align="right" if letter == "r" else "left")
        for n, (heading, letter) in enumerate(zip(headings, letters, strict=False))
    ]
    lines = [Row({str(n): cell for n, cell in enumerate(cells)}) for cells in rows]
    return markdown_body(Table("words", "", columns, lines), Path()).strip()


def with_files(text: str, root: str | Path) -> str:
    """A text in which each pair of markers that is named by a file holds that file, as a block of code.

    Args:
        text: The page.
        root: What the names of the markers are relative to.

    Raises:
        ReportError: There is no such file.
    """
    for name in re.findall(r"<!-- (\S+/\S+): begin -->", text):
        path = Path(root) / name
        if not path.is_file():
            raise ReportError("page", name, "no such file", "name a file of the repository")
        language = LANGUAGES.get(path.suffix, path.suffix.removeprefix("."))
        text = replace_block(
            text, name, f"```{language}\n{path.read_text(encoding='utf-8').strip()}\n```"
        )
    return text


def replace_block(text: str, name: str, block: str) -> str:
    r"""A text with what stands between two markers replaced.

    The markers are ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``, each on a line of its own.

    Raises:
        ReportError: The text has no such pair of markers.

    Example:
        >>> text = "a\n<!-- t: begin -->\nold\n<!-- t: end -->\nb\n"
        >>> replace_block(text, "t", "new").splitlines()
        ['a', '<!-- t: begin -->', 'new', '<!-- t: end -->', 'b']
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    head, first, rest = text.partition(begin)
    _, second, tail = rest.partition(end)
    if not (first and second):
        raise ReportError(
            "page", name, "no such block", f"write {begin.strip()} and {end} in lines of their own"
        )
    return f"{head}{begin}{block.strip()}\n{end}{tail}"
