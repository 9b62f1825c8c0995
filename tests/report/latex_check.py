"""A check of LaTeX tables by structure, for machines without LaTeX. It raises on what would not compile."""

import re

BRACES = re.compile(r"(?<!\\)[{}]")
BARE = re.compile(r"(?<!\\)[#$%_^~]|(?<!\\)&")
MATH = re.compile(r"\$\\[a-z]+\$")


def check_latex(text):
    """Raise ValueError on open groups, open environments, ragged rows or bare special characters."""
    body = "\n".join(line for line in text.split("\n") if not line.startswith("%"))
    _check_groups(body)
    _check_environments(body)
    match = re.search(r"\\begin\{tabular\}\{([lrc]+)\}(.*?)\\end\{tabular\}", body, re.DOTALL)
    if not match:
        raise ValueError("no table")
    columns, rows = len(match[1]), re.split(r"\\\\", match[2])
    for row in rows[:-1]:
        _check_row(row, columns)
    caption = re.search(r"\\caption\{(.*)\}\n", body)
    if not caption or BARE.search(MATH.sub("", caption[1])):
        raise ValueError("caption")


def _check_groups(body):
    depth = 0
    for brace in BRACES.findall(body):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            raise ValueError("group closed twice")
    if depth:
        raise ValueError("group left open")


def _check_environments(body):
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            raise ValueError(f"environment {name}")
    if opened or not body.startswith("\\documentclass"):
        raise ValueError("not a whole document")


def _check_row(row, columns):
    text = MATH.sub(
        "", re.sub(r"\\(toprule|midrule|bottomrule|addlinespace|cmidrule\{[\d-]+\})", "", row)
    )
    spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", text))
    cells = re.split(r"(?<!\\)&", text)
    if len(cells) + spanned != columns:
        raise ValueError(f"{len(cells) + spanned} cells for {columns} columns: {row}")
    if any(BARE.search(cell) for cell in cells) or not all(map(_is_typeset, row)):
        raise ValueError(f"bare special character: {row}")


def _is_typeset(letter):
    """ASCII and the Latin letters of the T1 fonts."""
    return letter.isascii() or (letter.isalpha() and ord(letter) < 0x180)
