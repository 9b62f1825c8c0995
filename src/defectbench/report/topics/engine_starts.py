"""Memory, first start and energy by engine and precision, where a study asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..numbers import number as digits
from ..records.study import StudyRecords
from ..records.timings import FormTiming, note_on_tiles, timings_of
from ..table import HEADLINE, Column, Row, Table
from ..validity import marked_invalid, notes_on_invalid
from .engine_speed import NAMES, block_by_place

ORDER = 35
MEMORY = (
    Column("peak_engine_mib", "memory of the engine", "MiB", digits),
    Column("peak_model_mib", "peak memory of the model", "MiB", digits, priority=HEADLINE),
)
START = (
    Column("cold_import_ms", "engine imported", "ms", digits),
    Column("cold_open_ms", "model opened", "ms", digits),
    Column("cold_first_image_ms", "first image", "ms", digits),
    Column("cold_start_ms", "all three", "ms", digits, priority=HEADLINE),
)
ENERGY = (
    Column("joules_per_image", "energy", "J an image", digits),
    Column("joules_per_image_above_idle", "above idle", "J an image", digits, priority=HEADLINE),
    Column("idle_w", "idle", "W", digits, priority=8),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """The table; nothing where none of it was measured."""
    timings = study.share(timings_of)
    if columns_of(timings):
        yield start_table(timings)


def columns_of(timings: Sequence[FormTiming]) -> list[Column]:
    """Columns of what was measured of any of them."""
    columns = [*MEMORY, *START, *ENERGY]
    return [column for column in columns if any(t.mean(column.key) is not None for t in timings)]


def start_table(timings: Sequence[FormTiming]) -> Table:
    """A row for each method, engine, precision and number of threads."""
    columns = columns_of(timings)
    blocks = block_by_place(timings)
    rows = []
    for timing in timings:
        values = timing.names | {column.key: timing.mean(column.key) for column in columns}
        row = Row(values, block=blocks[id(timing)])
        # starts are processes of their own, one after the other; energy is of the race itself
        rows.append(replace(row, shown={} if timing.is_valid else marked_invalid(row, ENERGY)))
    notes = []
    if set(columns) & set(MEMORY):
        starts = sorted({t.figures[0]["n_starts"] for t in timings if "n_starts" in t.figures[0]})
        notes.append(
            f"Memory and times of a start are medians of {' or '.join(map(str, starts))} fresh processes, the file in "
            "the disk cache. Memory is what the engine's libraries add to the process, and what the model with its "
            "first image adds at its peak."
        )
    if set(columns) & set(ENERGY):
        notes.append(
            "Energy is of all that the machine tells of, one image a call; above idle is without what a pause of the "
            "same length takes."
        )
        notes += note_on_tiles(timing.entry for timing in timings)
        invalid = [t for t in timings if not t.is_valid and t.mean(ENERGY[0].key) is not None]
        notes += notes_on_invalid({timing.told: timing.invalid_because for timing in invalid})
    return Table(
        name="engine_starts",
        title="Memory, first start and energy",
        columns=[*NAMES, *columns],
        rows=rows,
        notes=notes,
        fields=list(rows[0].values),
        lead="What a fresh process needs until its first answer, by engine and precision.",
    )
