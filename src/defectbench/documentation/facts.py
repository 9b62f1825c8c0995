"""Figures in prose: a page names a record or a row of a table, and the figure is read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from ..base.errors import ReportError
from ..report.numbers import interval, points
from ..report.records.cells import Entry, key_of
from ..report.records.kept_rows import read_figure, read_rows
from ..report.table import Row, Table
from .reference import References, comparisons, kept


@dataclass(frozen=True)
class Facts:
    """What templates of pages may ask of the reference records; paths are below the folder of references.

    Attributes:
        references: The folders of kept records.
    """

    references: References

    def value(self, path: str, key: str) -> Any:
        """A figure of a record, by dotted key below ``figures``.

        Raises:
            ReportError: The record has no such figure.
        """
        return read_figure(self.references.root / path, key)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All lines of a kept table, by heading.

        Raises:
            ReportError: There is no such table.
        """
        return read_rows(self.references.root / table)

    def count(self, table: str) -> int:
        """Lines of a kept table."""
        return len(self.rows(table))

    def score(self, method: str, figure: str = "map50") -> str:
        """A score in percent with its interval, over seeds where several are kept, as the comparison shows it.

        Args:
            method: Folder of the method, such as ``neu-det/clean/yolov8n``.
            figure: Which score.

        Raises:
            ReportError: No such method or score is kept.
        """
        table, row = self.row_of(method)
        return _text(table, row, figure)

    def row_of(self, method: str) -> tuple[Table, Row]:
        """The row of a method, and the comparison that it stands in.

        Raises:
            ReportError: No such method is kept.
        """
        folder, *names = method.split("/")
        dataset, protocol, name = [folder, *names][-3:]
        wanted = {"dataset": dataset, "protocol": protocol, "method": name}
        return self._one_row(self.references.study(folder).share(comparisons), wanted, method)

    def pair(
        self, group: str, first: str, second: str, figure: str = "map50", table: str = "pairs"
    ) -> str:
        """How far one method is above another, in points with its interval; negative where it is below.

        Args:
            group: Folder of the kept table, such as ``neu-det/clean``.
            first: Name of a method.
            second: Name of the other.
            figure: In what.
            table: ``pairs``, or ``classification_pairs``.

        Raises:
            ReportError: The two are not compared there.
        """
        tables = [kept for kept in self._kept(group) if kept.name == table]
        for row in (row for table in tables for row in table.rows):
            values, names = row.values, (row.values["first"], row.values["second"])
            ends = [values["difference"], values["low"], values["high"]]
            if values["figure"] == figure and names == (first, second):
                return _points(*ends)
            if values["figure"] == figure and names == (second, first):
                difference, low, high = (0.0 - end for end in ends)
                return _points(difference, high, low)
        fix = "name two that are compared"
        raise ReportError(self.references.root / group, table, f"{first}, {second}", fix)

    def stage(self, group: str, method: str, stage: str, seed: int = 0) -> str:
        """How far a stage of a compressed method is above its base, in points with its interval.

        Raises:
            ReportError: No such stage is kept.
        """
        tables = [kept for kept in self._kept(group) if kept.name == "compression"]
        wanted = {"method": method, "stage": stage, "seed": seed}
        table, row = self._one_row(tables, wanted, group)
        return _text(table, row, "difference")

    def difference_of_seeds(self, first: str, second: str, figure: str) -> str:
        """Mean of the first minus that of the second over seeds, in points, with Welch's 95 % interval.

        Args:
            first: Folder of a method with several seeds.
            second: Folder of the other.
            figure: Which score.
        """
        return _points(*self.welch(first, second, figure))

    def welch(self, first: str, second: str, figure: str) -> tuple[float, float, float]:
        """The same as a difference of shares and the ends of its interval."""
        values = [
            [cell.accuracy["figures"][figure] for cell in self._entry(name).cells]
            for name in (first, second)
        ]
        ends = stats.ttest_ind(*values, equal_var=False).confidence_interval(0.95)
        means = [sum(scores) / len(scores) for scores in values]
        return means[0] - means[1], ends.low, ends.high

    def _entry(self, method: str) -> Entry:
        _, row = self.row_of(method)
        key = tuple(row.values[name] for name in ("dataset", "protocol", "method"))
        entries = self.references.study(method.split("/")[0]).entries
        return next(entry for entry in entries if key_of(entry) == key)

    def _kept(self, group: str) -> list[Table]:
        return self.references.study(group.split("/")[0]).share(kept)

    def _one_row(
        self, tables: Sequence[Table], wanted: dict[str, Any], where: str
    ) -> tuple[Table, Row]:
        """The one row in which fields have these values, and its table."""
        fit = [
            (table, row)
            for table in tables
            for row in table.rows
            if wanted.items() <= row.values.items()
        ]
        if len(fit) != 1:
            words = ", ".join(f"{key} {value}" for key, value in wanted.items())
            path = self.references.root / where
            raise ReportError(path, "rows", f"{len(fit)} with {words}", "name one row")
        return fit[0]


def _text(table: Table, row: Row, key: str) -> str:
    """A figure with its interval, as a table shows it."""
    columns = [column for column in table.columns if column.key == key]
    if not columns or row.values.get(key) is None:
        raise ReportError(table.name, key, None, "name a figure of the table")
    shown = columns[0].show(row)
    return f"{shown.text} {shown.aside}".strip()


def _points(value: float, low: float, high: float) -> str:
    return f"{points(value)} {interval(points, low, high)}"
