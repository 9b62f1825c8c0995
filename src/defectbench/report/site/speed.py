"""Speed: the timings of the comparisons, each in a table of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..columns import TIMED
from ..table import HEADLINE, NAME, RowBlock, Table

_FIRST = ("Latency", "Time of reference", "Tiles")


def speed_tables(tables: Sequence[Table]) -> list[Table]:
    """The columns of time of each comparison, and the notes on how it was taken; methods alone."""
    made = []
    for table in tables:
        timed = [row for row in table.rows if row.values.get("latency_ms_p50") is not None]
        if "terminal" not in table.formats or not timed:
            continue
        columns = [
            replace(
                column,
                priority=min(column.priority, HEADLINE)
                if column.key == TIMED[0]
                else column.priority,
            )
            for column in table.columns
            if column.priority == NAME or column.key in TIMED
        ]
        notes = [
            note for note in table.notes if note.startswith(_FIRST) or "invalid timing" in note
        ]
        rows = [replace(row, block=RowBlock(row.block.title)) for row in timed]
        made.append(
            replace(
                table,
                name=f"speed_{table.name}",
                title=f"Speed: {table.title.lower()}",
                columns=columns,
                rows=rows,
                notes=notes,
                lead="",
                formats=("page",),
                anchor="speed",
            )
        )
    return made
