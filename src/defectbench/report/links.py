"""Links of the page, and what is embedded in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .collect import Entry
from .columns import NOTHING, Shown, percent
from .markdown import record_links, relative

_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Link:
    """Text that leads somewhere.

    Attributes:
        text: What is read.
        href: Where it leads, relative to the page; empty for nowhere.
        aside: Smaller text behind it.
        bold: Whether it is the best, distinguishably.
        style: Class of the page's style sheet.
    """

    text: str
    href: str = ""
    aside: str = ""
    bold: bool = False
    style: str = ""


def key_of(entry: Entry) -> Key:
    """Dataset, protocol and method of a row."""
    return entry.first.dataset, entry.first.protocol, entry.first.method


def anchor(*parts: object) -> str:
    """A name inside the page."""
    return "-".join(str(part) for part in parts)


def link_to(cell: Shown, entry: Entry, out: Path) -> Link:
    """A cell of a table that opens the record behind it."""
    href = record_of(entry, cell.record, out) if cell.record else ""
    return Link(cell.text + cell.mark, href, cell.aside, cell.bold, "invalid" if cell.mark else "")


def record_of(entry: Entry, name: str, out: Path) -> str:
    """One seed's record; for several seeds the list of all of them further down the page."""
    if len(entry.cells) > 1:
        return f"#{anchor('runs', *key_of(entry))}"
    return relative(entry.first.folder / name, out)


def runs_of(entry: Entry, scores: Sequence[str], out: Path) -> dict[str, Any]:
    """One line of the list of runs for each seed of a method, with some of its scores and its records."""
    seeds = [
        {
            "seed": cell.seed,
            "scores": [percent(cell.accuracy["figures"][name]) for name in scores],
            "train_s": f"{cell.train['figures']['train_s']:,.0f}" if cell.train else NOTHING,
            "created": cell.accuracy["created"],
            "links": record_links(cell, out),
        }
        for cell in entry.cells
    ]
    place = {"dataset": entry.first.dataset, "protocol": entry.first.protocol}
    return {"id": anchor("runs", *key_of(entry)), "title": entry.title, "seeds": seeds, **place}


def shade(share: float | None) -> str:
    """Style class by tenths of a score."""
    return "" if share is None else f"s{min(9, int(10 * share))}"


def embed(path: Path) -> str:
    """A picture as a data address; empty where it is not made."""
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f"data:{_KINDS[path.suffix]};base64,{data}"
