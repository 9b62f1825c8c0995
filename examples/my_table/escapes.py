"""Escapes: how many defective images a detector lets pass. Made to be copied into src/defectbench/report/topics/."""

from __future__ import annotations

from collections.abc import Iterator

from ...base.tasks import DETECTION
from ..numbers import percent
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Row, Table, word_column

COLUMNS = (
    word_column("title", "method", NAME),
    Column("escape_rate", "escapes", "%", percent, priority=HEADLINE),
    Column("n_defective", "defective images", write=str),
)


def parts(study: StudyRecords) -> Iterator[Table]:
    """A table with a row for each detector; nothing where there is none."""
    rows = []
    for entry in study.of_task(DETECTION.name):
        escape = entry.first.accuracy["figures"].get("escape")
        if escape and not entry.first.is_control:
            values = {
                "escape_rate": escape["escape_rate_images"],
                "n_defective": escape["n_defective_images"],
            }
            rows.append(Row({"title": entry.title, **values}))
    if rows:
        note = "Share of defective images that pass at the threshold where 5 % of images show a false alarm."
        yield Table("escapes", "Escapes", COLUMNS, rows, notes=[note])
