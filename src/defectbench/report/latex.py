"""Tables as LaTeX documents that compile on their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .columns import COLUMNS, INVALID, LEAKED, NOTHING, TIMES, Column, Section, Shown
from .templates import render

TITLE = "Accuracy and cost of detectors."
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


def latex_document(
    sections: Sequence[Section],
    caption: Sequence[str],
    columns: Sequence[Column] = COLUMNS,
    title: str = TITLE,
) -> str:
    """Write a table with booktabs, as a document with a class of its own.

    Args:
        sections: Rows by dataset and protocol.
        caption: Sentences of the caption, as plain text.
        columns: What is shown of each row.
        title: What the table is, in a sentence.
    """
    values = {
        "alignment": "l" + "r" * len(columns),
        "width": len(columns) + 1,
        "headings": [escape(column.heading) for column in columns],
        "units": [escape(column.unit) for column in columns],
        "sections": [_section(section, columns) for section in sections],
        "title": escape(title),
        "caption": escape(" ".join(caption)),
    }
    return render("comparison.tex.j2", values, **_SYNTAX)


def _section(section: Section, columns: Sequence[Column]) -> dict[str, object]:
    heading = f"{section.dataset}, {section.protocol}{section.mark}: {section.leak}"
    return {
        "heading": escape(heading),
        "methods": [_row(row, columns) for row in section.methods],
        "controls": [_row(row, columns) for row in section.controls],
    }


def _row(row: Any, columns: Sequence[Column]) -> str:
    title = rf"\textit{{{escape(row.title)}}}" if row.is_control else escape(row.title)
    return " & ".join([title, *(_cell(column.show(row)) for column in columns)])


def _cell(cell: Shown) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
    aside = rf" {{\scriptsize {escape(cell.aside)}}}" if cell.aside else ""
    return text + escape(cell.mark) + aside
