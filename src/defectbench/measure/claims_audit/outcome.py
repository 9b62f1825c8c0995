"""What a check of printed figures found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...base.printed_tables import Figure, PrintedRow, PrintedTable
from ..claims import Verdict

FIGURE_WORDS = {
    "params_m": "parameters, M",
    "operations_g": "operations, G",
    "map50": "mAP50, %",
    "map50_95": "mAP50-95, %",
    "map": "mAP, %",
}
REBUILT = "our network was rebuilt from this figure, so that its count proves nothing"
Outcome = Verdict | Literal["consistent"]
Check = Literal[
    "scaling",
    "unit",
    "mixed units",
    "parameters",
    "statement",
    "printed twice",
    "speed",
    "score",
    "baselines",
]


@dataclass(frozen=True)
class PrintedFigure:
    """A figure of a network, as it is printed.

    Attributes:
        network: The network that it is printed for; empty where that is not known here.
        figure: Which figure.
        value: What is printed.
    """

    network: str
    figure: Figure
    value: float


@dataclass(frozen=True)
class AuditOutcome:
    """A check of printed figures.

    Attributes:
        paper: Short name of the paper, or of several.
        place: Where in it.
        check: What was checked.
        about: Whose figures: the method's name in the paper.
        figure: Which figures, with their unit.
        printed: The figures.
        verdict: A verdict of claims, or ``consistent`` where figures agree that no count of ours stands behind.
        arithmetic: How it came to that.
        read: What was read of the paper.
        wrong: The figures that cannot be right, or of which one cannot; of inconsistent ones.
        sources: The figures that our network was rebuilt from.
    """

    paper: str
    place: str
    check: Check
    about: str
    figure: str
    printed: str
    verdict: Outcome
    arithmetic: str
    read: str = ""
    wrong: tuple[PrintedFigure, ...] = ()
    sources: tuple[PrintedFigure, ...] = ()


@dataclass(frozen=True)
class Cited:
    """A row and the table that it stands in."""

    table: PrintedTable
    row: PrintedRow


def places_of(cited: Sequence[Cited]) -> str:
    """Where rows stand, each place once."""
    return ", ".join(dict.fromkeys(each.table.place for each in cited))


def printed_figures(rows: Iterable[PrintedRow], figure: Figure) -> tuple[PrintedFigure, ...]:
    """A figure of some rows, where they print it."""
    values = [(row.network, row.printed(figure)) for row in rows]
    return tuple(
        PrintedFigure(name, figure, float(value)) for name, value in values if value is not None
    )
