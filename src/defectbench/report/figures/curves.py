"""Training curves: loss and validation score by epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...base.errors import ReportError
from ..records.cell import CellRecords
from ..records.cells import Entry
from .style import LOG_FROM, Look, method_handle

VALIDATION = ("val_map50_95", "val_map50", "val_accuracy")
_VALIDATION_TITLES = {
    "val_map50_95": "validation mAP50-95, %",
    "val_map50": "validation mAP50, %",
    "val_accuracy": "validation accuracy, %",
}


def read_history(cell: CellRecords) -> dict[str, list[tuple[float, float]]]:
    """The training history of a cell: (epoch, value) by column, empty fields left out.

    Raises:
        ReportError: The file is missing, or has no column ``epoch`` or ``loss``.
    """
    path = cell.folder / "history.csv"
    if not path.is_file():
        fix = f"make it with: snakemake --cores 8 --forcerun {path} -- {path}"
        raise ReportError(path, "history", "nothing", fix)
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        names = reader.fieldnames or []
        for needed in ("epoch", "loss"):
            if needed not in names:
                raise ReportError(path, "columns", list(names), f"write a column {needed!r}")
        lines = list(reader)
    return {name: list(_points(path, lines, name)) for name in names}


def _points(
    path: Path, lines: Sequence[dict[str, str]], name: str
) -> Iterator[tuple[float, float]]:
    for number, line in enumerate(lines, start=2):
        try:
            if line[name]:
                yield float(line["epoch"]), float(line[name])
        except (TypeError, ValueError) as error:
            fix = "write numbers, or make the file again"
            raise ReportError(path, f"line {number}, {name}", line, fix) from error


def curves_figure(entries: Sequence[Entry], style: dict[str, Look]) -> Figure:
    """Training loss and validation score over epochs, one line a seed."""
    histories = [(e, [read_history(cell) for cell in e.cells]) for e in entries]
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    seen = {name for _, seeds in histories for history in seeds for name in history}
    score = next((name for name in VALIDATION if name in seen), VALIDATION[0])
    for entry, seeds in histories:
        look = style[entry.first.method]
        for history in seeds:
            _draw_curve(left, history["loss"], look, markers=False)
            points = [(epoch, 100 * value) for epoch, value in history.get(score, [])]
            _draw_curve(right, points, look, markers=True)
    _scale_loss(left)
    left.set_title("training loss, each method's own", loc="left")
    right.set_title(_VALIDATION_TITLES[score], loc="left")
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.set_xlim(left=0)
    first = entries[0].first
    figure.suptitle(f"{first.dataset}, {first.protocol}: training", fontsize=8.5, x=0.01, ha="left")
    handles = [method_handle(entry.title, style[entry.first.method]) for entry in entries]
    for handle in handles:
        handle.set_linestyle("-")
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _scale_loss(axis: Axes) -> None:
    """Logarithmic, with plain numbers at the ticks."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    few = high / low > LOG_FROM * LOG_FROM
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _draw_curve(
    axis: Axes, points: Sequence[tuple[float, float]], look: Look, markers: bool
) -> None:
    if not points:
        return
    epochs, values = zip(*points, strict=True)
    marker = look.marker if markers else "None"
    axis.plot(epochs, values, color=look.colour, linewidth=1.2, marker=marker, markersize=3.5)
