"""The files of a model: one, or all in the folder of an engine's own. What is hashed is all of them."""

from __future__ import annotations

from pathlib import Path


def files_of(model: str | Path) -> list[Path]:
    """Every file of a model, sorted."""
    path = Path(model)
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def inputs_of(model: str | Path) -> dict[str, Path]:
    """The files by what a record calls them: ``model``, or ``model/<file>`` of several."""
    path = Path(model)
    return (
        {f"model/{file.name}": file for file in files_of(path)}
        if path.is_dir()
        else {"model": path}
    )


def mib_of(model: str | Path) -> float:
    """Size of all files of a model, MiB."""
    return sum(file.stat().st_size for file in files_of(model)) / 2**20
