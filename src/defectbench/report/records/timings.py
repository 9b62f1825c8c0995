"""Every timing of a study's model files: by engine, precision and number of threads, one record a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.engines import ENGINES, PRECISIONS, Form, forms_of, latency_record
from ...base.errors import ReportError
from ...base.records import ABSENT
from ...deploy.engines.files import recorded_sha256
from .cell import CellRecords
from .cells import Entry, read_figures
from .costs import mean
from .study import StudyRecords

_FURTHER = "threads"  # begins the folder of a further number of threads


@dataclass(frozen=True)
class FormTiming:
    """A method by one engine, precision and number of threads.

    Attributes:
        entry: The method on its dataset and protocol.
        form: Engine and precision.
        threads: Threads of the engine.
        is_further: Whether it is of a further number of threads than that of the main tables.
        figures: Figures of the race, one a seed.
    """

    entry: Entry
    form: Form
    threads: int
    is_further: bool
    figures: list[dict[str, Any]]

    def mean(self, name: str) -> float | None:
        """Mean of a figure over seeds; None where one of them lacks it."""
        if any(name not in figures for figures in self.figures):
            return None
        return mean(self.figures, name)

    def ends(self, name: str) -> dict[str, float | None]:
        """The widest interval of a figure over seeds, by key."""
        low, high = f"{name}_low", f"{name}_high"
        if any(low not in figures for figures in self.figures):
            return {}
        return {
            low: min(figures[low] for figures in self.figures),
            high: max(figures[high] for figures in self.figures),
        }

    @property
    def is_valid(self) -> bool:
        """Whether the ratios of all seeds can be trusted."""
        return all(figures["valid"] for figures in self.figures)

    @property
    def invalid_because(self) -> str:
        """Why not; empty where they can."""
        reasons = [reason for figures in self.figures for reason in figures["invalid_because"]]
        return "; ".join(dict.fromkeys(reasons))

    @property
    def told(self) -> str:
        """Its name in a sentence."""
        first = self.entry.first
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return (
            f"{self.entry.title} by {self.form.name}, {threads} ({first.dataset}, {first.protocol})"
        )

    @property
    def names(self) -> dict[str, Any]:
        """What tells its row from others, by key."""
        first = self.entry.first
        return {
            "dataset": first.dataset,
            "protocol": first.protocol,
            "method": first.method,
            "title": self.entry.title,
            "engine": self.form.engine,
            "precision": self.form.precision,
            "threads": self.threads,
            "tile_px": tile_of(self.entry),
            "latency_valid": self.is_valid,
            "latency_invalid_because": self.invalid_because,
        }


def tile_of(entry: Entry) -> int | None:
    """Side of the tiles that a method's images are cut into, pixels; None of whole images."""
    tiling = entry.first.accuracy.get("tiles")
    return None if tiling is None else tiling["side"]


def note_on_tiles(entries: Iterable[Entry]) -> list[str]:
    """That a call is of a tile, by dataset, where images are cut into tiles."""
    tiled = {entry.first.dataset: side for entry in entries if (side := tile_of(entry))}
    return [
        f"On {dataset} images are cut into tiles: latency, images/s and joules are of a tile, seen at {side} px of the "
        "image, and scores are of whole images."
        for dataset, side in tiled.items()
    ]


def timings_of(study: StudyRecords) -> list[FormTiming]:
    """Timings of all trained methods with a model file; forms that an engine cannot run have none.

    Raises:
        ReportError: A seed lacks a record that another has, or records are of different files.
    """
    is_kept = study.lacks is not None
    return [timing for entry in study.entries for timing in _of_entry(entry, is_kept)]


def _of_entry(entry: Entry, is_kept: bool) -> Iterator[FormTiming]:
    if entry.first.is_control:
        return
    for form in forms_of(ENGINES, PRECISIONS):
        for further in (None, *_further_counts(entry.first.folder / "latency")):
            path = latency_record(form.name, further)
            if not (entry.first.folder / path).is_file():
                continue
            cells = [c for c in entry.cells if not is_kept or (c.folder / path).is_file()]
            figures = [_figures(cell, form, path) for cell in cells]
            if not any(ABSENT in each for each in figures):
                threads = figures[0]["threads"]
                yield FormTiming(entry, form, threads, further is not None, figures)


def _further_counts(folder: Path) -> list[int]:
    names = [path.name.removeprefix(_FURTHER) for path in folder.glob(f"{_FURTHER}*")]
    return sorted(int(name) for name in names if name.isdecimal())


def _figures(cell: CellRecords, form: Form, path: str) -> dict[str, Any]:
    """Figures of one record, which must be of the file that the main tables speak of."""
    command = f"defectbench race --set threads=[..] --form {form.name} {cell.folder}"
    record = read_figures(cell.folder / path, "latency", command)
    usual = latency_record(form.name)
    if path != usual and ABSENT not in record["figures"]:
        first = read_figures(cell.folder / usual, "latency", command)
        seen, timed = (recorded_sha256(each["inputs"]) for each in (record, first))
        if seen != timed:
            fix = f"the file of {usual} is {timed}; time both in one run: {command}"
            raise ReportError(cell.folder / path, "inputs.model.sha256", seen, fix)
    return record["figures"]
