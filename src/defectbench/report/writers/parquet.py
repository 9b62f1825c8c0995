"""Tables as Parquet, for programs that ask for types and units. The library is an extra, imported when it is needed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...base.errors import ConfigError
from ..numbers import percent, points
from ..table import Column, Table

if TYPE_CHECKING:
    from polars import Series

METADATA = "defectbench"  # key of the file's metadata
SHARE = "share of 1"  # what is shown in percent or in points
_KINDS = (bool, int, float)


def check_library() -> None:
    """Stop before anything is made where the library is not here.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec("polars") is None:
        fix = 'pip install "defectbench[parquet]"'
        raise ConfigError("--parquet", "package polars", "nothing", fix)


def parquet_bytes(table: Table) -> bytes:
    """The figures of a table as they were measured, in columns of one type each; None becomes null.

    The file's metadata hold, under ``defectbench``, a JSON of title, notes, and the heading and unit of each column
    that the table shows and of the ends of its interval.
    """
    from polars import DataFrame

    columns = {key: [row.values.get(key) for row in table.rows] for key in table.keys}
    frame = DataFrame([_series(key, values) for key, values in columns.items()])
    file = io.BytesIO()
    frame.write_parquet(file, metadata={METADATA: json.dumps(_described(table))})
    return file.getvalue()


def _series(key: str, values: Sequence[Any]) -> Series:
    """A column of one type: figures stay figures, what is mixed with words becomes words."""
    from polars import Boolean, Float64, Int64, Null, Series, String

    kinds = {_kind(value) for value in values if value is not None}
    if not kinds:
        return Series(key, values, Null)
    if kinds == {int, float}:
        kinds = {float}
    types = {bool: Boolean, int: Int64, float: Float64}
    if len(kinds) == 1 and (kind := kinds.pop()) in types:
        return Series(key, values, types[kind])
    return Series(key, [None if value is None else str(value) for value in values], String)


def _kind(value: Any) -> type:
    return next((kind for kind in _KINDS if isinstance(value, kind)), str)


def _described(table: Table) -> dict[str, Any]:
    columns = {
        key: {"heading": column.heading, "unit": _unit(column)}
        for column in table.columns
        for key in (column.key, f"{column.key}_low", f"{column.key}_high")
        if key in table.keys
    }
    return {"title": table.title, "notes": list(table.notes), "columns": columns}


def _unit(column: Column) -> str:
    return SHARE if column.write in (percent, points) else column.unit
