"""Tables as they are shown, in a file that they are printed from again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...base.errors import ReportError
from ...base.files import read_json
from ..table import Column, Row, RowBlock, Shown, Table

FILE = "tables.json"
_FIX = "render the report again: snakemake --cores 8 all"
_COLUMN = ("key", "heading", "unit", "priority", "align")
_TABLE = ("name", "title", "notes", "lead", "empty", "formats")


def stored_text(tables: Sequence[Table], files: Sequence[str]) -> str:
    """Tables that can be printed, and the names of all files that stand beside them, as JSON."""
    shown = [_stored(table) for table in tables if {"terminal", "csv"} & set(table.formats)]
    return (
        json.dumps({"files": sorted(files), "tables": shown}, indent=1, ensure_ascii=False) + "\n"
    )


def _stored(table: Table) -> dict[str, Any]:
    columns = [column for column in table.columns if not column.is_detail]
    return {
        **{name: getattr(table, name) for name in _TABLE},
        "columns": [{name: getattr(column, name) for name in _COLUMN} for column in columns],
        "blocks": [asdict(block) for block, _ in table.blocks()],
        "rows": [
            {
                "block": number,
                "is_control": row.is_control,
                "flag": row.flag,
                "cells": [_cell(column.show(row)) for column in columns],
            }
            for number, (_, rows) in enumerate(table.blocks())
            for row in rows
        ],
    }


def _cell(cell: Shown) -> dict[str, Any]:
    fields = {"text": cell.text, "aside": cell.aside, "bold": cell.bold, "mark": cell.mark}
    return {name: value for name, value in fields.items() if value}


def stored_files(folder: Path) -> list[str]:
    """Names of the files of tables that a report wrote into a folder before; none where it was not there."""
    path = folder / FILE
    return read_json(path)["files"] if path.is_file() else []


def stored_tables(path: str | Path) -> list[Table]:
    """Read tables back, to print them.

    Args:
        path: Folder of a report, or one of the files of a table in it.

    Raises:
        ReportError: There is no report, or it has no such table to print.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    stored = folder / FILE
    if not stored.is_file():
        raise ReportError(stored, "file", "nothing", _FIX)
    tables = [_table(content) for content in read_json(stored)["tables"]]
    if folder == Path(path):
        return tables
    asked = [
        replace(table, formats=(*table.formats, "terminal"))
        for table in tables
        if table.name == Path(path).stem
    ]
    if not asked:
        names = [table.name for table in tables]
        fix = f"name one of {names}" if names else _FIX
        raise ReportError(stored, "table", Path(path).stem, fix)
    return asked


def _table(content: dict[str, Any]) -> Table:
    columns = [Column(**column) for column in content["columns"]]
    blocks = [RowBlock(**block | {"link": tuple(block["link"])}) for block in content["blocks"]]
    rows = [
        Row(
            values={},
            shown={
                column.key: Shown(**{"text": "", **cell})
                for column, cell in zip(columns, row["cells"], strict=True)
            },
            block=blocks[row["block"]],
            is_control=row["is_control"],
            flag=row["flag"],
        )
        for row in content["rows"]
    ]
    return Table(columns=columns, rows=rows, **{name: content[name] for name in _TABLE})
