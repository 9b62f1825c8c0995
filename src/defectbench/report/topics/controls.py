"""Controls: how far each method lies above what learns nothing, and how much of what labels allow it reaches."""

from __future__ import annotations

from collections.abc import Iterator

from ..columns import NAMED
from ..numbers import percent, points
from ..records.cells import CEILING, FLOORS
from ..records.study import Study
from ..table import HEADLINE, Column, Row, Table, word_column
from . import detection

ORDER = 45
COLUMNS = (
    NAMED,
    word_column("dataset", "dataset", 5),
    word_column("protocol", "protocol", 4),
    Column("floor", "best floor", "%", percent, priority=3),
    Column("above_floor", "above it", "points", points, priority=HEADLINE),
    Column("of_ceiling", "of the label jitter", "%", percent, priority=2),
)


def parts(study: Study) -> Iterator[Table]:
    """A line for each detector beside the controls of its dataset and protocol; nothing without controls."""
    rows, _ = study.share(detection.compared)
    scores = {(row.dataset, row.protocol, row.method): row.map50 for row in rows}
    lines = []
    for row in (row for row in rows if not row.is_control):
        place = (row.dataset, row.protocol)
        floors = [scores[*place, name] for name in FLOORS if (*place, name) in scores]
        ceiling = scores.get((*place, CEILING))
        if floors:
            values = {"title": row.title, "dataset": row.dataset, "protocol": row.protocol}
            values |= {"floor": max(floors), "above_floor": row.map50 - max(floors)}
            values["of_ceiling"] = row.map50 / ceiling if ceiling else None
            lines.append(Row(values))
    if lines:
        yield Table("controls", "Beside the controls", COLUMNS, lines)
