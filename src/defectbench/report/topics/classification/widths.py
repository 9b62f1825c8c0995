"""Controls of a cut have its widths, or no table compares them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....base.compressions import base_method
from ....base.errors import ReportError
from ....base.records import read_record
from ...records.cells import Entry


def check_equal_widths(entries: Sequence[Entry]) -> None:
    """Hold cells that are cut from one base by settings which decide the same widths to equal ones.

    Raises:
        ReportError: The widths of a cell differ from those of the cell beside it, which it names.
    """
    first: dict[str, tuple[Path, dict[str, Any]]] = {}
    for cell in (cell for entry in entries for cell in entry.cells):
        way = cell.compressed_by
        if way is None:
            continue
        path = cell.folder / "pruned" / "prune.json"
        record = read_record(path, "prune")
        deciding = way.decides_widths(record["settings"])
        if deciding is None:
            continue
        cut = [cell.dataset, cell.protocol, base_method(cell.method), cell.seed, deciding]
        widths = {name: after for name, (_, after) in record["widths"].items()}
        beside, expected = first.setdefault(json.dumps(cut, sort_keys=True), (path, widths))
        odd = sorted(
            name for name in {*widths, *expected} if widths.get(name) != expected.get(name)
        )
        if odd:
            fix = f"{beside} has {expected.get(odd[0])}; cut both again from the same scores"
            raise ReportError(path, f"widths.{odd[0]}", widths.get(odd[0]), fix)
