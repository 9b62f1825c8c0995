"""The unit of printed operations: multiply-adds, or twice as many, by comparison with independent counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...base.printed_tables import PrintedRow, PrintedTable, UnitName
from ..claims import SAME_COUNT
from .counts import FittingUnit, NetworkCounts, fitting_unit
from .outcome import FIGURE_WORDS, REBUILT, AuditOutcome, printed_figures
from .spans import digits

NEITHER = "neither"


@dataclass(frozen=True)
class UnitOfMethod:
    """The unit of a method's operations in a paper.

    Attributes:
        unit: Its name.
        because: How that is known.
    """

    unit: UnitName
    because: str


def check_units(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> list[AuditOutcome]:
    """Tell the unit of each printed count of operations, and tables that mix units.

    Args:
        tables: Tables of one paper.
        counts: Of networks, known without the paper.
    """
    rows = [_of_row(table, row, counts) for table in tables for row in _with_operations(table)]
    return [*rows, *(mix for table in tables for mix in _mixes(table, counts))]


def units_of_methods(
    tables: Sequence[PrintedTable], counts: Mapping[str, NetworkCounts]
) -> dict[str, UnitOfMethod]:
    """Units by method: by its own count, else that of a table of the paper whose counted rows have one unit.

    Args:
        tables: Tables of one paper.
        counts: Of networks, known without the paper.
    """
    counted: dict[str, set[UnitName]] = {}
    inherited: dict[str, UnitOfMethod] = {}
    for table in tables:
        fitting: dict[str, UnitName] = {
            row.method: fit.unit for row, fit in _fits(table, counts) if fit.fits
        }
        for method, unit in fitting.items():
            counted.setdefault(method, set()).add(unit)
        if len(set(fitting.values())) == 1:
            (unit,) = set(fitting.values())
            because = f"as {' and '.join(fitting)} in its {table.place}"
            for row in _with_operations(table):
                inherited.setdefault(row.method, UnitOfMethod(unit, because))
    own = {
        method: UnitOfMethod(next(iter(units)), "by our count")
        for method, units in counted.items()
        if len(units) == 1
    }
    return inherited | own


def _with_operations(table: PrintedTable) -> list[PrintedRow]:
    return [row for row in table.rows if row.operations_g is not None]


def _fits(
    table: PrintedTable, counts: Mapping[str, NetworkCounts]
) -> Iterator[tuple[PrintedRow, FittingUnit]]:
    for row in _with_operations(table):
        unit = fitting_unit(row, counts)
        if unit is not None:
            yield row, unit


def _of_row(
    table: PrintedTable, row: PrintedRow, counts: Mapping[str, NetworkCounts]
) -> AuditOutcome:
    unit = fitting_unit(row, counts)
    is_stated_otherwise = bool(row.unit and unit and unit.fits and unit.unit != row.unit)
    if unit is None:
        verdict, arithmetic = "not comparable", _why_uncounted(row)
    elif not unit.fits:
        verdict = "not reproduced"
        arithmetic = f"{_compared(row, unit)}: neither MAC nor 2 x MAC"
    elif is_stated_otherwise:
        verdict, arithmetic = "inconsistent", f"{_compared(row, unit)}; the paper says {row.unit}"
    else:
        verdict = "reproduced" if abs(unit.ratio - 1) <= SAME_COUNT else "consistent"
        arithmetic = f"{_compared(row, unit)}: in {unit.unit}"
    return AuditOutcome(
        table.paper,
        table.place,
        "unit",
        row.method,
        FIGURE_WORDS["operations_g"],
        f"{row.operations_g}{f' at {row.size} px' if row.size else ''}",
        verdict,
        arithmetic,
        table.read,
        printed_figures([row] if is_stated_otherwise else [], "operations_g"),
        printed_figures([row] if row.rebuilt_from_it else [], "operations_g"),
    )


def _why_uncounted(row: PrintedRow) -> str:
    if row.rebuilt_from_it:
        return REBUILT
    if row.network and row.size is None:
        return "no size of the input is said"
    return "no count of this network is known without the paper"


def _compared(row: PrintedRow, unit: FittingUnit) -> str:
    counted = (
        f"{digits(unit.counted_g)} G counted in {unit.unit} at {row.size} px by {unit.counter}"
    )
    return f"{row.operations_g} is {digits(unit.ratio)} of {counted}"


def _mixes(table: PrintedTable, counts: Mapping[str, NetworkCounts]) -> Iterator[AuditOutcome]:
    """Nothing where counted rows have one unit, or the table says the unit of each."""
    by_unit: dict[str, list[str]] = {}
    for row, unit in _fits(table, counts):
        if not row.unit:
            by_unit.setdefault(unit.unit if unit.fits else NEITHER, []).append(row.method)
    if len(by_unit.keys() - {NEITHER}) > 1:
        yield AuditOutcome(
            table.paper,
            table.place,
            "mixed units",
            "all rows",
            FIGURE_WORDS["operations_g"],
            "one column",
            "inconsistent",
            "; ".join(f"{name}: {', '.join(by_unit[name])}" for name in sorted(by_unit, key=_last)),
            table.read,
        )


def _last(name: str) -> tuple[bool, str]:
    return name == NEITHER, name
