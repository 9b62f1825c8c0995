"""The files of a model: one, or all in the folder of an engine's own. What is hashed is all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...base.files import MADE_BY_WORKFLOW, sha256_file

_WHOLE, _PART = "model", "model/"


def files_of(model: str | Path) -> list[Path]:
    """Every file of a model, sorted."""
    path = Path(model)
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and f.name != MADE_BY_WORKFLOW)


def inputs_of(model: str | Path) -> dict[str, Path]:
    """The files by what a record calls them: ``model``, or ``model/<file>`` of several."""
    path = Path(model)
    if path.is_dir():
        return {f"{_PART}{file.name}": file for file in files_of(path)}
    return {_WHOLE: path}


def recorded_sha256(inputs: Mapping[str, Any]) -> str:
    """The hash of a model by the inputs of a record: of its file, or of the hashes of all its files.

    Args:
        inputs: Entries with ``sha256``, as ``inputs_of`` calls the files.
    """
    if _WHOLE in inputs:
        return inputs[_WHOLE]["sha256"]
    parts = sorted(
        (name, entry["sha256"]) for name, entry in inputs.items() if name.startswith(_PART)
    )
    told = "".join(f"{digest}  {name}\n" for name, digest in parts)
    return hashlib.sha256(told.encode()).hexdigest()


def model_sha256(model: str | Path) -> str:
    """The hash of a model as it lies there, as ``recorded_sha256`` tells it of a record's inputs."""
    return recorded_sha256(
        {name: {"sha256": sha256_file(file)} for name, file in inputs_of(model).items()}
    )


def mib_of(model: str | Path) -> float:
    """Size of all files of a model, MiB."""
    return sum(file.stat().st_size for file in files_of(model)) / 2**20
