"""Tables as LaTeX documents that compile on their own."""

from __future__ import annotations

from collections.abc import Sequence

from ..numbers import INVALID, LEAKED, NOTHING, TIMES
from ..table import Column, Row, RowBlock, Shown, Table
from .templates import render

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    TIMES: r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "µ": r"$\mu$",
    "®": r"\textregistered{}",
    "™": r"\texttrademark{}",
    NOTHING: "--",
    "—": "---",
    LEAKED: r"\textdagger{}",
    INVALID: r"\textdaggerdbl{}",
}
_SYNTAX = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}


def escape(text: str) -> str:
    r"""Text as LaTeX prints it; characters that LaTeX does not know become ``?``.

    Example:
        >>> escape("latency_ms 5 %")
        'latency\\_ms 5 \\%'
    """
    return "".join(_SPECIAL.get(letter, letter if _is_latin(letter) else "?") for letter in text)


def _is_latin(letter: str) -> bool:
    """Whether the T1 fonts have it: ASCII and the letters of Latin-1 and Latin Extended-A."""
    return letter.isascii() or (letter.isalpha() and ord(letter) < 0x180)


def latex_document(table: Table) -> str:
    """Write a table with booktabs, as a document with a class of its own; its notes become the caption."""
    columns = [column for column in table.columns if not column.is_detail]
    values = {
        "alignment": "".join(column.align[0] for column in columns),
        "width": len(columns),
        "headings": [escape(column.heading) for column in columns],
        "units": [escape(column.unit) for column in columns],
        "sections": [_section(block, rows, columns) for block, rows in table.blocks()],
        "title": escape(table.caption or f"{table.title}."),
        "caption": escape(" ".join(table.notes)),
    }
    return render("table.tex.j2", values, **_SYNTAX)


def _section(block: RowBlock, rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, object]:
    lead = f": {block.lead}" if block.lead else ""
    return {
        "heading": escape(f"{block.title}{lead}"),
        "methods": [_line(row, columns) for row in rows if not row.is_control],
        "controls": [_line(row, columns) for row in rows if row.is_control],
    }


def _line(row: Row, columns: Sequence[Column]) -> str:
    name, *figures = (column.show(row) for column in columns)
    title = rf"\textit{{{escape(name.text)}}}" if row.is_control else escape(name.text)
    return " & ".join([title, *map(_cell, figures)])


def _cell(cell: Shown) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
    aside = rf" {{\scriptsize {escape(cell.aside)}}}" if cell.aside else ""
    return text + escape(cell.mark) + aside
