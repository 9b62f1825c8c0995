"""The records of a study, and what several topics make of them once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .cells import Entry, find_entries

_T = TypeVar("_T")


class StudyRecords:
    """Entries of a study, and what topics share.

    Args:
        entries: Cells by dataset, protocol and method.
        run_dirs: Where they lie.
        models_dir: Where method cards lie.
        lacks: Sentences on what kept records lack; None where nothing may be missing.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        run_dirs: Sequence[Path],
        models_dir: str | Path = "models",
        lacks: list[str] | None = None,
    ) -> None:
        self.entries, self.run_dirs, self.models_dir = list(entries), list(run_dirs), models_dir
        self.lacks = lacks
        self._made: dict[Callable[[StudyRecords], Any], Any] = {}

    def share(self, make: Callable[[StudyRecords], _T]) -> _T:
        """What a function makes of this study, made once."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def of_task(self, task: str) -> list[Entry]:
        """Entries of methods and controls that solve a task."""
        return [entry for entry in self.entries if entry.task == task]


def read_study(
    run_dirs: Iterable[str | Path], models_dir: str | Path = "models", is_kept: bool = False
) -> StudyRecords:
    """Read the records of a study.

    Args:
        run_dirs: Folders of cells, or folders above them.
        models_dir: Where method cards lie, for titles.
        is_kept: Whether these are kept records, which may lack some.

    Raises:
        ReportError: A record is missing, or records do not belong together.
    """
    folders = [Path(folder) for folder in run_dirs]
    lacks = [] if is_kept else None
    return StudyRecords(find_entries(folders, models_dir, lacks), folders, models_dir, lacks)
