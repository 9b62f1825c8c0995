"""What a form of a model scores: the same test part, by another engine or with other arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..base.engines import REFERENCE, Form
from ..base.errors import MeasurementError
from ..base.records import ABSENT, record_beside, write_record
from ..data.pack import load_arrays
from ..deploy.checked import open_checked
from ..deploy.engines import require_engine
from ..deploy.engines.files import inputs_of
from ..deploy.predict import predict
from .cell import Truth, evaluate_predictions, write_absence
from .race import absence_of

IMAGES = 8
BOUND = 1e-3  # of float32 engines: scores as they are, boxes as a share of the input's side


def measure_form(cell: Path, form: Form, test: Path, truth: Truth) -> None:
    """Predict and score by one form of a cell's model; the records lie in ``engines/<form>``.

    ``agreement.json`` says how far its outputs lie from those of the artifact in the reference engine. Where the engine
    cannot run the model, the records say so in the place of figures.

    Args:
        cell: Folder of the cell.
        form: Engine and precision.
        test: Pack of the test part.
        truth: What the predictions are held against.

    Raises:
        ConfigError: The engine is not installed.
        ArtifactError: A model breaks the artifact signature, or its engine cannot load or run it.
        MeasurementError: A float32 engine answers otherwise than the reference.
    """
    folder = cell / form.folder
    predictions = folder / "predictions.json"
    reason = absence_of(cell, form)
    if reason is not None:
        _write_absence(reason, cell, form, predictions, truth)
        return
    require_engine(form.engine)
    _record_agreement(cell, form, test, folder / "agreement.json")
    predict(cell / form.model, test, predictions, engine_name=form.engine)
    evaluate_predictions(predictions, truth, folder / "accuracy.json")


def _record_agreement(cell: Path, form: Form, test: Path, out: Path) -> None:
    """How far the outputs lie from the artifact's on images of the part."""
    artifact = open_checked(cell / Form(REFERENCE).model)
    model = open_checked(cell / form.model, engine=form.engine)
    pack = load_arrays(test, task=artifact.task)
    images = np.asarray(pack.images)[:IMAGES].astype(np.float32) / np.float32(255)
    figures: dict[str, float | int] = {"n_images": len(images)}
    for name, want, got in zip(
        artifact.outputs, artifact.run(images), model.run(images), strict=True
    ):
        unit = artifact.size if name == "boxes" else 1.0
        figures[f"largest_difference_{name}"] = float(np.abs(want - got).max(initial=0.0)) / unit
    worst = max(value for name, value in figures.items() if name != "n_images")
    if form.precision == "fp32" and not worst <= BOUND:
        fix = f"{REFERENCE} and an engine in float32 may differ by {BOUND}; report it with the model file"
        raise MeasurementError(cell / form.model, f"difference of {form.name}", worst, fix)
    inputs = {
        "artifact": cell / Form(REFERENCE).model,
        **inputs_of(cell / form.model),
        "pack": test,
    }
    write_record(out, "agreement", figures, inputs)


def _write_absence(reason: str, cell: Path, form: Form, predictions: Path, truth: Truth) -> None:
    """Records that say why there is no score."""
    write_absence(reason, predictions, truth)
    assert form.conversion is not None
    conversion = {"conversion": cell / form.conversion}
    write_record(record_beside(predictions), "predictions", {ABSENT: reason}, conversion)
    write_record(predictions.with_name("agreement.json"), "agreement", {ABSENT: reason}, conversion)
