"""How scores on validation grow with the epochs: what more of them would give."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any

from ...report.numbers import percent, points
from ...report.records.cells import Entry
from ...report.records.kept_rows import read_rows
from ...report.table import HEADLINE, NAME, Column, Row, Table, word_column
from ..facts import Facts

SCORE = "val_map50_95"
MOST = 10  # columns that a page has room for


def curves_table(facts: Facts, folder: str) -> Table:
    """Validation mAP50-95 of the methods of a folder, at the epochs at which all of them were validated.

    Args:
        facts: The records.
        folder: Folder of reference.
    """
    curves = {
        (entry.first.dataset, entry.first.protocol, entry.title): curve
        for entry in facts.references.study(folder).entries
        if (curve := validated(entry))
    }
    epochs = shared_epochs(curves.values())
    columns = [
        word_column("protocol", "protocol"),
        word_column("method", "method", NAME),
        *(
            Column(str(epoch), f"epoch {epoch}", "%", percent, priority=HEADLINE)
            for epoch in epochs
        ),
    ]
    if len(epochs) > 1:
        columns.append(Column("gain", f"from epoch {epochs[-2]} on", "points", points))
    rows = []
    for (_, protocol, method), curve in curves.items():
        values: dict[str, Any] = {"protocol": protocol, "method": method}
        values |= {str(epoch): curve[epoch] for epoch in epochs}
        if len(epochs) > 1:
            values["gain"] = curve[epochs[-1]] - curve[epochs[-2]]
        rows.append(Row(values))
    return Table("curves", "Scores on validation by epoch", columns, rows)


def validated(entry: Entry) -> dict[int, float]:
    """Score by epoch, as a mean over seeds; of the epochs that all seeds were validated at. Nothing of controls."""
    histories = [cell.folder / "history.csv" for cell in entry.cells]
    if not all(path.is_file() for path in histories):
        return {}
    of_seeds = [
        {row["epoch"]: row[SCORE] for row in read_rows(path) if row.get(SCORE) is not None}
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
