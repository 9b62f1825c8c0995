"""Printed scores that no record of ours can be held against, and gains beside the spread of one baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...base.printed_tables import SCORES, Figure, PrintedRow, PrintedTable
from .counts import NetworkCounts
from .outcome import FIGURE_WORDS, AuditOutcome
from .spans import digits


def check_scores(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Say why scores cannot be compared; those of networks that are known here are claims of the methods' cards.

    Args:
        tables: Tables of one paper.
        counts: Of networks; not needed here.
    """
    return [
        _of_row(table, row)
        for table in tables
        for row in table.rows
        if any(row.printed(figure) is not None for figure in SCORES)
        and (table.not_comparable or not row.network)
    ]


def _of_row(table: PrintedTable, row: PrintedRow) -> AuditOutcome:
    printed = {figure: row.printed(figure) for figure in SCORES}
    reasons = [
        table.not_comparable,
        "" if row.network else "no network of ours",
        "no IoU is said" if printed["map"] is not None else "",
        f"not stated: {', '.join(table.unstated)}" if table.unstated else "",
        row.note,
    ]
    figures = ", ".join(str(value) for value in printed.values() if value is not None)
    return AuditOutcome(
        table.paper,
        table.place,
        "score",
        row.method,
        " and ".join(FIGURE_WORDS[name] for name, value in printed.items() if value is not None),
        f"{figures} on {row.data_set}",
        "not comparable",
        "; ".join(filter(None, reasons)),
        table.read,
    )


def check_baselines(tables: Sequence[PrintedTable]) -> list[AuditOutcome]:
    """Hold the gains that papers print over one network against the spread of what they print for that network.

    Args:
        tables: Tables of all papers.
    """
    groups: dict[tuple[str, str, Figure], dict[str, tuple[float, float]]] = {}
    for table in tables:
        for against, data_set, figure, base, gain in _baselines(table):
            groups.setdefault((against, data_set, figure), {})[table.paper] = base, gain
    return [_of_baseline(*key, by_paper) for key, by_paper in groups.items() if len(by_paper) > 1]


def _baselines(table: PrintedTable) -> Iterator[tuple[str, str, Figure, float, float]]:
    """Networks that a table prints a gain over, with the score that they have after its own figures."""
    for statement in table.statements:
        rows = [
            row
            for row in table.rows
            if row.method == statement.of and row.data_set == statement.data_set
        ]
        if statement.kind != "difference" or statement.figure not in SCORES or not rows:
            continue
        score, gain = rows[0].printed(statement.figure), statement.value
        if score is not None and gain is not None:
            base = float(score - gain)
            yield statement.against, statement.data_set, statement.figure, base, float(gain)


def _of_baseline(
    against: str, data_set: str, figure: Figure, by_paper: Mapping[str, tuple[float, float]]
) -> AuditOutcome:
    bases = sorted(by_paper.items(), key=lambda item: item[1][0])
    gains = sorted(gain for _, gain in by_paper.values())
    spread = bases[-1][1][0] - bases[0][1][0]
    is_within = spread >= gains[0]
    ends = f"{digits(bases[-1][1][0])} - {digits(bases[0][1][0])} = {digits(spread)} points"
    reason = f"{ends} between papers, gains of {gains[0]:g} to {gains[-1]:g}"
    return AuditOutcome(
        ", ".join(sorted(by_paper)),
        "scores minus gains",
        "baselines",
        against,
        FIGURE_WORDS[figure],
        ", ".join(f"{digits(base)} ({paper})" for paper, (base, _) in bases),
        "not comparable" if is_within else "consistent",
        f"{reason}: a gain within that spread means nothing without the split"
        if is_within
        else reason,
    )
