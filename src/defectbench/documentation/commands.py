"""The page of the command line: each verb with its options, from a tree of plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .markdown import NOTICE, Page, table

_HEAD = """# Command line

Every rule of the workflow calls one verb of `defectbench`, but for those that run a program of another framework, and
every verb runs without a rule.
`defectbench VERB --help` shows the same as this page.

A verb ends with status 0 when it is done, and with 1 when what it checked does not hold. It ends with status 2
and one line on standard error when you must mend something first: the line names the file, the field, what was seen
and what helps.
"""


@dataclass(frozen=True)
class Option:
    """An option or an argument of a verb.

    Attributes:
        name: How it is written: ``--out``, or the name of an argument.
        takes: What it takes, such as ``PATH`` or its choices; empty for a switch.
        default: What it is where it is left out; empty where there is nothing to say.
        is_required: Whether it must be given.
        meaning: Its help line.
    """

    name: str
    takes: str
    default: str
    is_required: bool
    meaning: str


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Attributes:
        name: Its name.
        group: The topic that it belongs to; empty without one.
        meaning: Its help line.
        options: What it takes, in the order of its help.
    """

    name: str
    group: str
    meaning: str
    options: list[Option] = field(default_factory=list)


def commands_page(verbs: Sequence[Verb]) -> Page:
    """The page of all verbs, by topic in the order in which topics are met."""
    groups = dict.fromkeys(verb.group for verb in verbs)
    parts = [f"{NOTICE}\n{_HEAD}", _index(verbs)]
    for group in groups:
        level = "###" if group else "##"
        parts += [f"## {group}\n"] if group else []
        parts += [_section(verb, level) for verb in verbs if verb.group == group]
    return Page("cli.md", "\n".join(parts))


def _index(verbs: Sequence[Verb]) -> str:
    rows = [[f"[`{verb.name}`](#{verb.name.replace(' ', '-')})", verb.meaning] for verb in verbs]
    return table(["verb", "what it does"], rows) + "\n"


def _section(verb: Verb, level: str) -> str:
    rows = [
        [
            f"`{option.name}`{f' `{option.takes}`' if option.takes else ''}",
            _default(option),
            option.meaning,
        ]
        for option in verb.options
    ]
    options = table(["option", "default", "meaning"], rows) if rows else "It takes no options."
    meaning = f"{verb.meaning[:1].upper()}{verb.meaning[1:]}".rstrip(".")
    return f"{level} {verb.name}\n\n{meaning}.\n\n{options}\n"


def _default(option: Option) -> str:
    return "*required*" if option.is_required else f"`{option.default}`" if option.default else ""
