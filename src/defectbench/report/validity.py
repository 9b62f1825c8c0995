"""Timings whose ratio cannot be trusted: their mark in a table, and the reasons below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .numbers import INVALID
from .table import Column, Row, Shown


def marked_invalid(row: Row, columns: Iterable[Column]) -> dict[str, Shown]:
    """What some columns show of a row whose timing cannot be trusted: the same, marked.

    Args:
        row: The row.
        columns: Its columns of timings; those without a value in it stay as they are.
    """
    return {
        column.key: replace(column.show(row), mark=INVALID)
        for column in columns
        if row.values.get(column.key) is not None
    }


def notes_on_invalid(reasons: Mapping[str, str]) -> list[str]:
    """What the mark means and why it is there; nothing without a marked row.

    Args:
        reasons: Why the timing of each marked row cannot be trusted, by what names the row.
    """
    if not reasons:
        return []
    told = " · ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return [f"{INVALID} invalid timing, not to be cited: {told}."]
