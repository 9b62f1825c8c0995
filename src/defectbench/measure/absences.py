"""Forms of a cell that an engine cannot run: why, and which record says so."""

from __future__ import annotations

from pathlib import Path

from ..base.engines import Form
from ..base.records import ABSENT, read_record
from ..deploy.engines.files import model_sha256, recorded_sha256

Absence = tuple[str, dict[str, Path]]  # why, and the record that says so, as an input of others


def reason_in_conversion(cell: Path, form: Form) -> Absence | None:
    """Why the files that a form runs could not be made; None where they were, or where it runs the artifact."""
    record = cell / form.conversion if form.conversion else None
    if record is None or not record.is_file():
        return None
    reason = read_record(record, "conversion")["figures"].get(ABSENT)
    return None if reason is None else (reason, {"conversion": record})


def find_absence(cell: Path, form: Form) -> Absence | None:
    """Why an engine cannot run a form, by its conversion or by what it said of the very file that lies there."""
    absence = reason_in_conversion(cell, form)
    record = cell / form.folder / "predictions.record.json"
    if absence is not None or form.is_artifact or not record.is_file():
        return absence
    told = read_record(record, "predictions")
    reason, model = told["figures"].get(ABSENT), cell / form.model
    if reason is None or not model.exists():
        return None
    is_same = recorded_sha256(told["inputs"]) == model_sha256(model)
    return (reason, {"refusal": record}) if is_same else None


def absence_of(cell: Path, form: Form) -> str | None:
    """Why a form of a cell cannot be run; None where it can."""
    absence = find_absence(cell, form)
    return None if absence is None else absence[0]
