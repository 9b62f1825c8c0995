"""What damaged files and disturbed runs came to."""

from __future__ import annotations

from ...report.table import NAME, Column, Row, Table, word_column
from ..facts import Facts


def fuzz_table(facts: Facts) -> Table:
    """What damaged files of each format came to."""
    columns = (
        word_column("format", "format", NAME),
        Column("cases", "cases"),
        Column("results", "read"),
        Column("refused", "named errors"),
        Column("finds", "finds"),
    )
    formats = facts.value("fuzz/fuzz.json", "formats")
    rows = [
        Row({"format": name, **counts, "finds": len(counts["finds"])})
        for name, counts in formats.items()
    ]
    return Table("fuzz", "Damaged input", columns, rows)


def resilience_table(facts: Facts) -> Table:
    """What became of runs that were disturbed, by what happened to them."""
    return _cuts("resilience", word_column("what", "what happens", NAME), facts, "by_kind")


def resilience_jobs_table(facts: Facts) -> Table:
    """The same by the job that they were in."""
    return _cuts("resilience_jobs", word_column("what", "during", NAME), facts, "by_job")


def _cuts(name: str, first: Column, facts: Facts, figure: str) -> Table:
    columns = (
        first,
        Column("n", "cuts"),
        Column("runs_that_failed", "runs that failed"),
        Column("equal", "finished with equal bytes"),
    )
    counted = facts.value("resilience/resilience.json", figure)
    rows = [Row({"what": what.rpartition("/")[2], **counts}) for what, counts in counted.items()]
    return Table(name, "Resilience", columns, rows)


TABLES = {
    "fuzz": fuzz_table,
    "resilience": resilience_table,
    "resilience_jobs": resilience_jobs_table,
}
