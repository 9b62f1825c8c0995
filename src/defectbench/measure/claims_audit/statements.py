"""What a text says of two rows: percentages, differences, and figures set beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ...base.printed_tables import Figure, PrintedRow, PrintedStatement, PrintedTable
from .counts import UNIT_FACTORS, NetworkCounts
from .outcome import FIGURE_WORDS, AuditOutcome, Outcome
from .spans import Span, around, combine, digits, span_of
from .units import units_of_methods

SAME_BASE = 0.02  # batch norms folded or not, counters, and the number of classes


@dataclass(frozen=True)
class Operand:
    """A figure that a statement is about.

    Attributes:
        value: The figure.
        span: What it can stand for.
        text: How it is written.
    """

    value: float
    span: Span
    text: str


@dataclass(frozen=True)
class _Judged:
    """A statement, the operands that come nearest to it, and what was found."""

    statement: PrintedStatement
    operands: tuple[Operand, Operand] | None
    outcome: AuditOutcome


def check_statements(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Hold what a paper says of its rows against the figures of these rows, or against counts of the network named.

    Two percentages of the same rows that fit only when they are exchanged are one outcome: *swapped*.

    Args:
        tables: Tables of one paper.
        counts: Of networks, known without the paper.
    """
    audit = _Paper(tables, counts)
    outcomes = []
    for table in tables:
        judged = [audit.judge(table, statement) for statement in table.statements]
        swaps = list(_swaps(judged))
        swapped = [each for pair, _ in swaps for each in pair]
        outcomes += [each.outcome for each in judged if each not in swapped]
        outcomes += [outcome for _, outcome in swaps]
    return outcomes


class _Paper:
    """The tables of a paper, and what is known beside them."""

    def __init__(self, tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]) -> None:
        self.rows = [row for table in tables for row in table.rows]
        self.counts = counts
        self.units = units_of_methods(tables, counts)

    def judge(self, table: PrintedTable, statement: PrintedStatement) -> _Judged:
        of = self.row_of(table, statement, statement.of)
        against = self.row_of(table, statement, statement.against)
        if statement.kind == "beside":
            return _Judged(statement, None, self._beside(table, statement, of, against))
        firsts = self._operands(statement, statement.of, of)
        seconds = self._operands(statement, statement.against, against)
        if not firsts or not seconds:
            lacking = statement.against if firsts else statement.of
            what = FIGURE_WORDS[statement.figure].partition(",")[0]
            follows = _follows(statement, firsts, seconds)
            arithmetic = f"not printed: {what} of {lacking}{follows}"
            outcome = _outcome(table, statement, "not comparable", arithmetic)
            return _Judged(statement, None, outcome)
        nearest = min(
            ((first, second) for first in firsts for second in seconds),
            key=lambda pair: abs(_derived_value(statement, *pair) - _printed(statement)),
        )
        fits = fits_statement(statement, *nearest)
        arithmetic = _spelled_out(statement, *nearest)
        mixed = self._in_one_unit(statement, of, against)
        sound = fits and not mixed
        verdict = "consistent" if sound else "inconsistent"
        arithmetic = "; ".join(filter(None, (arithmetic, mixed)))
        return _Judged(statement, nearest, _outcome(table, statement, verdict, arithmetic))

    def row_of(
        self, table: PrintedTable, statement: PrintedStatement, method: str
    ) -> PrintedRow | None:
        """The row of a method with the figure, on the data and at the size of a statement; of its own table first."""
        for row in [*table.rows, *self.rows]:
            is_meant = (
                row.method == method
                and row.printed(statement.figure) is not None
                and statement.data_set in ("", row.data_set)
                and (statement.size is None or row.size in (None, statement.size))
            )
            if is_meant:
                return row
        return None

    def _operands(
        self, statement: PrintedStatement, name: str, row: PrintedRow | None
    ) -> list[Operand]:
        """The printed figure, else the counts of the network of that name; several where the unit is open."""
        if row is not None:
            printed = row.printed(statement.figure)
            assert printed is not None
            return [Operand(float(printed), span_of(printed), str(printed))]
        network = self.counts.get(name)
        if network is None:
            return []
        return [
            Operand(
                value, around(value, SAME_BASE), f"{digits(value)} ({', '.join((name, *unit))})"
            )
            for value, *unit in _counted(network, statement.figure, statement.size)
        ]

    def _in_one_unit(
        self, statement: PrintedStatement, of: PrintedRow | None, against: PrintedRow | None
    ) -> str:
        """What operations of two rows in different units are in one; empty where units agree or are not known."""
        if statement.figure != "operations_g" or of is None or against is None:
            return ""
        first, second = self.units.get(of.method), self.units.get(against.method)
        if first is None or second is None or first.unit == second.unit:
            return ""
        assert of.operations_g is not None
        assert against.operations_g is not None
        scale = UNIT_FACTORS[second.unit] / UNIT_FACTORS[first.unit]
        scaled = float(of.operations_g) * scale
        ratio = digits(float(against.operations_g) / scaled)
        return (
            f"{of.method} is in {first.unit} ({first.because}), {against.method} in {second.unit} "
            f"({second.because}); in one unit {against.operations_g} / {scaled:g} = {ratio}"
        )

    def _beside(
        self,
        table: PrintedTable,
        statement: PrintedStatement,
        of: PrintedRow | None,
        against: PrintedRow | None,
    ) -> AuditOutcome:
        if of is None or against is None:
            lacking = statement.of if of is None else statement.against
            return _outcome(table, statement, "not comparable", f"{lacking} is not printed")
        first, second = of.printed(statement.figure), against.printed(statement.figure)
        assert first is not None
        assert second is not None
        ratio = f"as printed {second} / {first} = {digits(float(second / first))}"
        mixed = self._in_one_unit(statement, of, against)
        unknown = [row.method for row in (of, against) if row.method not in self.units]
        if mixed:
            return _outcome(table, statement, "inconsistent", f"{ratio}; {mixed}")
        if unknown:
            reason = f"{ratio}; the unit of {' and '.join(unknown)} is not known"
            return _outcome(table, statement, "not comparable", reason)
        return _outcome(table, statement, "consistent", ratio)


def fits_statement(statement: PrintedStatement, of: Operand, against: Operand) -> bool:
    """Whether the printed change is one that the two figures can have."""
    assert statement.value is not None
    derived = combine(of.span, against.span, lambda a, b: _change(statement, a, b))
    return derived.meets(span_of(statement.value))


def _change(statement: PrintedStatement, of: float, against: float) -> float:
    return of - against if statement.kind == "difference" else 100 * (of / against - 1)


def _derived_value(statement: PrintedStatement, of: Operand, against: Operand) -> float:
    return _change(statement, of.value, against.value)


def _printed(statement: PrintedStatement) -> float:
    assert statement.value is not None
    return float(statement.value)


def _counted(
    network: NetworkCounts, figure: Figure, size: int | None
) -> Iterator[tuple[float] | tuple[float, str]]:
    """What is known of a network: its parameters, or its operations in either unit."""
    if figure == "params_m":
        yield (network.params_m,)
    elif figure == "operations_g" and size is not None:
        for macs in network.at(size).values():
            yield from ((macs * factor, unit) for unit, factor in UNIT_FACTORS.items())


def _spelled_out(statement: PrintedStatement, of: Operand, against: Operand) -> str:
    change = _derived_value(statement, of, against)
    if statement.kind == "difference":
        places = -_exponent(statement)
        return f"{of.text} - {against.text} = {change:+.{places}f}, printed {statement.value:+}"
    return (
        f"{of.text} / {against.text} - 1 = {change:+.1f} %, printed {statement.value:+} %, "
        f"for a base of {_base(statement, of)}"
    )


def _base(statement: PrintedStatement, of: Operand) -> str:
    """The base that a percentage needs."""
    share = 1 + _printed(statement) / 100
    return f"{of.text} / {share:.4g} = {digits(of.value / share)}"


def _exponent(statement: PrintedStatement) -> int:
    assert statement.value is not None
    exponent = statement.value.as_tuple().exponent
    assert isinstance(exponent, int)
    return min(exponent, 0)


def _follows(
    statement: PrintedStatement, firsts: Sequence[Operand], seconds: Sequence[Operand]
) -> str:
    """The figure that is not printed, as it follows from the other one; empty without any, or where units are open."""
    change = _printed(statement)
    is_difference = statement.kind == "difference"
    follows = []
    if not seconds and is_difference:
        follows = [
            f"{each.text} - {statement.value} = {digits(each.value - change)}" for each in firsts
        ]
    elif not seconds:
        follows = [_base(statement, each) for each in firsts]
    elif not firsts and not is_difference:
        share = 1 + change / 100
        follows = [f"{each.text} x {share:.4g} = {digits(each.value * share)}" for each in seconds]
    return f"; {' or '.join(follows)} follows" if follows else ""


def _swaps(judged: Sequence[_Judged]) -> Iterator[tuple[tuple[_Judged, _Judged], AuditOutcome]]:
    """Pairs of percentages of the same two rows which do not fit, and do when they are exchanged."""
    wrong = [
        each
        for each in judged
        if each.operands
        and each.statement.kind == "percent"
        and each.outcome.verdict != "consistent"
    ]
    for first, second in combinations(wrong, 2):
        one, other = first.statement, second.statement
        if (one.of, one.against) != (other.of, other.against):
            continue
        turned = (replace_value(one, other), replace_value(other, one))
        assert first.operands is not None
        assert second.operands is not None
        if fits_statement(turned[0], *first.operands) and fits_statement(
            turned[1], *second.operands
        ):
            yield (first, second), _swapped(first, second, turned)


def replace_value(statement: PrintedStatement, other: PrintedStatement) -> PrintedStatement:
    """A statement with the figure of another one."""
    return statement.model_copy(update={"value": other.value})


def _swapped(
    first: _Judged, second: _Judged, turned: tuple[PrintedStatement, PrintedStatement]
) -> AuditOutcome:
    assert first.operands is not None
    assert second.operands is not None
    pairs = [(first.statement, first.operands), (second.statement, second.operands)]
    needed = " and ".join(_base(statement, of) for statement, (of, _) in pairs)
    known = " and ".join(against.text for _, (_, against) in pairs)
    operands = (first.operands, second.operands)
    exchanged = " and ".join(
        _base(statement, of) for statement, (of, _) in zip(turned, operands, strict=True)
    )
    return replace(
        first.outcome,
        figure=" and ".join(FIGURE_WORDS[each.statement.figure] for each in (first, second)),
        printed=f"{first.statement.value} % and {second.outcome.printed}",
        arithmetic=(
            f"swapped: as printed they need bases of {needed}; known are {known}; exchanged, "
            f"{exchanged}, which fit within rounding"
        ),
    )


def _outcome(
    table: PrintedTable, statement: PrintedStatement, verdict: Outcome, arithmetic: str
) -> AuditOutcome:
    value = "beside each other" if statement.value is None else f"{statement.value:+}"
    where = f" on {statement.data_set}" if statement.data_set else ""
    return AuditOutcome(
        table.paper,
        table.place,
        "statement",
        f"{statement.of} against {statement.against}",
        FIGURE_WORDS[statement.figure],
        value + (" %" if statement.kind == "percent" else "") + where,
        verdict,
        arithmetic,
        table.read,
    )
