"""The comparison in the terminal, at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import class_tables
from .class_rows import ClassRow
from .columns import COLUMNS, INVALID, LEAKED, Column, Section, sections
from .rows import Row
from .tables import read_rows

WIDE = 150
LEFT_OUT_WHEN_NARROW = {
    "size_px",
    "epochs",
    "gflops",
    "size_mib",
    "latency_ms_p90",
    "latency_ms_p99",
    "train_s",
    "macro_f1",
    "accuracy_gain",
}


def print_comparison(table: str | Path, console: Console | None = None) -> None:
    """Print a ``comparison.csv`` or ``classification.csv``: a table a dataset and protocol.

    Args:
        table: The CSV file.
        console: Where to print; the terminal by default.

    Raises:
        ReportError: The file is missing or has other columns.
    """
    screen = console or Console()
    narrow = screen.width < WIDE
    of_classes = Path(table).name == class_tables.FILES[0]
    rows = read_rows(table, ClassRow) if of_classes else read_rows(table)
    for section in sections(rows):
        columns = class_tables.COLUMNS if of_classes else COLUMNS
        screen.print(section_table(section, narrow, columns), "")
    notes = []
    if any(row.leak_share > 0 for row in rows):
        notes.append(f"{LEAKED} test images show surface seen in training")
    invalid = [row for row in rows if row.latency_valid is False]
    notes += [f"{INVALID} {row.title}: {row.latency_invalid_because}" for row in invalid]
    notes += [f"{row.title} is {row.flags}" for row in rows if row.flags]
    for note in notes:
        screen.print(Text(note, style="dim"))
    if narrow:
        screen.print(Text("more columns in a wider terminal and on the page", style="dim"))
    screen.print(Text(f"page: {Path(table).parent / 'index.html'}", style="dim"))


def section_table(
    section: Section, narrow: bool = False, shown: Sequence[Column] = COLUMNS
) -> Table:
    """One dataset and protocol as a rich table; a narrow one leaves some columns out."""
    columns = [c for c in shown if not narrow or c.figure not in LEFT_OUT_WHEN_NARROW]
    title = f"{section.dataset}, {section.protocol}{section.mark}: {section.leak}"
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    table.box, table.show_edge, table.pad_edge = box.SIMPLE_HEAD, False, False
    table.padding = (0, 0 if narrow else 1, 0, 0)
    table.add_column("method", min_width=14, overflow="fold")
    for column in columns:
        unit = "" if narrow and len(column.unit) > len("MiB") else column.unit
        table.add_column(f"{column.heading}\n{unit}".strip(), justify="right", no_wrap=True)
    for block in (section.methods, section.controls):
        for row in block:
            table.add_row(row.title, *(_cell(column, row, narrow) for column in columns))
        table.add_section()
    return table


def _cell(column: Column, row: Row | ClassRow, narrow: bool) -> Text:
    """Interval below the figure; a narrow table shows those of scores only."""
    cell = column.show(row)
    text = Text(cell.text, style="bold" if cell.bold else "")
    text.append(cell.mark)
    if cell.aside and (column.unit == "%" or not narrow):
        text.append(f"\n{cell.aside}", style="dim")
    return text
