"""Folders of reference as the report shows them, with what a page has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ..measure.claims_audit.audit import audit_folder
from ..measure.claims_audit.outcome import AuditOutcome
from ..report.kept_tables import kept_tables
from ..report.numbers import NOTHING
from ..report.records.study import StudyRecords, read_study
from ..report.table import Row, Shown, Table
from ..report.topics import parts_of

COMPARISONS = ("comparison", "classification", "anomaly")
ENGINES = ("engines", "engine_speed", "engine_starts")
PREMIUMS = "leakage"
ESCAPES = "escape_rate_images"
# What a page has no room for; the report of the same records shows it.
LEFT_OUT = ("gflops", "latency_ms_p90", "latency_ms_p99", "fps", "macro_f1")

MOST_LINES = 3  # of cells that lack the same
_LACK = ", has no "


@dataclass(frozen=True)
class References:
    """The folders of kept records, each read once.

    Attributes:
        root: ``results/reference``.
        models_dir: Where method cards lie, for titles.
    """

    root: Path
    models_dir: Path
    _studies: dict[str, StudyRecords] = field(default_factory=dict)

    def study(self, folder: str) -> StudyRecords:
        """The cells of a folder.

        Raises:
            ReportError: It holds no cell, or records do not belong together.
        """
        if folder not in self._studies:
            path = self.root / folder
            self._studies[folder] = read_study([path], self.models_dir, is_kept=True)
        return self._studies[folder]

    @cached_property
    def audit(self) -> list[AuditOutcome]:
        """The claims audit of the printed tables beside the methods."""
        return audit_folder(self.models_dir)


def comparisons(study: StudyRecords) -> list[Table]:
    """The comparisons of the methods of a folder; what it keeps no record of is told in a note of the first one."""
    lacks = together(study.lacks or [])
    first, *others = [t for t in study.share(_tables) if t.name in COMPARISONS]
    return [replace(first, notes=[*first.notes, *lacks]), *others]


def together(lacks: Sequence[str]) -> list[str]:
    """Sentences on what single cells lack; of more than three that say the same, how many there are.

    Example:
        >>> together([f"net on steel, seed {n}, has no plan." for n in range(4)] + ["No images."])
        ['4 cells, each of another method, protocol or seed, have no plan.', 'No images.']
    """
    ends = Counter(lack.partition(_LACK)[2] for lack in lacks)
    lines = {}
    for lack in lacks:
        end = lack.partition(_LACK)[2]
        many = f"{ends[end]} cells, each of another method, protocol or seed, have no {end}"
        lines[many if end and ends[end] > MOST_LINES else lack] = None
    return list(lines)


def of_engines(study: StudyRecords) -> list[Table]:
    """The tables of engines, precisions and second figures of the race, where a folder has some."""
    return [table for table in study.share(_tables) if table.name in ENGINES]


def _tables(study: StudyRecords) -> list[Table]:
    return [part for part in parts_of(study) if isinstance(part, Table)]


def premiums(study: StudyRecords) -> Table:
    """What each method of a folder gains under protocols that leak."""
    (table,) = (table for table in study.share(_tables) if table.name == PREMIUMS)
    return table


def kept(study: StudyRecords) -> list[Table]:
    """The tables that lie beside the cells of a folder, from when their predictions were at hand."""
    places = dict.fromkeys(entry.first.folder.parents[1] for entry in study.entries)
    return [table for place in places for table in kept_tables(place, study.models_dir)]


def with_columns(table: Table, keys: Sequence[str]) -> Table:
    """A table with some of its columns, in this order."""
    by_key = {column.key: column for column in table.columns}
    return replace(table, columns=[by_key[key] for key in keys])


def by_block(table: Table) -> list[Table]:
    """A table for each block of rows, with the columns that have a figure there; notes stand below the last one."""
    tables = [
        _filled(replace(table, rows=[_without_escapes(row) for row in rows], notes=()))
        for _, rows in table.blocks()
    ]
    return [*tables[:-1], replace(tables[-1], notes=table.notes)]


def _without_escapes(row: Row) -> Row:
    """A control without its escapes: it learns nothing that a threshold could part."""
    return replace(row, shown={**row.shown, ESCAPES: Shown(NOTHING)}) if row.is_control else row


def _filled(table: Table) -> Table:
    columns = [
        replace(column, is_detail=False)
        for column in table.columns
        if column.key not in LEFT_OUT
        and any(column.show(row).text != NOTHING for row in table.rows)
    ]
    return replace(table, columns=columns)
