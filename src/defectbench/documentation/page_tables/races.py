"""What a load and another day change in a race, and in the gate that reads it."""

from __future__ import annotations

from ...report.numbers import number, percent
from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts

_RACE = {
    "median_change_of_ratio_under_load": "median change of the ratio to the reference model",
    "largest_change_of_ratio_under_load": "largest change of it",
    "median_change_of_wall_ratio_under_load": "median change of the ratio by the wall's clock",
    "median_change_of_milliseconds_under_load": "median change of milliseconds",
    "valid_share_under_load": "rows that are valid under load",
    "valid_share_without_load": "rows that are valid without it",
    "median_change_of_ratio_between_races_without_load": "median difference of the ratio between two races without it",
}
_REPEATED = (
    word_column("file", "file and engine", NAME),
    Column("ratio", "ratio to the reference model, median", write=number),
    Column("spread", "its spread", "%", percent),
    Column("sd", "its standard deviation", "%", percent),
    Column("spread_of_milliseconds", "spread of milliseconds", "%", percent),
    Column("valid", "valid races"),
)


def race_table(facts: Facts) -> Table:
    """What a load changes in a race."""
    record = "race-under-load/switching-2s.json"
    columns = (
        word_column(
            "what",
            f"what the load does to the {facts.value(record, 'n_models')} files of the race",
            NAME,
        ),
        Column("share", "share", "%", percent),
    )
    rows = [Row({"what": what, "share": facts.value(record, key)}) for key, what in _RACE.items()]
    return Table("race", "The race", columns, rows)


def repeated_table(facts: Facts) -> Table:
    """How far the ratio of each file moves from race to race."""
    files = facts.value("race-repeatability/five-races.json", "files")
    rows = [Row({"file": name, **figures}) for name, figures in sorted(files.items())]
    return Table("repeated", "The race, repeated", _REPEATED, rows)


def gate_repeats_table(facts: Facts) -> Table:
    """What the gate's ratio of each file to a copy of itself came to, gate by gate."""
    columns = (
        word_column("method", "method", NAME),
        Column("n", "gates"),
        Column("told", "ratio can be trusted"),
        Column("offends", "offends"),
        Column("median", "ratio, median", write=number),
        Column("least", "least", write=number),
        Column("largest", "largest", write=number),
    )
    methods = facts.value("gate-under-load/ten-gates.json", "methods")
    rows = [Row({"method": name, **figures}) for name, figures in sorted(methods.items())]
    return Table("gate_repeats", "The gate under load", columns, rows)


TABLES = {
    "race": race_table,
    "repeated": repeated_table,
    "gate_repeats": gate_repeats_table,
}
