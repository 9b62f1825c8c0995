"""Tables of pages that are no part of a report, by the name that templates call them.

A new one is a function in a file of this folder, named in that file's ``TABLES``, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...report.table import Table
from ..facts import Facts
from . import gradients, races, robustness, speed, spread, trials, ways
from .controls import controls_table
from .curves import curves_table

TABLES: Mapping[str, Callable[[Facts], Table]] = {
    **trials.TABLES,
    **spread.TABLES,
    **ways.TABLES,
    **gradients.TABLES,
    **races.TABLES,
    **speed.TABLES,
    **robustness.TABLES,
}
__all__ = ["TABLES", "controls_table", "curves_table"]
