"""What programs that learn nothing score, protocol by protocol."""

from __future__ import annotations

from ...report.numbers import percent
from ...report.records.cells import CONTROL_TITLES
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts
from ..figure import PROTOCOLS
from ..reference import comparisons


def controls_table(facts: Facts, folder: str) -> Table:
    """What programs that learn nothing score under each protocol of a folder of reference."""
    (table,) = facts.references.study(folder).share(comparisons)
    (score,) = (column for column in table.columns if column.key == "map50")
    controls = [row for row in table.rows if row.is_control]
    kept_kinds = {row.values["method"] for row in controls}
    columns = [
        word_column("protocol", "protocol", NAME),
        Column("n_images", "test images", write="{:,}".format),
        Column("leak_share", "of them show surface seen in training", "%", percent),
        *(Column(name, title) for name, title in CONTROL_TITLES.items() if name in kept_kinds),
    ]
    rows = []
    for protocol in dict.fromkeys([*PROTOCOLS, *(row.values["protocol"] for row in controls)]):
        here = {r.values["method"]: r for r in controls if r.values["protocol"] == protocol}
        for row in list(here.values())[:1]:
            shown = {name: score.show(control) for name, control in here.items()}
            rows.append(Row(row.values, shown))
    return Table("controls", "Controls", columns, rows)
