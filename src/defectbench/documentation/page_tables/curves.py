"""How scores on validation grow with the epochs: what more of them would give."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any

from ...base.tasks import task_named
from ...report.numbers import percent, points
from ...report.records.cells import Entry
from ...report.records.kept_rows import read_rows
from ...report.table import HEADLINE, NAME, Column, Row, Table, word_column
from ..facts import Facts

MOST = 10  # columns that a page has room for
NOT_SHARED = "There is no epoch at which all methods were validated, and nothing to compare."


def curves_table(facts: Facts, folder: str) -> Table:
    """Validation scores of the methods of a folder, at the epochs at which all of them were validated.

    What was trained for one epoch, or looks at the images once, has no curve.

    Args:
        facts: The records.
        folder: Folder of reference.
    """
    curves = [
        (entry, curve)
        for entry in facts.references.study(folder).entries
        if set(curve := validated(entry)) - {1}
    ]
    epochs = shared_epochs(curve for _, curve in curves)
    columns = [
        word_column("dataset", "dataset"),
        word_column("protocol", "protocol"),
        word_column("method", "method", NAME),
        word_column("figure", "figure"),
        *(
            Column(str(epoch), f"epoch {epoch}", "%", percent, priority=HEADLINE)
            for epoch in epochs
        ),
    ]
    if len(epochs) > 1:
        columns.append(Column("gain", f"from epoch {epochs[-2]} on", "points", points))
    rows = []
    for entry, curve in curves if epochs else ():
        first, figure = entry.first, task_named(entry.task).validation_title
        values: dict[str, Any] = {"dataset": first.dataset, "protocol": first.protocol}
        values |= {"method": entry.title, "figure": figure}
        values |= {str(epoch): curve[epoch] for epoch in epochs}
        if len(epochs) > 1:
            values["gain"] = curve[epochs[-1]] - curve[epochs[-2]]
        rows.append(Row(values))
    alike = [
        key for key in ("dataset", "figure") if len({str(row.values[key]) for row in rows}) < 2
    ]  # what a page says of all of them
    shown = [column for column in columns if column.key not in alike]
    title, empty = "Scores on validation by epoch", NOT_SHARED if curves else ""
    return Table("curves", title, shown, rows, empty=empty)


def validated(entry: Entry) -> dict[int, float]:
    """Score by epoch, as a mean over seeds; of the epochs that all seeds were validated at. Nothing of controls."""
    histories = [cell.folder / "history.csv" for cell in entry.cells]
    if not all(path.is_file() for path in histories):
        return {}
    key = task_named(entry.task).validation_key
    of_seeds = [
        {row["epoch"]: row[key] for row in read_rows(path) if row.get(key) is not None}
        for path in histories
    ]
    return {
        epoch: mean(scores[epoch] for scores in of_seeds)
        for epoch in of_seeds[0]
        if all(epoch in scores for scores in of_seeds)
    }


def shared_epochs(curves: Iterable[dict[int, float]]) -> list[int]:
    """Epochs that all curves have, the last among them; where they are many, evenly thinned."""
    known = [set(curve) for curve in curves]
    epochs = sorted(set.intersection(*known)) if known else []
    step = -(-len(epochs) // MOST) or 1
    return epochs[::-1][::step][::-1]
