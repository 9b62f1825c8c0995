"""Tables that a report wrote while predictions were at hand, kept as CSV: shown as their topics show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..measure.claims import Finding
from .columns import pair_table
from .records.cells import method_title
from .records.comparison import Pair
from .records.kept_rows import read_instances
from .table import Table
from .topics import classification, detection
from .topics.claims import claims_table
from .topics.compression import compression_table
from .topics.compression.stages import StageRow

_PAIRS = {"pairs": detection.SCORES, "classification_pairs": classification.SCORES}


def kept_tables(folder: str | Path, models_dir: str | Path = "models") -> list[Table]:
    """What is kept beside cells of their compression, their pairs and the claims on them; records behind it are not.

    Args:
        folder: Folder of a dataset and protocol, which may hold ``compression.csv``, ``pairs.csv``,
            ``classification_pairs.csv`` and ``claims.csv``.
        models_dir: Where method cards lie, for titles.
    """
    tables = []
    stages = _read(folder, "compression", StageRow)
    if stages:
        tables.append(compression_table([replace(stage, record="") for stage in stages]))
    for name, scores in _PAIRS.items():
        pairs = _read(folder, name, Pair)
        keys = {(p.dataset, p.protocol, m) for p in pairs for m in (p.first, p.second)}
        if pairs:
            titles = {key: method_title(key[-1], models_dir) for key in keys}
            tables.append(pair_table(name, pairs, titles, scores))
    findings = _read(folder, "claims", Finding)
    return [*tables, claims_table(findings)] if findings else tables


def _read(folder: str | Path, name: str, kind: type) -> list:
    path = Path(folder) / f"{name}.csv"
    return read_instances(path, kind) if path.is_file() else []
