"""Figures that a paper prints more than once, as in its abstract and in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ...base.printed_tables import FIGURES, Figure, PrintedTable
from .counts import NetworkCounts
from .outcome import FIGURE_WORDS, AuditOutcome, Cited, places_of, printed_figures
from .spans import span_of


def check_repeated(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Hold the figures of a method on the same data and at the same size against each other, over tables and abstract.

    Args:
        tables: Tables of one paper.
        counts: Of networks; not needed here.
    """
    return [_compare(cited, figure) for figure in FIGURES for cited in _repeated(tables, figure)]


def _repeated(tables: Sequence[PrintedTable], figure: Figure) -> list[list[Cited]]:
    """Rows of several tables that print a figure of the same thing."""
    groups: list[list[Cited]] = []
    for table in tables:
        for row in table.rows:
            cited = Cited(table, row)
            if row.printed(figure) is None:
                continue
            group = next((g for g in groups if all(_is_same(cited, o, figure) for o in g)), None)
            if group is None:
                groups.append([cited])
            else:
                group.append(cited)
    return [group for group in groups if len(group) > 1]


def _is_same(first: Cited, second: Cited, figure: Figure) -> bool:
    """Whether two rows speak of the same; parameters do not depend on data and size."""
    one, other = first.row, second.row
    is_same_input = one.data_set == other.data_set and (
        one.size is None or other.size is None or one.size == other.size
    )
    return (
        first.table is not second.table
        and one.method == other.method
        and (is_same_input or figure == "params_m")
    )


def _compare(cited: Sequence[Cited], figure: Figure) -> AuditOutcome:
    values = [(each.row.printed(figure), each.table.place) for each in cited]
    spans = [span_of(value) for value, _ in values if value is not None]
    fits = all(first.meets(second) for first, second in combinations(spans, 2))
    told = ", ".join(f"{value} ({place})" for value, place in values)
    is_equal = len({value for value, _ in values}) == 1
    reason = "equal" if is_equal else "the same figure, rounded or cut off" if fits else "differ"
    return AuditOutcome(
        cited[0].table.paper,
        places_of(cited),
        "printed twice",
        cited[0].row.method,
        FIGURE_WORDS[figure],
        told,
        "consistent" if fits else "inconsistent",
        f"{' and '.join(str(value) for value, _ in values)}: {reason}",
        cited[0].table.read,
        () if fits else printed_figures([each.row for each in cited], figure),
    )
