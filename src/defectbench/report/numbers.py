"""How figures are written: shares in percent, differences in points, all else with three digits."""

from __future__ import annotations

from collections.abc import Callable

NOTHING = "\u2013"
TIMES = "\u00d7"
LEAKED = "†"
INVALID = "‡"


def percent(value: float | None) -> str:
    """A share in percent, one decimal."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """A difference of shares in points, with its sign."""
    return NOTHING if value is None else f"{100 * value:+.1f}"


def number(value: float | None) -> str:
    """A figure with three significant digits, never in exponents.

    Example:
        >>> [number(v) for v in (0.1025, 3.0068, 24.51, 1234.5)]
        ['0.102', '3.01', '24.5', '1,234']
    """
    if value is None:
        return NOTHING
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def p_value(value: float | None) -> str:
    """A p value with three decimals; what is smaller is said to be.

    Example:
        >>> p_value(0.0421), p_value(3e-7)
        ('0.042', '< 0.001')
    """
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float | None) -> str:
    """A figure without decimals."""
    return NOTHING if value is None else f"{value:,.0f}"


def interval(write: Callable[[float], str], low: float | None, high: float | None) -> str:
    """The ends of an interval in brackets; empty without them."""
    return "" if low is None or high is None else f"[{write(low)}, {write(high)}]"
