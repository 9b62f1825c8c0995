"""Printed figures as spans, by hand."""

from decimal import Decimal

import pytest

from defectbench.measure.claims_audit.spans import Span, around, combine, digits, span_of


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("0.62", 0.615, 0.63),
        ("-43.7", -43.8, -43.65),
        ("180", 179.5, 181),
        ("98.30", 98.295, 98.31),
    ],
)
def test_a_figure_stands_for_what_rounding_or_cutting_makes_it(printed, low, high):
    span = span_of(Decimal(printed))
    assert (span.low, span.high) == pytest.approx((low, high))


def test_spans_meet_at_their_ends_and_not_beyond():
    assert Span(1, 2).meets(Span(2, 3))
    assert Span(0.1 + 0.2, 1).meets(Span(0, 0.3))
    assert not Span(1, 2).meets(Span(2.001, 3))


def test_arithmetic_takes_the_widest_ends():
    assert combine(Span(1, 2), Span(4, 8), lambda a, b: a / b) == Span(0.125, 0.5)
    assert combine(Span(1, 2), Span(4, 8), lambda a, b: a - b) == Span(-7, -2)
    assert around(-10, 0.1) == Span(-11, -9)


def test_derived_figures_have_three_digits_without_exponents():
    written = [digits(value) for value in (27.765, 0.03396, 12345.6, 2.5, 0, 0.00012)]
    assert written == ["27.8", "0.0340", "12346", "2.50", "0", "0.000120"]
