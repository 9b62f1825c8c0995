"""What a topic returns and a writer knows: tables as plain data, and pictures.

A column says how its figures are written and how soon it may be left out where room is short; a row holds the values
by key, and where a value alone does not say it (a mark, a bold figure, the record behind it) what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from inspect import get_annotations
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from .numbers import NOTHING, interval, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = 0  # priority of what names a row: never left out
HEADLINE = 1  # of the figure that a table is about: never left out
USUAL = 5

Writer = Callable[[Any], str]


@dataclass(frozen=True)
class Shown:
    """What stands where a row meets a column.

    Attributes:
        text: The figure.
        aside: Its interval, in smaller type; may be empty.
        bold: Whether it is the best, distinguishably.
        mark: A mark that the notes explain; may be empty.
        href: The record behind it, a path as seen from the working folder, or ``#name`` on the page; may be empty.
        shade: Tenths of a score, for its colour on the page.
        links: Names and paths of several records, in place of a text.
    """

    text: str
    aside: str = ""
    bold: bool = False
    mark: str = ""
    href: str = ""
    shade: int | None = None
    links: tuple[tuple[str, str], ...] = ()


def plain(value: Any) -> str:
    """Any value as text."""
    return number(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: Which value of a row it shows; its interval has the keys ``<key>_low`` and ``<key>_high``.
        heading: Its name.
        unit: Unit of its figures; may be empty.
        write: Writes a value.
        ends: Writes the ends of its interval; as the value by default.
        priority: Where room is short, columns of higher numbers go first; ``NAME`` and ``HEADLINE`` never go.
        align: Words stand left, figures right.
        is_detail: Whether it stands on the page alone.
    """

    key: str
    heading: str
    unit: str = ""
    write: Writer = plain
    ends: Writer | None = None
    priority: int = USUAL
    align: Literal["left", "right"] = "right"
    is_detail: bool = False

    @property
    def title(self) -> str:
        """Heading and unit."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    def show(self, row: Row) -> Shown:
        """What this column shows of a row."""
        if self.key in row.shown:
            return row.shown[self.key]
        value = row.values.get(self.key)
        if value is None:
            return Shown(NOTHING)
        low, high = (row.values.get(f"{self.key}_{end}") for end in ("low", "high"))
        return Shown(self.write(value), interval(self.ends or self.write, low, high))


def word_column(key: str, heading: str, priority: int = USUAL) -> Column:
    """A column of words, such as names."""
    return Column(key, heading, priority=priority, align="left")


@dataclass(frozen=True)
class RowBlock:
    """Rows that stand together.

    Attributes:
        title: What they have in common, such as ``steel, clean``.
        lead: A sentence on it, without its full stop; may be empty.
        link: Name and path of the record behind the sentence; may be empty.
        is_warning: Whether the sentence is a warning.
        anchor: The section of the page that shows it; empty for that of the whole table.
    """

    title: str = ""
    lead: str = ""
    link: tuple[str, str] = ("", "")
    is_warning: bool = False
    anchor: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        values: Figures by key, as a CSV has them.
        shown: What is shown by key of a column, where the value alone does not say it.
        block: The rows that it stands with.
        is_control: Whether it is a program that learns nothing; such rows stand below a rule.
        flag: What is said beside its name; may be empty.
        anchor: Its name on the page; may be empty.
    """

    values: Mapping[str, Any]
    shown: Mapping[str, Shown] = field(default_factory=dict)
    block: RowBlock = RowBlock()
    is_control: bool = False
    flag: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A table, ready for any format.

    Attributes:
        name: Stem of its files.
        title: Its heading.
        columns: What is shown; the first names the row.
        rows: Its lines, those of one block behind each other.
        notes: Sentences below it.
        fields: Keys of the CSV, in their order; those of the columns by default.
        lead: What it shows, above it; may be empty.
        empty: What is said where it has no rows.
        caption: What it is, in a sentence, for LaTeX; the title by default.
        formats: Where it stands.
        anchor: The section of the page that shows it; its name by default.
        below: Tables that stand in the same Markdown document.
        records: Names, and links by name, of what stands at the end of that document.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    fields: Sequence[str] = ()
    lead: str = ""
    empty: str = ""
    caption: str = ""
    formats: Sequence[str] = ("csv", "md", "page")
    anchor: str = ""
    below: Sequence[Table] = ()
    records: Sequence[tuple[str, Mapping[str, str]]] = ()

    @property
    def keys(self) -> list[str]:
        """Keys of the CSV, in their order."""
        return list(self.fields) or [column.key for column in self.columns]

    @property
    def section(self) -> str:
        """The section of the page that shows it."""
        return self.anchor or self.name

    def blocks(self) -> list[tuple[RowBlock, list[Row]]]:
        """Rows by block, in their order."""
        return [(block, list(rows)) for block, rows in groupby(self.rows, key=lambda r: r.block)]


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Stem of its files.
        draw: Draws it; None where what it shows is not at hand.
        alt: What it shows, for those who do not see it.
        caption: How to read it.
        anchor: The section of the page that shows it.
        kinds: Kinds of its files; the page shows the first.
    """

    name: str
    draw: Callable[[], Figure | None]
    alt: str
    caption: str
    anchor: str
    kinds: Sequence[str] = ("svg", "pdf", "png")


def keys_of(kind: type) -> list[str]:
    """Fields of a dataclass in the order of their columns: its own, then those that it has from another."""
    first = list(get_annotations(kind))
    return [*first, *(entry.name for entry in fields(kind) if entry.name not in first)]


def row_of(instance: Any, **more: Any) -> Row:
    """A row of the fields of a dataclass."""
    return Row(asdict(instance), **more)


def anchor(*parts: object) -> str:
    """A name inside the page."""
    return "-".join(str(part) for part in parts)
