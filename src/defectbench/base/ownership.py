"""Whose results a folder of ``results`` holds: two study files of one name do not write over each other.

A study that is edited goes on in its folder. A copy of its file that was changed and still bears the name is another.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import ConfigError, DefectBenchError
from .files import atomic_write_json, read_json
from .places import RESULTS
from .studies import Study, load_study
from .yaml_text import read_yaml

OWNER = "study.json"  # in the folder of a study: the file that it was made by


def study_file(files: Iterable[str | Path]) -> Path | None:
    """The file that names the study, the last of those that do; None where the command line alone does.

    Args:
        files: Configuration files of a run of the workflow.

    Raises:
        ConfigError: A file is missing, is no YAML, or has a name twice in one mapping.
    """
    named = None
    for file in map(Path, files):
        content = read_yaml(file, "name a study file in config/")
        if isinstance(content, dict) and "study" in content:
            named = file
    return named


def refuse_another_owner(study: Study, file: Path | None, results: str | Path = RESULTS) -> None:
    """Stop before the results of another study of the same name are written over.

    Args:
        study: The study.
        file: Its file.
        results: Folder of the results of all studies.

    Raises:
        ConfigError: They are of a file that is still there, bears the name and says something else.
    """
    record = Path(results) / study.study / OWNER
    if file is None or not record.is_file():
        return
    owner = Path(str(read_json(record).get("file", "")))
    try:
        is_same = owner.samefile(file)
        other = load_study(owner)
    except (OSError, DefectBenchError):
        return  # it is gone, or no study any more
    if is_same or other.study != study.study or _cells_of(other) == _cells_of(study):
        return
    fix = f"{record.parent} holds the results of {owner}: give this study a name of its own"
    raise ConfigError(file, "study", study.study, fix)


def note_owner(study: Study, file: Path | None, results: str | Path = RESULTS) -> None:
    """Note whose results a folder holds from now on.

    Args:
        study: The study.
        file: Its file.
        results: Folder of the results of all studies.
    """
    if file is not None:
        path = (
            os.path.relpath(file) if file.resolve().is_relative_to(Path.cwd()) else file.resolve()
        )
        atomic_write_json(Path(results) / study.study / OWNER, {"file": Path(path).as_posix()})


def _cells_of(study: Study) -> dict[str, object]:
    """All of a study that its results depend on."""
    return study.model_dump(exclude={"mirrors"})
