"""Columns, blocks and sentences that comparisons of methods share, whatever task they solve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..base.methods import CONTROL
from ..base.reference_models import reference_name
from ..base.variants import data_title, variant_of
from ..measure.seeds import GROUPS, LEAST_GROUPS, SEEDS_AND_GROUPS
from .numbers import (
    INVALID,
    LEAKED,
    NOTHING,
    TIMES,
    interval,
    number,
    p_value,
    percent,
    points,
    whole,
)
from .records.cell import CellRecords
from .records.cells import OWN_RUNNER, Entry, Key, epochs_of, key_of, record_links
from .records.comparison import Pair
from .records.costs import IMAGE_LATENCY, TILED, Costs
from .table import (
    HEADLINE,
    NAME,
    Column,
    Row,
    RowBlock,
    Shown,
    Table,
    anchor,
    keys_of,
    row_of,
    word_column,
)

NAMED = word_column("title", "method", NAME)
# The record behind a figure, below a cell's folder.
RECORDS = {
    **dict.fromkeys(("params_m", "macs_g", "gflops", "size_mib", "size_px"), "complexity.json"),
    **dict.fromkeys(("epochs", "train_s", "precision"), "train.json"),
    "tile_px": "accuracy.json",
}
RATIO = Column("ratio_to_reference", "time", "of reference", number, priority=3)
TIMED = (
    "ratio_to_reference",
    "latency_ms_p50",
    "latency_ms_p90",
    "latency_ms_p99",
    "fps",
    "tiles_per_image",
    IMAGE_LATENCY,
)


def score_column(key: str, heading: str, priority: int) -> Column:
    """A share in percent."""
    return Column(key, heading, "%", percent, priority=priority)


def measured_column(key: str, heading: str, unit: str, priority: int) -> Column:
    """A figure with three digits."""
    return Column(key, heading, unit, number, priority=priority)


def whole_column(key: str, heading: str, unit: str, priority: int) -> Column:
    """A whole number."""
    return Column(key, heading, unit, whole, priority=priority)


PAIR_COLUMNS = (
    word_column("dataset", "dataset", 6),
    word_column("protocol", "protocol", 6),
    word_column("figure", "figure", 2),
    word_column("first", "first", NAME),
    word_column("second", "second", NAME),
    Column("difference", "difference in points", write=points, priority=HEADLINE, align="left"),
    Column("p_corrected", "p", write=p_value, priority=4, align="left"),
    Column("n_groups", "groups", write=str, priority=5, align="left"),
    word_column("verdict", "verdict", 3),
    Column("seeds_needed", "seeds that would settle it", write=str, priority=8, align="left"),
    word_column("test", "test", 9),
)
SETTLING_NOTE = (
    "Seeds that would settle it: seeds of each method with which a pair that is not told apart would be, four times in "
    "five, if the difference and the variances of seeds and groups are as measured and the test part stays. Few seeds "
    "tell variances poorly, and a pair that is close by chance may need fewer."
)
PAIRS_NOTE = (
    "Intervals are uncorrected. Verdicts against the method that leads in a figure are corrected by Holm's procedure "
    "over all pairs of that method (p, by Student's distribution); other pairs are not."
)
TILE_COLUMNS = [
    whole_column("tile_px", "tile", "px", 12),
    measured_column("tiles_per_image", "tiles", "an image", 13),
    measured_column(IMAGE_LATENCY, "p50 an image", "ms", 5),
]
PRECISION = Column("precision", "precision", write=str, priority=20)
FULL = "float32"


def shown_columns(columns: Sequence[Column], rows: Sequence[Costs]) -> list[Column]:
    """The columns of a comparison without those that say nothing: ratios of earlier timings, float32 throughout."""
    empty = [] if any(row.ratio_to_reference is not None for row in rows) else [RATIO]
    empty += [] if any(row.precision not in (None, FULL) for row in rows) else [PRECISION]
    empty += [] if is_tiled(rows) else TILE_COLUMNS
    return [column for column in columns if column not in empty]


def is_tiled(rows: Sequence[Costs]) -> bool:
    """Whether any row has images that were cut into tiles."""
    return any(row.tile_px is not None for row in rows)


def shown_fields(keys: Sequence[str], rows: Sequence[Costs]) -> list[str]:
    """Keys of a CSV without those of tiles, where there are none."""
    return [key for key in keys if key not in TILED or is_tiled(rows)]


COUNTED = Column("n_seeds", "n", f"seeds {TIMES} images", priority=4)


def place_block(row: Any, entries: Sequence[Entry]) -> RowBlock:
    """The block of a dataset and protocol, with what its certificate says."""
    share = f"{100 * row.leak_share:.1f}".removesuffix(".0")
    here = (row.dataset, row.protocol)
    paths = [e.certificate_path for e in entries if key_of(e)[:2] == here]
    leaked = row.leak_share > 0
    return RowBlock(
        title=f"{row.dataset}, {row.protocol}{LEAKED if leaked else ''}",
        lead=f"{share} % of {row.n_images:,} test images show surface seen in training",
        link=("certificate", paths[0].as_posix()) if paths else ("", ""),
        is_warning=leaked,
        anchor=anchor(*here),
    )


def method_rows(
    rows: Sequence[Costs],
    columns: Sequence[Column],
    entries: Sequence[Entry],
    scores: Iterable[str],
) -> list[Row]:
    """Rows of a comparison: the best is bold, invalid timings are marked, each figure leads to its record.

    Args:
        rows: Rows by dataset and protocol, methods before controls.
        columns: What is shown of them.
        entries: The cells behind them.
        scores: Keys of figures that stand in the accuracy record.
    """
    behind = RECORDS | dict.fromkeys(scores, "accuracy.json")
    by_key = {key_of(entry): entry for entry in entries}
    return [_method_row(row, columns, by_key, place_block(row, entries), behind) for row in rows]


def _method_row(
    row: Any,
    columns: Sequence[Column],
    by_key: Mapping[Key, Entry],
    block: RowBlock,
    behind: Mapping[str, str],
) -> Row:
    made = row_of(row, block=block, is_control=row.is_control, flag=row.flags)
    entry = by_key.get((row.dataset, row.protocol, row.method))
    shown = {}
    for column in columns:
        cell = column.show(made)
        if column.key == COUNTED.key:
            cell = Shown(f"{row.n_seeds} {TIMES} {row.n_images:,}")
        if made.values.get(column.key) is None or column is NAMED:
            continue
        timed = column.key in TIMED
        name = f"latency/{row.engine}.json" if timed else behind.get(column.key, "")
        shown[column.key] = replace(
            cell,
            bold=column.key in row.best.split(),
            mark=INVALID if timed and not row.latency_valid else "",
            href=record_of(entry, name) if name and entry else "",
        )
    return replace(made, shown=shown)


def record_of(entry: Entry, name: str) -> str:
    """One seed's record; for several seeds the list of all of them further down the page."""
    if len(entry.cells) > 1:
        return f"#{anchor('runs', *key_of(entry))}"
    return (entry.first.folder / name).as_posix()


def sources(entries: Sequence[Entry]) -> list[tuple[str, Mapping[str, str]]]:
    """The records of all cells, by the name of each."""
    return [
        (f"{entry.title}, {cell.dataset}, {cell.protocol}, seed {cell.seed}", record_links(cell))
        for entry in entries
        for cell in entry.cells
    ]


def runs_table(name: str, entries: Sequence[Entry], scores: Mapping[str, str]) -> Table:
    """A line for each seed of each method, with some of its scores and its records.

    Args:
        name: Name of the table.
        entries: The methods.
        scores: Headings of scores by figure of the accuracy record.
    """
    columns = [
        NAMED,
        word_column("dataset", "dataset"),
        word_column("protocol", "protocol"),
        word_column("seed", "seed", NAME),
        *(Column(key, f"{heading}, %", align="left") for key, heading in scores.items()),
        word_column("train_s", "training, s"),
        word_column("created", "scored"),
        word_column("records", "records"),
    ]
    rows = [
        _run(entry, cell, scores, first=cell is entry.first)
        for entry in entries
        for cell in entry.cells
    ]
    software = sorted({version for entry in entries for version in _software(entry)})
    notes = [" · ".join(software)]
    return Table(name, "All runs", columns, rows, notes, formats=("page",), anchor="runs")


def _run(entry: Entry, cell: CellRecords, scores: Mapping[str, str], first: bool) -> Row:
    figures = cell.accuracy["figures"]
    values = {
        "title": entry.title,
        "dataset": cell.dataset,
        "protocol": cell.protocol,
        "seed": cell.seed,
        "train_s": whole(cell.train["figures"]["train_s"]) if cell.train else NOTHING,
        "created": cell.accuracy["created"],
        **{name: percent(figures[name]) for name in scores},
    }
    links = {"records": Shown("", links=tuple(record_links(cell).items()))}
    return Row(values, links, anchor=anchor("runs", *key_of(entry)) if first else "")


def _software(entry: Entry) -> list[str]:
    return [
        f"{name} {version}"
        for cell in entry.cells
        for name, version in (cell.train or cell.accuracy)["software"].items()
    ]


def settling(pair: Any) -> Shown:
    """Seeds that would settle a pair, or why no number is known; nothing of one that is settled."""
    if pair.seeds_needed is not None:
        return Shown(whole(pair.seeds_needed))
    return Shown(pair.seeds_limit or NOTHING)


def pair_table(
    name: str,
    pairs: Sequence[Pair],
    titles: Mapping[Key, str],
    figures: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Table:
    """Pairs as a table.

    Args:
        name: Stem of its files.
        pairs: Methods beside each other.
        titles: Names of the methods in tables, by dataset, protocol and method.
        figures: Headings of what they are compared in.
        notes: What stands first below it.
    """
    known = any(pair.seeds_needed is not None or pair.seeds_limit for pair in pairs)
    columns = [column for column in PAIR_COLUMNS if known or column.key != "seeds_needed"]
    rows = []
    for pair in pairs:
        first, second = (
            Shown(titles[pair.dataset, pair.protocol, method])
            for method in (pair.first, pair.second)
        )
        difference = Shown(points(pair.difference), interval(points, pair.low, pair.high))
        shown = {"first": first, "second": second, "difference": difference}
        shown["figure"] = Shown(figures[pair.figure])
        shown["seeds_needed"] = settling(pair)
        rows.append(row_of(pair, shown=shown))
    started = start_notes(name for pair in pairs for name in (pair.first, pair.second))
    below = [*notes, *started, PAIRS_NOTE, *([SETTLING_NOTE] if known else [])]
    return Table(
        name=name,
        title="Who is better",
        columns=columns,
        rows=rows,
        notes=below if pairs else [],
        fields=keys_of(Pair),
        empty="There is one method only.",
        formats=("csv", "page"),
        anchor="pairs",
    )


def titles_of(entries: Sequence[Entry]) -> dict[Key, str]:
    """Names of methods in tables."""
    return {key_of(entry): entry.title for entry in entries}


def seed_units(rows: Sequence[Any]) -> str:
    """What intervals of scores are over, in words."""
    words = {
        GROUPS: "the groups of the test part, given this trained network",
        SEEDS_AND_GROUPS: "seeds and the groups of the test part (Student)",
    }
    units = dict.fromkeys(row.interval_over for row in rows if not row.is_control)
    return " or, where there is one seed, ".join(
        words[unit] for unit in sorted(units or {GROUPS}, reverse=True)
    )


def interval_notes(rows: Sequence[Any]) -> list[str]:
    """What the intervals of scores are over, and which cannot be believed to the letter."""
    lines = [f"Scores in percent with their 95 % interval over {seed_units(rows)}."]
    few = {
        f"{row.dataset}, {row.protocol} ({row.n_groups})": None
        for row in rows
        if not row.is_control and row.n_groups < LEAST_GROUPS
    }
    if few:
        lines.append(
            f"Under {LEAST_GROUPS} groups an interval may hold the truth less often than it says: {'; '.join(few)}."
        )
    return lines


def verdict_notes(pairs: Sequence[Pair]) -> list[str]:
    """How it was told which method is the best."""
    if not pairs:
        return []
    tests = " or ".join(dict.fromkeys(pair.test for pair in pairs))
    return [
        f"Bold: the best of its block, told apart from every other method ({tests}; p values against the leader "
        "corrected for their number by Holm's procedure; counts are exact)."
    ]


def hardware_notes(entries: Sequence[Entry], phases: str) -> list[str]:
    """Where methods were timed and trained; one sentence a kind of measurement.

    Args:
        entries: The methods.
        phases: What a timed call does.
    """
    cells = [cell for entry in entries for cell in entry.cells]
    timed = dict.fromkeys(
        f"{_engine(cell.engine)}, {_threads(cell.latency['figures']['threads'])}, {_machine(cell.latency)}"
        for cell in cells
        if cell.latency
    )
    trained = dict.fromkeys(
        f"{epochs_of(cell.train)} epochs, {_trained_on(cell.train)}, "
        f"{_threads(cell.train['figures'].get('threads'))}"
        for cell in cells
        if cell.train
    )
    lines = []
    if timed:
        what = f"Latency: batch 1, end to end ({phases})"
        lines.append(f"{what}, {'; '.join(timed)}; FPS = 1000 / p50.")
    lines += _reference_notes([cell.latency for cell in cells if cell.latency])
    return [*lines, f"Training: {'; '.join(trained)}."] if trained else lines


def _reference_notes(timings: Sequence[dict]) -> list[str]:
    """What ratios are to, where timings have them."""
    held = [timing for timing in timings if "ratio_to_reference" in timing["figures"]]
    if not held:
        return []
    hashes = dict.fromkeys(
        timing.get("settings", {}).get("reference_sha256", "") for timing in held
    )
    names = [reference_name(sha256) for sha256 in hashes]
    line = (
        "Time of reference: latency over that of the reference model, timed in turn in the same processes, with "
        "its 95 % interval. It travels between machines and loads, milliseconds do not. "
        f"The reference model: {' or '.join(names)}."
    )
    if len(names) > 1:
        line += " Rows with one do not compare with rows with another: race them together."
    return [line]


def _engine(name: str) -> str:
    return "a runner of the method's own" if name == OWN_RUNNER else name


def _threads(count: int | None) -> str:
    if count is None:
        return "threads not recorded"
    return f"{count} thread{'' if count == 1 else 's'}"


def _machine(record: dict) -> str:
    hardware = record["hardware"]
    return f"{hardware['cpu']} with {hardware['cores']} cores"


def _trained_on(record: dict) -> str:
    """The machine, and before it the device where that is no processor of its own."""
    device = record.get("device", record["hardware"]["cpu"])
    machine = _machine(record)
    return machine if device == record["hardware"]["cpu"] else f"{device} and {machine}"


def tile_notes(rows: Sequence[Costs]) -> list[str]:
    """What figures of tiles and of images are, where images are cut into tiles."""
    if not is_tiled(rows):
        return []
    return [
        "Tiles: images are cut into tiles of that side; scores are of whole images, whose boxes are merged from those "
        "of their tiles. Latency and FPS are of a tile; p50 an image is the number of tiles times that of a tile, and "
        "the merging."
    ]


def precision_notes(rows: Sequence[Costs]) -> list[str]:
    """What other precisions mean, where there are any."""
    if not any(row.precision and row.precision != FULL for row in rows):
        return []
    return ["Precision: of the numbers in training; what is scored and timed computes in float32."]


def start_notes(methods: Iterable[str]) -> list[str]:
    """What it means that some rows start from published weights, where some do.

    Args:
        methods: Names of the rows, controls among them or not.
    """
    rows = [name for name in dict.fromkeys(methods) if not name.startswith(CONTROL)]
    starts = dict.fromkeys(start for name in rows if (start := variant_of(name).start))
    if not starts:
        return []
    named = " or ".join(f"from {data_title(start)}" for start in starts)
    line = f"Rows {named} start from weights that others trained on those data"
    if all(variant_of(name).start for name in rows):
        return [f"{line}; there is no row from scratch."]
    return [
        f"{line}, all others from scratch. Order, bold and verdicts go over both: what is told of two rows of "
        "different starts is told of their starts as well."
    ]


def mark_notes(rows: Sequence[Any]) -> list[str]:
    """What the marks of leaked protocols and invalid timings mean, where there are any."""
    lines = []
    if any(row.leak_share > 0 for row in rows):
        lines.append(f"{LEAKED} leaked protocol: test images show surface seen in training.")
    bad = [row for row in rows if row.latency_valid is False]
    reasons = [f"{r.title} ({r.protocol}): {r.latency_invalid_because}" for r in bad]
    if reasons:
        lines.append(f"{INVALID} invalid timing, not to be cited: {' · '.join(reasons)}.")
    return lines
