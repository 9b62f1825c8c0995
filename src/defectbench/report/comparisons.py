"""What the comparisons of all tasks share: the head of a row, the order of rows, and how their table is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .columns import method_rows, shown_columns, shown_fields, sources
from .records.cells import Entry, Key, control_rank, key_of
from .records.comparison import ByFigure, Pair, compare_entries, score_interval
from .records.costs import Costs
from .table import Column, Table, keys_of


def by_place(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries of one dataset and protocol after the other."""
    for _, group in groupby(entries, key=lambda entry: key_of(entry)[:2]):
        yield list(group)


def pairs_by_place(
    entries: Sequence[Entry], figures: Sequence[str], runs: Mapping[Key, ByFigure | None]
) -> list[Pair]:
    """All methods of each dataset and protocol compared, one place after the other.

    Args:
        entries: The methods and controls of one task.
        figures: What they are compared by.
        runs: What each scores on resamples of its test part; controls, which are not compared, may lack.
    """
    pairs = []
    for rivals in by_place(entries):
        keys = [key_of(entry) for entry in rivals]
        here = {key[2]: runs[key] for key in keys if key in runs}
        pairs += compare_entries(rivals, figures=figures, runs=here)
    return pairs


def row_head(entry: Entry, scores: Sequence[str], runs: ByFigure | None = None) -> dict[str, Any]:
    """Fields that a row has in any task: its names, scores with their ends, and what stands behind them.

    Args:
        entry: All seeds of a method.
        scores: Figures of the accuracy record; ``interval_over`` is that of the first.
        runs: What its seeds score on resamples of the test part, where predictions are at hand.
    """
    first, counted = entry.first, entry.first.accuracy["figures"]
    intervals = {name: score_interval(entry, name, runs) for name in scores}
    fields: dict[str, Any] = {
        "dataset": first.dataset,
        "protocol": first.protocol,
        "method": first.method,
        "title": entry.title,
        "interval_over": intervals[scores[0]].unit,
        "n_seeds": len(entry.cells),
        "seeds": " ".join(str(cell.seed) for cell in entry.cells),
        "n_images": counted["n_images"],
        "n_groups": counted["n_groups"],
        "leak_share": entry.leak_share,
        "record": first.folder.parent.as_posix(),
    }
    for name, score in intervals.items():
        fields |= {name: score.estimate, f"{name}_low": score.low, f"{name}_high": score.high}
    return fields


def place_of(row: Costs, figure: str) -> tuple[bool, float, str]:
    """Sorts rows: methods by a falling figure, then controls in the order of tables."""
    if row.is_control:
        return True, control_rank(row.method), row.method
    return False, -getattr(row, figure), row.method


def comparison_table(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Costs],
    entries: Sequence[Entry],
    scored: Sequence[str],
    notes: Sequence[str],
    caption: str,
    below: Sequence[Table] = (),
) -> Table:
    """The table of methods and controls, in every format.

    Args:
        name: Stem of its files.
        title: Its heading.
        columns: What is shown, where any row has it.
        rows: Rows of one class, by dataset and protocol; at least one.
        entries: The cells behind them.
        scored: Keys of figures that stand in the accuracy record.
        notes: Sentences below it.
        caption: What it is, in a sentence, for LaTeX.
        below: Tables that stand in the same Markdown document.
    """
    shown = shown_columns(columns, rows)
    return Table(
        name=name,
        title=title,
        columns=shown,
        rows=method_rows(rows, shown, entries, scored),
        notes=notes,
        fields=shown_fields(keys_of(type(rows[0])), rows),
        caption=caption,
        formats=("csv", "md", "tex", "page", "terminal"),
        below=below,
        records=sources(entries),
    )
