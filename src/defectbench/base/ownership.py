"""Whose results a folder of ``results`` holds: two studies of one name do not write over each other.

Beside its results a study notes its file, the name in that file, and a hash of all that results depend on. The rule:

- A study that says the same as noted goes on, whatever its file: a link, a copy, other mirrors.
- A file that was edited in place goes on, under a name that the command line gives (``--config study=...``) as well.
- A study that the command line alone makes has no file. It follows another of the command line; results of a file, and
  a file the results of a command line, only where both say the same.
- Everything else is refused, unless the noted file is gone or bears another name than it did: then it lets go.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from .errors import ConfigError, DefectBenchError
from .files import atomic_write_json, read_json
from .places import RESULTS
from .strict import Strict
from .studies import Study
from .yaml_text import read_yaml

OWNER = "study.json"  # in the folder of a study: what it was made by


class Owner(Strict):
    """What is noted of a study beside its results.

    Attributes:
        file: Its file; None where the command line alone made it.
        name: Name that the file bears; None where it bears none.
        cells_sha256: Hash of all that its results depend on; None in a note that an earlier version wrote.
    """

    file: str | None
    name: str | None = None
    cells_sha256: str | None = None


def study_file(files: Iterable[str | Path]) -> Path | None:
    """The file that makes the study: the last that names it, otherwise the last with blocks; None where none has.

    Args:
        files: Configuration files of a run of the workflow.

    Raises:
        ConfigError: A file is missing, is no YAML, or has a name twice in one mapping.
    """
    makers: dict[str, Path] = {}
    for file in map(Path, files):
        content = read_yaml(file, "name a study file in config/")
        makers |= {name: file for name in ("study", "blocks") if _holds(content, name)}
    return makers.get("study", makers.get("blocks"))


def refuse_another_owner(study: Study, file: Path | None, results: str | Path = RESULTS) -> None:
    """Stop before the results of another study of the same name are written over.

    Args:
        study: The study.
        file: Its file; None where the command line alone makes it.
        results: Folder of the results of all studies.

    Raises:
        ConfigError: They are of another study by the rule of this module, or the note on them is damaged.
    """
    record = Path(results) / study.study / OWNER
    if not record.is_file():
        return
    owner = _read_owner(record)
    if owner.cells_sha256 in (None, _hash_of_cells(study)) or _goes_on(owner, file):
        return
    fix = (
        f"{record.parent} holds the results of {owner.file or 'a command line'}, which says something else: "
        "give this study a name of its own"
    )
    raise ConfigError(file or "--config", "study", study.study, fix)


def note_owner(study: Study, file: Path | None, results: str | Path = RESULTS) -> None:
    """Note whose results a folder holds from now on.

    Args:
        study: The study.
        file: Its file; None where the command line alone makes it.
        results: Folder of the results of all studies.
    """
    path = None
    if file is not None:
        within = file.resolve().is_relative_to(Path.cwd())
        path = Path(os.path.relpath(file) if within else file.resolve()).as_posix()
    name = None if file is None else _name_in(file)
    owner = Owner(file=path, name=name, cells_sha256=_hash_of_cells(study))
    atomic_write_json(Path(results) / study.study / OWNER, owner.model_dump())


def _read_owner(record: Path) -> Owner:
    """The note on whose results a folder holds."""
    try:
        return Owner.model_validate(read_json(record))
    except (DefectBenchError, ValidationError) as error:
        fix = "it does not tell any more whose results these are; where they are this study's, delete it"
        raise ConfigError(record, "content", "a damaged note", fix) from error


def _goes_on(owner: Owner, file: Path | None) -> bool:
    """Whether a study of other cells may go on in the folder of a noted one."""
    if owner.file is None:
        return file is None
    try:
        if file is not None and Path(owner.file).samefile(file):
            return True
        return _name_in(Path(owner.file)) != owner.name
    except (OSError, DefectBenchError):
        return True  # it is gone, or no study any more


def _name_in(file: Path) -> str | None:
    """The name of a study that a file bears."""
    content = read_yaml(file, "name a study file in config/")
    return str(content["study"]) if _holds(content, "study") else None


def _holds(content: object, name: str) -> bool:
    return isinstance(content, dict) and name in content


def _hash_of_cells(study: Study) -> str:
    """SHA-256 over all of a study that its results depend on."""
    cells = study.model_dump(
        mode="json",
        exclude={"study", "mirrors", "weights_mirror", "parquet"},
        exclude_defaults=True,
    )
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()
