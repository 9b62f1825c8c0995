"""Tables as CSV, for programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from ..table import Table

DIGITS = 9


def csv_text(table: Table) -> str:
    """A line a row; None and empty text become empty fields."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.keys)
    for row in table.rows:
        writer.writerow([_plain(row.values.get(key)) for key in table.keys])
    return text.getvalue()


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
