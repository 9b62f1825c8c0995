"""Figures in prose: a page names a record, and the figure is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from ..base.errors import ReportError
from ..base.files import read_json
from ..measure.statistics import Interval
from .records import KeptCell, KeptMethod, read_rows

DASH = "\u2013"


@dataclass(frozen=True)
class Facts:
    """What templates of pages may ask of the reference records; paths are below ``root``.

    Attributes:
        root: ``results/reference``.
    """

    root: Path

    def value(self, path: str, key: str) -> Any:
        """A figure of a record, by dotted key below ``figures``.

        Raises:
            ReportError: The record has no such figure.
        """
        figures: Any = read_json(self.root / path).get("figures")
        for part in key.split("."):
            figures = figures.get(part) if isinstance(figures, dict) else None
        if figures is None:
            raise ReportError(self.root / path, key, None, "name a figure of the record")
        return figures

    def score(self, method: str, figure: str = "map50") -> str:
        """A score in percent with its interval, over seeds where several are kept.

        Args:
            method: Folder of the method, such as ``neu-det/clean/yolov8n``.
            figure: Which score.
        """
        return percent_interval(self.interval(method, figure))

    def interval(self, method: str, figure: str) -> Interval:
        """A score with its interval.

        Raises:
            ReportError: No such score is kept.
        """
        folders = sorted((self.root / method).glob("seed*"))
        score = KeptMethod(method, [KeptCell(folder) for folder in folders]) if folders else None
        interval = score.score(figure) if score else None
        if interval is None:
            raise ReportError(self.root / method, figure, None, "name a kept method and score")
        return interval

    def row(self, table: str, **wanted: str) -> dict[str, str]:
        """The one line of a kept table in which fields have these values.

        Raises:
            ReportError: No line has them, or several.
        """
        lines = read_rows(self.root / table)
        fit = [line for line in lines if wanted.items() <= line.items()]
        if len(fit) != 1:
            raise ReportError(self.root / table, str(wanted), len(fit), "name one line")
        return fit[0]

    def rows(self, table: str) -> list[dict[str, str]]:
        """All lines of a kept table, by heading.

        Raises:
            ReportError: There is no such table.
        """
        return read_rows(self.root / table)

    def count(self, table: str) -> int:
        """Lines of a kept table."""
        return len(self.rows(table))

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
        for a, b, sign in ((first, second, 1), (second, first, -1)):
            lines = read_rows(self.root / group / f"{table}.csv")
            for line in lines:
                if (line["figure"], line["first"], line["second"]) == (figure, a, b):
                    ends = [sign * float(line[end]) for end in ("low", "high")][::sign]
                    return points_interval(sign * float(line["difference"]), *ends)
        raise ReportError(
            self.root / group, table, f"{first}, {second}", "name two that are compared"
        )

    def stage(self, group: str, method: str, stage: str, seed: str = "0") -> str:
        """How far a stage of a compressed method is above its base, in points with its interval."""
        line = self.row(f"{group}/compression.csv", method=method, stage=stage, seed=seed)
        return points_interval(*(float(line[f"difference{end}"]) for end in ("", "_low", "_high")))

    def difference_of_seeds(self, first: str, second: str, figure: str) -> str:
        """Mean of the first minus that of the second over seeds, in points, with Welch's 95 % interval.

        Args:
            first: Folder of a method with several seeds.
            second: Folder of the other.
            figure: Which score.
        """
        values = [
            [
                KeptCell(folder).accuracy[figure]
                for folder in sorted((self.root / name).glob("seed*"))
            ]
            for name in (first, second)
        ]
        ends = stats.ttest_ind(*values, equal_var=False).confidence_interval(0.95)
        means = [sum(scores) / len(scores) for scores in values]
        return points_interval(means[0] - means[1], ends.low, ends.high)


def percent(value: float | str) -> str:
    """A share in percent, one decimal.

    Example:
        >>> percent(0.31941), percent("1.0")
        ('31.9', '100')
    """
    text = f"{100 * float(value):.1f}"
    return text.removesuffix(".0") if float(text) >= 100 else text


def percent_interval(interval: Interval) -> str:
    """A score in percent with its interval, where it has a width.

    Example:
        >>> percent_interval(Interval(0.5, 0.45, 0.55, 9, "groups"))
        '50.0 [45.0, 55.0]'
    """
    if interval.low == interval.high:
        return percent(interval.estimate)
    return f"{percent(interval.estimate)} [{percent(interval.low)}, {percent(interval.high)}]"


def points_interval(value: float, low: float, high: float) -> str:
    """A difference of scores in points with its interval.

    Example:
        >>> points_interval(0.0300, 0.0049, 0.0551), points_interval(-0.00001, -0.1, 0.1)
        ('+3.0 [+0.5, +5.5]', '0.0 [-10.0, +10.0]')
    """
    return f"{_signed(value)} [{_signed(low)}, {_signed(high)}]"


def _signed(value: float) -> str:
    text = f"{100 * value:+.1f}"
    return text[1:] if float(text) == 0 else text


def number(value: float | str | None) -> str:
    """A figure with three significant digits, never in exponents.

    Example:
        >>> [number(v) for v in (0.1025, 3.0068, 24.51, 1234.5)]
        ['0.102', '3.01', '24.5', '1,234']
    """
    if value is None or value == "":
        return DASH
    size = abs(float(value))
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{float(value):,.{digits}f}"
