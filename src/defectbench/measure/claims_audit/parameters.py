"""Printed parameters beside counts of the same network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...base.printed_tables import PrintedRow, PrintedTable
from ..claims import SAME_COUNT
from .counts import NetworkCounts
from .outcome import FIGURE_WORDS, REBUILT, AuditOutcome, printed_figures
from .spans import Span, span_of


def check_parameters(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Hold printed parameters against counts: *reproduced* within 1 %, or as far as they are printed.

    Args:
        tables: Tables of one paper.
        counts: Of networks, known without the paper.
    """
    return [
        _of_row(table, row, counts.get(row.network))
        for table in tables
        for row in table.rows
        if row.params_m is not None
    ]


def _of_row(table: PrintedTable, row: PrintedRow, network: NetworkCounts | None) -> AuditOutcome:
    assert row.params_m is not None
    if row.rebuilt_from_it:
        verdict = "not comparable"
        arithmetic = REBUILT
    elif network is None:
        verdict = "not comparable"
        arithmetic = "no count of this network is known without the paper"
    else:
        share = float(row.params_m) / network.params_m - 1
        counted = Span(network.params_m, network.params_m)
        is_same = abs(share) <= SAME_COUNT or span_of(row.params_m).meets(counted)
        verdict = "reproduced" if is_same else "not reproduced"
        arithmetic = f"{row.params_m} / {network.params_m:.4f} ({row.network}) - 1 = {share:+.1%}"
    return AuditOutcome(
        table.paper,
        table.place,
        "parameters",
        row.method,
        FIGURE_WORDS["params_m"],
        str(row.params_m),
        verdict,
        "; ".join(filter(None, (arithmetic, row.note))),
        table.read,
        sources=printed_figures([row] if row.rebuilt_from_it else [], "params_m"),
    )
