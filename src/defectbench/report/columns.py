"""What the comparison shows: columns, how numbers are written, sections and the caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .collect import OWN_RUNNER, Entry, epochs_of
from .pairs import Pair
from .rows import Row

NOTHING = "\u2013"
TIMES = "\u00d7"
LEAKED = "†"
INVALID = "‡"


@dataclass(frozen=True)
class Shown:
    """One cell of a table, ready for any format.

    Attributes:
        text: The figure.
        aside: Its interval, in smaller type; may be empty.
        bold: Whether it is the best, distinguishably.
        mark: A mark that the caption explains; may be empty.
        record: The record behind it, relative to a cell's folder; empty without one.
    """

    text: str
    aside: str = ""
    bold: bool = False
    mark: str = ""
    record: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the comparison.

    Attributes:
        heading: Its name.
        unit: Unit of its figures; may be empty.
        figure: Field of the row that it shows.
        write: Writes the figure of a row.
        record: The record behind it, relative to a cell's folder.
    """

    heading: str
    unit: str
    figure: str
    write: Callable[[Any], str]
    record: str = ""

    def show(self, row: Any) -> Shown:
        """The cell of this column in a row."""
        if getattr(row, self.figure) is None:
            return Shown(NOTHING)
        timed = self.figure.startswith(("latency_ms", "fps"))
        return Shown(
            self.write(row),
            aside=interval(row, self.figure, shares=self.unit in ("%", "points")),
            bold=self.figure in row.best.split(),
            mark=INVALID if timed and not row.latency_valid else "",
            record=f"latency/{row.engine}.json" if timed else self.record,
        )


@dataclass(frozen=True)
class Section:
    """The rows of one dataset and protocol.

    Attributes:
        dataset: Name of the dataset.
        protocol: How its parts were made.
        leak_share: Share of test images that show surface of a training image.
        n_images: Images of the test part.
        methods: Rows of methods.
        controls: Rows of controls.
    """

    dataset: str
    protocol: str
    leak_share: float
    n_images: int
    methods: list[Any]
    controls: list[Any]

    @property
    def mark(self) -> str:
        """The mark of a leaked protocol."""
        return LEAKED if self.leak_share > 0 else ""

    @property
    def leak(self) -> str:
        """What the certificate says of the split, in words."""
        share = f"{100 * self.leak_share:.1f}".removesuffix(".0")
        return f"{share} % of {self.n_images:,} test images show surface seen in training"


def percent(value: float | None) -> str:
    """A share in percent, one decimal."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def number(value: float | None) -> str:
    """A figure with three significant digits, never in exponents.

    Example:
        >>> [number(v) for v in (0.1025, 3.0068, 24.51, 1234.5)]
        ['0.102', '3.01', '24.5', '1,234']
    """
    if value is None:
        return NOTHING
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def interval(row: Any, figure: str, shares: bool) -> str:
    """The interval of a figure in brackets, in percent for shares; empty where the row has none."""
    low, high = (getattr(row, f"{figure}_{end}", None) for end in ("low", "high"))
    if low is None or high is None:
        return ""
    write = percent if shares else number
    return f"[{write(low)}, {write(high)}]"


def _count(row: Any) -> str:
    return f"{row.n_seeds} {TIMES} {row.n_images:,}"


def score_column(heading: str, figure: str) -> Column:
    """A column of a share in percent."""
    return Column(heading, "%", figure, lambda row: percent(getattr(row, figure)), "accuracy.json")


def measured_column(heading: str, unit: str, figure: str, record: str = "") -> Column:
    """A column of a figure with three digits."""
    return Column(heading, unit, figure, lambda row: number(getattr(row, figure)), record)


def whole_column(heading: str, unit: str, figure: str, record: str) -> Column:
    """A column of a whole number."""
    return Column(heading, unit, figure, lambda row: f"{getattr(row, figure):,.0f}", record)


def count_column() -> Column:
    """The column of seeds and images."""
    return Column("n", f"seeds {TIMES} images", "n_seeds", _count, "accuracy.json")


COLUMNS = (
    whole_column("size", "px", "size_px", "complexity.json"),
    whole_column("epochs", "", "epochs", "train.json"),
    score_column("mAP50", "map50"),
    score_column("mAP50-95", "map50_95"),
    count_column(),
    measured_column("params", "M", "params_m", "complexity.json"),
    measured_column("MACs", "G", "macs_g", "complexity.json"),
    measured_column("FLOPs", "G", "gflops", "complexity.json"),
    measured_column("file", "MiB", "size_mib", "complexity.json"),
    measured_column("p50", "ms", "latency_ms_p50"),
    measured_column("p90", "ms", "latency_ms_p90"),
    measured_column("p99", "ms", "latency_ms_p99"),
    measured_column("FPS", "1/s", "fps"),
    whole_column("train", "s", "train_s", "train.json"),
)


def sections(rows: Sequence[Any]) -> list[Section]:
    """Group rows, in their order, by dataset and protocol."""
    found = []
    for (dataset, protocol), group in groupby(rows, key=lambda row: (row.dataset, row.protocol)):
        block = list(group)
        methods = [row for row in block if not row.is_control]
        controls = [row for row in block if row.is_control]
        head = block[0]
        found.append(Section(dataset, protocol, head.leak_share, head.n_images, methods, controls))
    return found


def caption(rows: Sequence[Row], entries: Sequence[Entry], pairs: Sequence[Pair]) -> list[str]:
    """Sentences that say what the numbers are, on what they were measured, and what marks mean."""
    lines = [f"Scores in percent with their 95 % interval over {seed_units(rows)}."]
    if pairs:
        tests = " or ".join(dict.fromkeys(pair.test for pair in pairs))
        best = "Bold: the best of its block, told apart from every other method"
        lines.append(f"{best} ({tests}; counts are exact).")
    lines.append(f"FLOPs = 2 {TIMES} MACs of the deployed file at the stated size.")
    lines += hardware_lines(entries, "preprocessing, network, NMS")
    if any(row.leak_share > 0 for row in rows):
        lines.append(f"{LEAKED} leaked protocol: test images show surface seen in training.")
    lines += _invalid(rows) + _uncounted(rows) + _flags(rows)
    if any(row.is_control for row in rows):
        lines.append("Below the rule: controls, which learn nothing and mark floor and ceiling.")
    return lines


def seed_units(rows: Sequence[Any]) -> str:
    """What intervals of scores are over, in words."""
    words = {"groups": "the groups of the test part", "seeds": "seeds (Student)"}
    units = dict.fromkeys(row.interval_over for row in rows if not row.is_control)
    return " or, where there is one seed, ".join(
        words[unit] for unit in sorted(units or {"groups"}, reverse=True)
    )


def hardware_lines(entries: Sequence[Entry], phases: str) -> list[str]:
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
    return [*lines, f"Training: {'; '.join(trained)}."] if trained else lines


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


def _invalid(rows: Sequence[Row]) -> list[str]:
    bad = [row for row in rows if row.latency_valid is False]
    reasons = [f"{r.title} ({r.protocol}): {r.latency_invalid_because}" for r in bad]
    return [f"{INVALID} invalid timing, not to be cited: {' · '.join(reasons)}."] if bad else []


def _uncounted(rows: Sequence[Row]) -> list[str]:
    names = [row.title for row in rows if row.engine == OWN_RUNNER]
    said = "its framework writes no file in the suite's signature: scored from its own predictions, timed by"
    return [f"{name}: {said} its own runner, not counted." for name in dict.fromkeys(names)]


def _flags(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row.title} on {row.dataset}, {row.protocol}, scores {row.flags}: "
        "outside the range of the controls, never bold."
        for row in rows
        if row.flags
    ]
