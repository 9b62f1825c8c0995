"""A printed figure as the span of values that it can stand for, and arithmetic on spans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

SHOWN_DIGITS = 3


@dataclass(frozen=True)
class Span:
    """All values between two ends.

    Attributes:
        low: Smallest.
        high: Largest.
    """

    low: float
    high: float

    def meets(self, other: Span) -> bool:
        """Whether some value is in both; ends that differ by rounding of the machine alone meet."""
        slack = 1e-9 * max(1.0, *map(abs, (self.low, self.high, other.low, other.high)))
        return self.low <= other.high + slack and other.low <= self.high + slack


def span_of(printed: Decimal) -> Span:
    """What a printed figure can stand for, whether its last digit was rounded or what follows was cut off.

    Example:
        >>> span_of(Decimal("0.62"))
        Span(low=0.615, high=0.63)
    """
    exponent = printed.as_tuple().exponent
    assert isinstance(exponent, int)
    step = Decimal(1).scaleb(exponent)
    ends = (abs(printed) - step / 2, abs(printed) + step)
    low, high = ends if printed >= 0 else (-ends[1], -ends[0])
    return Span(float(low), float(high))


def around(value: float, share: float) -> Span:
    """A value and so large a share of it on both sides."""
    return Span(*sorted((value * (1 - share), value * (1 + share))))


def combine(first: Span, second: Span, function: Callable[[float, float], float]) -> Span:
    """What a function that rises or falls steadily in both makes of two spans."""
    values = [function(a, b) for a in (first.low, first.high) for b in (second.low, second.high)]
    return Span(min(values), max(values))


def digits(value: float) -> str:
    """A derived figure with three significant digits, never in exponents.

    Example:
        >>> [digits(value) for value in (27.765, 0.03396, 1234.5, 2.5)]
        ['27.8', '0.0340', '1234', '2.50']
    """
    if value == 0:
        return "0"
    size = Decimal(f"{value:.{SHOWN_DIGITS - 1}e}")
    return f"{size:f}" if abs(value) < 10**SHOWN_DIGITS else f"{value:.0f}"
