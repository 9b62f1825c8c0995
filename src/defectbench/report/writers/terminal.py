"""Tables in the terminal, at the end of a run.

Every row shows its name and its headline figure in full at any width; what else there is room for goes by the priority
of columns. Where even names are wider than the terminal, they are folded between words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from ..table import HEADLINE, NAME, Column, Row, Shown, Table

GAP = 2
LEAST_NAME = 12
WIDTH = 80  # where a terminal says that it has none


@dataclass(frozen=True)
class Slot:
    """A column as it is printed.

    Attributes:
        column: The column.
        width: Its characters.
        has_asides: Whether intervals stand below its figures.
    """

    column: Column
    width: int
    has_asides: bool


def print_tables(tables: Sequence[Table], page: str = "", console: Console | None = None) -> None:
    """Print tables in the width of a terminal.

    Args:
        tables: Any tables; those that are meant for another place are left out.
        page: Where the whole report lies; may be empty.
        console: Where to print; the terminal by default.
    """
    screen = console or Console()
    if screen.width < 1:
        screen.width = WIDTH
    for table in tables:
        if "terminal" in table.formats:
            for line in table_lines(table, screen.width):
                screen.print(line, soft_wrap=True)
    if page:
        screen.print(Text(f"page: {page}", style="dim"), soft_wrap=True)


def table_lines(table: Table, width: int) -> list[Text]:
    """A table in lines of at most so many characters.

    Args:
        table: The table.
        width: Characters a line.
    """
    slots = choose(table, width)
    lines = []
    for block, rows in table.blocks():
        heading = ": ".join(part for part in (block.title, block.lead) if part) or table.title
        lines += [Text(line, style="bold") for line in wrap(heading, width)]
        lines += list(_head(slots))
        lines.append(Text("─" * min(width, _whole_width(slots)), style="dim"))
        for before, row in zip([rows[0], *rows], rows, strict=False):
            lines += [Text("")] if row.is_control and not before.is_control else []
            lines += list(_row(row, slots))
        lines.append(Text(""))
    flags = [f"{_name(table, row)}: {row.flag}" for row in table.rows if row.flag]
    for note in [*_marks(table, slots), *flags, *_left_out(table, slots, width)]:
        lines += [Text(line, style="dim") for line in wrap(note, width)]
    return lines


def _name(table: Table, row: Row) -> str:
    name = next(column for column in table.columns if column.priority == NAME)
    return name.show(row).text


def choose(table: Table, width: int) -> list[Slot]:
    """The columns that a width has room for, in their order, by priority and then by place."""
    columns = [column for column in table.columns if not column.is_detail]
    names = [column for column in columns if column.priority == NAME]
    slots = {
        column.key: Slot(column, _width(table, column, asides=False), has_asides=False)
        for column in columns
        if column.priority <= HEADLINE
    }
    _fold(slots, names, width)
    for column in sorted(columns, key=lambda column: column.priority):
        for has_asides in (True, False):
            slot = Slot(column, _width(table, column, has_asides), has_asides)
            if column.key in slots and column in names:
                break
            if _whole_width([*(slots | {column.key: slot}).values()]) <= width:
                slots[column.key] = slot
                break
    return [slots[column.key] for column in columns if column.key in slots]


def _fold(slots: dict[str, Slot], names: Sequence[Column], width: int) -> None:
    """Narrow the widest names until all that never goes fits."""
    while _whole_width([*slots.values()]) > width:
        key = max((column.key for column in names), key=lambda key: slots[key].width)
        if slots[key].width <= LEAST_NAME:
            return
        slots[key] = Slot(slots[key].column, slots[key].width - 1, has_asides=False)


def _whole_width(slots: Sequence[Slot]) -> int:
    return sum(slot.width for slot in slots) + GAP * (len(slots) - 1)


def _width(table: Table, column: Column, asides: bool) -> int:
    cells = [column.show(row) for row in table.rows]
    texts = [len(_text(cell)) for cell in cells]
    texts += [len(cell.aside) for cell in cells if asides]
    return max([*texts, len(column.heading), len(column.unit)], default=0)


def _text(cell: Shown) -> str:
    return cell.text + cell.mark or ", ".join(word for word, _ in cell.links)


def _head(slots: Sequence[Slot]) -> Iterator[Text]:
    yield from _beside(
        [
            [Text(line, style="bold") for line in wrap(slot.column.heading, slot.width)]
            for slot in slots
        ],
        slots,
    )
    if any(slot.column.unit for slot in slots):
        yield from _beside([[Text(slot.column.unit)] for slot in slots], slots)


def _row(row: Row, slots: Sequence[Slot]) -> Iterator[Text]:
    cells = []
    for slot in slots:
        shown = slot.column.show(row)
        lines = [
            Text(line, style="bold" if shown.bold else "")
            for line in wrap(_text(shown), slot.width) or [""]
        ]
        if slot.has_asides and shown.aside:
            lines.append(Text(shown.aside, style="dim"))
        cells.append(lines)
    yield from _beside(cells, slots)


def _beside(cells: Sequence[Sequence[Text]], slots: Sequence[Slot]) -> Iterator[Text]:
    """Lines of cells beside each other."""
    for n in range(max(len(lines) for lines in cells)):
        line = Text()
        for lines, slot in zip(cells, slots, strict=True):
            text = lines[n] if n < len(lines) else Text("")
            room = " " * (slot.width - len(text))
            line.append_text(text if slot.column.align == "left" else Text(room) + text)
            line.append((room if slot.column.align == "left" else "") + " " * GAP)
        line.rstrip()
        yield line


def _marks(table: Table, slots: Sequence[Slot]) -> list[str]:
    """The notes that explain a mark that is shown."""
    shown = {slot.column.show(row).mark.strip() for slot in slots for row in table.rows}
    titles = "".join(block.title for block, _ in table.blocks())
    return [note for note in table.notes if note[0] in titles or note[0] in shown - {""}]


def _left_out(table: Table, slots: Sequence[Slot], width: int) -> list[str]:
    """One line on the columns and intervals that there is no room for."""
    printed = {slot.column.key for slot in slots}
    columns = [column for column in table.columns if not column.is_detail]
    missing = [column.title for column in columns if column.key not in printed]
    bare = [slot.column for slot in slots if not slot.has_asides]
    if any(column.show(row).aside for column in bare for row in table.rows):
        missing.append("some intervals")
    if not missing:
        return []
    whole = f"left out, see the page: {', '.join(missing)}"
    return [whole if len(whole) <= width else f"left out, see the page: {len(missing)} columns"]
