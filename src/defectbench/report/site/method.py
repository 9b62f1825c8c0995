"""The page of a method: its card, its scores, the claims on it, its training, and images it does worst on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from ...base.compressions import base_method
from ...base.methods import MethodCard, load_card
from ...base.tasks import TASKS
from ...base.variants import variant_of
from ..figures.curves import read_history
from ..numbers import NOTHING
from ..records.cells import Entry, record_links
from ..table import Column, Row, Table
from .charts import line_chart
from .links import Links


def method_card(method: str, models_dir: str | Path) -> MethodCard | None:
    """The card of a method, of its base where it is compressed; None where it has none."""
    folder = Path(models_dir) / base_method(method)
    return load_card(folder) if (folder / "card.yaml").is_file() else None


def card_facts(card: MethodCard, method: str = "") -> list[tuple[str, str]]:
    """What a card says, in lines.

    Args:
        card: The method's, or that of its base.
        method: Name of the row, which may say published weights that it starts from.
    """
    start = card.weights.get(variant_of(method).start or "")
    family = {"engine": "trained by the suite's engine", "program": "a program of its own"}
    facts = [
        ("task", card.task),
        ("how it is trained", family[card.family]),
        ("paper", card.paper),
        ("licence of what is run", card.licence),
        ("starts from weights of", f"{start.data}; {start.source}" if start else ""),
        ("licence of these weights", start.licence if start else ""),
    ]
    return [(name, text) for name, text in facts if text]


def scores(table: Table, row: Row, page: str, links: Links) -> list[dict[str, str]]:
    """The figures of a method in a comparison, each with its record."""
    shown = []
    for column in table.columns[1:]:
        cell = column.show(row)
        if cell.text == NOTHING:
            continue
        shown.append(
            {
                "heading": column.heading,
                "unit": column.unit,
                "text": cell.text + cell.mark,
                "aside": cell.aside,
                "href": links.to(page, cell.href) if cell.href else "",
            }
        )
    return shown


def row_of_entry(tables: Sequence[Table], entry: Entry) -> tuple[Table, Row] | None:
    """The comparison of a method's task, and its row in it."""
    place = (entry.first.dataset, entry.first.protocol, entry.first.method)
    for table in tables:
        if "terminal" not in table.formats:
            continue
        for row in table.rows:
            if tuple(row.values.get(key) for key in ("dataset", "protocol", "method")) == place:
                return table, row
    return None


def curves(entry: Entry) -> list[Markup]:
    """Loss and validation score over epochs, a line a seed; nothing without a history, or of one look at the images."""
    kept = [
        cell
        for cell in entry.cells
        if (cell.folder / "history.csv").is_file() and "fitted_to" not in (cell.train or {})
    ]
    histories = {f"seed {cell.seed}": read_history(cell) for cell in kept}
    task = TASKS[entry.task]
    charts = []
    losses = {name: history["loss"] for name, history in histories.items() if history["loss"]}
    if losses:
        charts.append(line_chart(losses, "training loss", is_log=True))
    key = task.validation_key
    scored = {
        name: [(epoch, 100 * value) for epoch, value in history[key]]
        for name, history in histories.items()
        if history.get(key)
    }
    if scored:
        charts.append(line_chart(scored, f"{task.validation_title}, %"))
    return charts


def records(entry: Entry, page: str, links: Links) -> list[tuple[str, list[tuple[str, str]]]]:
    """Names and addresses of the records of each seed."""
    return [
        (f"seed {cell.seed}", [(n, links.to(page, path)) for n, path in record_links(cell).items()])
        for cell in entry.cells
    ]


def claims_on(tables: Sequence[Table], method: str) -> Table | None:
    """The claims on a method; None where no paper prints a number on it."""
    table = next((table for table in tables if table.name == "claims"), None)
    rows = [row for row in table.rows if row.values["method"] == method] if table else []
    return only(table, rows) if table and rows else None


def only(table: Table, rows: Sequence[Row], columns: Sequence[Column] = ()) -> Table:
    """Some rows of a table, without its notes and files."""
    return replace(table, rows=rows, columns=columns or table.columns, notes=(), formats=("page",))
