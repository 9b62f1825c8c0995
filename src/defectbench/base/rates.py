"""Rates of filter pruning as studies and cards write them, read without a network.

A rate is the share of its channels that a set gives up. Which sets a network has, ``compression.cfp.widths`` knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import CompressionError

Written = str | Mapping[str, float]
FORM = "write numbers or number*count, such as .4*5,.5*7"
LONGEST_COUNT = 4  # digits
RANGE = "give shares of filters to drop, 0 <= rate < 1"


def parse_rates(text: str) -> list[float]:
    """Rates from the short form, where ``a*m`` means rate a for m layers in a row.

    Raises:
        CompressionError: A part is neither a number nor ``number*count``.

    Example:
        >>> parse_rates("0.4*2, .5, 0")
        [0.4, 0.4, 0.5, 0.0]
    """
    rates: list[float] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d*\.?\d+)\s*(?:\*\s*(\d+))?\s*", part)
        if not match:
            raise CompressionError("rates", "part", part, FORM)
        if len(match[2] or "") > LONGEST_COUNT:
            raise CompressionError("rates", "part", part, "no network has as many layers")
        rates += [float(match[1])] * int(match[2] or 1)
    return rates


def fault_of(rates: Written) -> str | None:
    """What mends rates that no network can have; None where nothing is wrong with them.

    Example:
        >>> fault_of(".4*5,.5*7"), fault_of("1.5*3")
        (None, 'give shares of filters to drop, 0 <= rate < 1')
    """
    try:
        values = parse_rates(rates) if isinstance(rates, str) else list(rates.values())
    except CompressionError as error:
        return error.fix
    if not all(0 <= rate < 1 for rate in values):
        return RANGE
    return None if any(values) else "give at least one rate above 0: nothing would be cut"
