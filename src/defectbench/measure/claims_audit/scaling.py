"""Operations of one network grow with the pixels of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log10

from ...base.printed_tables import PrintedTable
from .counts import NetworkCounts
from .outcome import FIGURE_WORDS, AuditOutcome, Cited, places_of, printed_figures
from .spans import Span, around, combine, digits, span_of

# Another number of classes and maps whose side is rounded up move the ratio by under 1 % in networks of this size.
SAME_RATIO = 0.02


def check_scaling(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Hold the operations of each method at several sizes against its pixels.

    Args:
        tables: Tables of one paper.
        counts: Of networks; not needed here.
    """
    by_method: dict[str, dict[int, Cited]] = {}
    for table in tables:
        for row in table.rows:
            if row.operations_g is not None and row.size is not None:
                by_method.setdefault(row.method, {}).setdefault(row.size, Cited(table, row))
    return [
        _of_method(method, [by_size[size] for size in sorted(by_size)])
        for method, by_size in by_method.items()
        if len(by_size) > 1
    ]


def _of_method(method: str, cited: list[Cited]) -> AuditOutcome:
    steps = [_step(small, large) for small, large in pairwise(cited)]
    fits = all(_fit(small, large) for small, large in pairwise(cited))
    odd = [] if fits else [each for each in cited if not _fits_another(each, cited)]
    why = "" if fits else _diagnosis(odd or cited, cited)
    return AuditOutcome(
        cited[0].table.paper,
        places_of(cited),
        "scaling",
        method,
        FIGURE_WORDS["operations_g"],
        ", ".join(f"{each.row.operations_g} at {each.row.size} px" for each in cited),
        "consistent" if fits else "inconsistent",
        "; ".join(filter(None, [*steps, why])),
        cited[0].table.read,
        () if fits else printed_figures((each.row for each in odd or cited), "operations_g"),
    )


def _values(cited: Cited) -> tuple[float, int]:
    assert cited.row.operations_g is not None
    assert cited.row.size is not None
    return float(cited.row.operations_g), cited.row.size


def _step(small: Cited, large: Cited) -> str:
    (few, side), (many, larger) = _values(small), _values(large)
    ratio, pixels = digits(many / few), digits((larger / side) ** 2)
    return (
        f"{large.row.operations_g} / {small.row.operations_g} = {ratio}, "
        f"pixels ({larger} / {side})² = {pixels}"
    )


def _fit(first: Cited, second: Cited) -> bool:
    """Whether the operations of two rows differ as their pixels do."""
    assert first.row.operations_g is not None
    assert second.row.operations_g is not None
    ratio = combine(
        span_of(second.row.operations_g), span_of(first.row.operations_g), lambda a, b: a / b
    )
    pixels = (_values(second)[1] / _values(first)[1]) ** 2
    return ratio.meets(around(pixels, SAME_RATIO))


def _fits_another(cited: Cited, all_rows: Sequence[Cited]) -> bool:
    return any(_fit(cited, other) for other in all_rows if other is not cited)


def _diagnosis(odd: Sequence[Cited], cited: Sequence[Cited]) -> str:
    """What is wrong with rows that do not fit, as far as the figures say."""
    sound = [each for each in cited if each not in odd]
    if sound:
        return "; ".join(_of_odd_row(each, sound[0]) for each in odd)
    if len(cited) == 2:
        return f"one of the two is wrong: {_of_odd_row(cited[0], cited[1])}"
    return "no two of these rows fit: not one network, one unit or one counter"


def _of_odd_row(odd: Cited, sound: Cited) -> str:
    (value, side), (other, other_side) = _values(odd), _values(sound)
    fitting = other * (side / other_side) ** 2
    powers = round(log10(fitting / value))
    is_shifted = powers and Span(value, value).meets(around(fitting / 10**powers, SAME_RATIO))
    slip = "a decimal slip: " if is_shifted else ""
    return f"{slip}{odd.row.operations_g} at {side} px would be {digits(fitting)}"
