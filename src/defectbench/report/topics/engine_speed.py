"""Speed by number of threads and by images a call: second figures of the race, where a study asked for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..numbers import number as digits
from ..numbers import whole
from ..records.study import StudyRecords
from ..records.timings import FormTiming, note_on_tiles, timings_of
from ..table import HEADLINE, NAME, Column, Row, RowBlock, Table, word_column
from ..validity import marked_invalid, notes_on_invalid

ORDER = 34
_BATCH = re.compile(r"images_per_s_batch(\d+)")

NAMES = (
    word_column("title", "method", NAME),
    word_column("engine", "engine", NAME),
    word_column("precision", "precision", NAME),
    Column("threads", "threads", write=whole, priority=NAME),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """The table; nothing where all files were timed with one number of threads and one image a call."""
    timings = study.share(timings_of)
    if any(timing.is_further for timing in timings) or batches_of(timings):
        yield speed_table(timings)


def batches_of(timings: Sequence[FormTiming]) -> list[int]:
    """Numbers of images a call, beyond one, that any of them was timed with."""
    names = {name for timing in timings for name in timing.figures[0]}
    return sorted(int(seen[1]) for name in names if (seen := _BATCH.fullmatch(name)))


def speed_table(timings: Sequence[FormTiming]) -> Table:
    """A row for each method, engine, precision and number of threads."""
    batches = batches_of(timings)
    columns = [
        *NAMES,
        Column("latency_ms_p50", "p50", "ms", digits, priority=6),
        Column("ratio_to_artifact", "latency over onnxruntime fp32", write=digits),
        Column("images_per_s", "one image a call", "images/s", digits, priority=HEADLINE),
    ]
    for batch in batches:
        rate, ratio = _keys(batch)
        heading = f"{batch} images a call"
        columns += [
            Column(rate, heading, "images/s", digits, priority=HEADLINE),
            Column(ratio, f"{heading}, time over the reference model's", write=digits, priority=7),
        ]
    blocks = block_by_place(timings)
    rows = []
    for timing in timings:
        row = Row(_values(timing, batches), block=blocks[id(timing)])
        timed = [] if timing.is_valid else columns[len(NAMES) :]
        rows.append(replace(row, shown=marked_invalid(row, timed)))
    notes = [
        "Images/s are end to end: letterbox, network and suppression; of one image a call they are 1000 over the p50. "
        "Ratios are held against the same number of threads and of images a call, with 95 % interval.",
        *note_on_tiles(timing.entry for timing in timings),
        *notes_on_invalid({t.told: t.invalid_because for t in timings if not t.is_valid}),
    ]
    if batches and any(timing.mean(_keys(batches[0])[0]) is None for timing in timings):
        notes.append("An engine that takes one image a call has no figures of several.")
    return Table(
        name="engine_speed",
        title="Threads and images a call",
        columns=columns,
        rows=rows,
        notes=notes,
        fields=list(dict.fromkeys(key for row in rows for key in row.values)),
        lead="The same files by number of threads, and by images that the network is given at once.",
    )


def block_by_place(timings: Sequence[FormTiming]) -> dict[int, RowBlock]:
    """The block of rows of each timing, by its identity: those of a dataset and protocol stand together."""
    blocks: dict[str, RowBlock] = {}
    by_timing = {}
    for timing in timings:
        title = f"{timing.names['dataset']}, {timing.names['protocol']}"
        by_timing[id(timing)] = blocks.setdefault(title, RowBlock(title))
    return by_timing


def _keys(batch: int) -> tuple[str, str]:
    """Names of the figures of so many images a call."""
    return f"images_per_s_batch{batch}", f"ratio_to_reference_batch{batch}"


def _values(timing: FormTiming, batches: Sequence[int]) -> dict[str, object]:
    """Figures of a row by key; the interval of a figure beside it."""
    values: dict[str, object] = {**timing.names, "latency_ms_p50": timing.mean("latency_ms_p50")}
    values |= timing.ends("latency_ms_p50")
    compared = {} if timing.form.is_artifact else timing.ends("ratio_to_base")
    values["ratio_to_artifact"] = None if timing.form.is_artifact else timing.mean("ratio_to_base")
    for end in ("low", "high"):
        values[f"ratio_to_artifact_{end}"] = compared.get(f"ratio_to_base_{end}")
    values["images_per_s"] = timing.mean("fps")
    for batch in batches:
        for name in _keys(batch):
            ends = timing.ends(name)
            values[name] = timing.mean(name)
            values |= {f"{name}_{end}": ends.get(f"{name}_{end}") for end in ("low", "high")}
    return values
