"""Stored predictions scored anew: by the measures of today, against the truth as it now lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import MeasurementError
from ..base.records import ABSENT, read_record
from .cell import Truth, evaluate_predictions

ACCURACY = "accuracy.json"
_FIX = "snakemake scores makes what is missing"


@dataclass(frozen=True)
class Rescored:
    """A record of accuracy before and after.

    Attributes:
        path: The record.
        changed: Figures that differ now, or that one of both lacks, by name: before and after.
    """

    path: Path
    changed: dict[str, tuple[object, object]]


def rescore(folders: Iterable[str | Path]) -> Iterator[Rescored]:
    """Score every set of predictions at or below some folders anew; each record takes the place of the old one.

    What a control could not be made for stays as it is.

    Args:
        folders: Folders of cells, or folders above them, seen from where the study was made: records name their files
            from there.

    Yields:
        What became of each record, as soon as it is written.

    Raises:
        MeasurementError: There is no record, or a file that it was made from is gone. Nothing was written then.
        ConfigError: A record is damaged.
    """
    records = dict.fromkeys(
        path for folder in folders for path in sorted(Path(folder).rglob(ACCURACY))
    )
    if not records:
        named = ", ".join(map(str, folders)) or "rescore"
        raise MeasurementError(named, "scored predictions", 0, "run snakemake scores first")
    read = {path: read_record(path, "accuracy") for path in records}
    scored = {path: record for path, record in read.items() if ABSENT not in record["figures"]}
    files = {path: _files_of(path, record["inputs"]) for path, record in scored.items()}
    for path, record in scored.items():
        evaluate_predictions(*files[path], path)
        after = read_record(path, "accuracy")["figures"]
        yield Rescored(path, _differences(record["figures"], after))


def _files_of(path: Path, inputs: Mapping[str, Mapping[str, str]]) -> tuple[Path, Truth]:
    """The predictions beside a record, and what they are held against.

    Raises:
        MeasurementError: One is gone.
    """
    predictions = path.with_name(Path(inputs["predictions"]["path"]).name)
    truth = Truth(*(Path(inputs[name]["path"]) for name in ("annotations", "images", "groups")))
    for file in (predictions, truth.annotations, truth.images, truth.groups):
        if not file.is_file():
            raise MeasurementError(path, "file", f"{file} is gone", _FIX)
    return predictions, truth


def _differences(
    before: dict[str, object], after: dict[str, object]
) -> dict[str, tuple[object, object]]:
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }
