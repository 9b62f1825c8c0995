"""What a form of a model scores: the same test part, by another engine or with other arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.engines import REFERENCE, Form
from ..base.errors import ArtifactError, MeasurementError, RefusedError
from ..base.records import ABSENT, read_record, record_beside, write_record
from ..data.pack import load_arrays
from ..deploy.checked import open_checked
from ..deploy.engines import require_engine
from ..deploy.engines.files import inputs_of, model_sha256, recorded_sha256
from ..deploy.nms import NMS, NONE
from ..deploy.predict import predict
from ..deploy.runtime import Artifact
from .absences import reason_in_conversion
from .cell import Truth, evaluate_predictions, write_absence

IMAGES = 8
LEAST_ALIKE = 0.75  # of the images, where a network chooses among cells
BOUND = 1e-3  # of float32 engines: scores as they are, boxes as a share of the input's side


def measure_form(cell: Path, form: Form, test: Path, truth: Truth) -> None:
    """Predict and score by one form of a cell's model; the records lie in ``engines/<form>``.

    ``agreement.json`` says how far its outputs lie from those of the artifact in the reference engine. Where the engine
    cannot run the model, the records say so in the place of figures: it lacks an operator, or it refuses a sound file.

    Args:
        cell: Folder of the cell.
        form: Engine and precision.
        test: Pack of the test part.
        truth: What the predictions are held against.

    Raises:
        ConfigError: The engine is not installed, or does not start.
        ArtifactError: A model breaks the artifact signature, or its files are no longer those that were made.
        DeviceMemoryError: The device has no room.
        MeasurementError: A float32 engine answers otherwise than the reference.
    """
    folder = cell / form.folder
    predictions = folder / "predictions.json"
    made = reason_in_conversion(cell, form)
    if made is not None:
        _write_absence(*made, predictions, truth)
        return
    require_engine(form.engine)
    artifact = open_checked(cell / Form(REFERENCE).model)
    try:
        model = open_checked(cell / form.model, engine=form.engine)
    except RefusedError as error:
        _check_as_made(cell, form)
        reason = f"it refuses the model: {error.value}".rstrip(".")
        _write_absence(reason, inputs_of(cell / form.model), predictions, truth)
        return
    _record_agreement(artifact, model, form, test, folder / "agreement.json")
    predict(cell / form.model, test, predictions, engine_name=form.engine)
    evaluate_predictions(predictions, truth, folder / "accuracy.json")


def _check_as_made(cell: Path, form: Form) -> None:
    """The files that an engine refuses are those that were made for it: what is damaged is no fact about the engine.

    Raises:
        ArtifactError: They are not.
    """
    if form.conversion is None:
        return
    made = recorded_sha256(read_record(cell / form.conversion, "conversion")["inputs"])
    seen = model_sha256(cell / form.model)
    if seen != made:
        raise ArtifactError(cell / form.model, "sha256", seen, f"it was {made}: make it again")


def _record_agreement(
    artifact: Artifact, model: Artifact, form: Form, test: Path, out: Path
) -> None:
    """How far the outputs of a form lie from the artifact's on images of the part."""
    pack = load_arrays(test, task=artifact.task)
    images = np.asarray(pack.images)[:IMAGES].astype(np.float32) / np.float32(255)
    figures, worst = differences(artifact, images, model.run(images), form.precision == "fp32")
    if form.precision == "fp32" and not worst <= BOUND:
        fix = f"{REFERENCE} and an engine in float32 may differ by {BOUND}; report it with the model file"
        raise MeasurementError(model.path, f"difference of {form.name}", worst, fix)
    inputs = {"artifact": artifact.path, **inputs_of(model.path), "pack": test}
    write_record(out, "agreement", figures, inputs)


def differences(
    artifact: Artifact, images: NDArray[np.float32], got: Sequence[NDArray[Any]], is_float32: bool
) -> tuple[dict[str, float | int], float]:
    """How far outputs of an engine lie from those of the artifact in the reference engine.

    A network without suppression chooses among cells by their scores. Where two score alike to rounding, an engine may
    choose the other one, and its outputs are those of another choice: of few images that is counted and let pass.

    Args:
        artifact: The artifact, run here.
        images: [N, 3, S, S], 0 to 1; N at least 1.
        got: The engine's outputs for them, in the artifact's order.
        is_float32: Whether the engine computes in float32.

    Returns:
        Figures of a record: the largest difference of each output, boxes as a share of the input's side; and the
        largest of these.
    """
    apart = {
        name: np.abs(want - seen).reshape(len(images), -1).max(axis=1, initial=0.0)
        / (artifact.size if name == "boxes" else 1.0)
        for name, want, seen in zip(artifact.outputs, artifact.run(images), got, strict=True)
    }
    figures: dict[str, float | int] = {"n_images": len(images)}
    alike = np.ones(len(images), np.bool_)
    if is_float32 and getattr(artifact, "suppression", NMS) == NONE:
        agree = np.max(list(apart.values()), axis=0) <= BOUND
        alike = agree if agree.mean() >= LEAST_ALIKE else alike
        figures["n_images_chosen_otherwise"] = int((~alike).sum())
    largest = {name: float(values[alike].max()) for name, values in apart.items()}
    figures |= {f"largest_difference_{name}": value for name, value in largest.items()}
    return figures, max(largest.values())


def _write_absence(
    reason: str, inputs: Mapping[str, Path], predictions: Path, truth: Truth
) -> None:
    """Records that say why there is no score.

    Args:
        reason: Why there is none.
        inputs: What says so: the record of the conversion, or the files that the engine refuses.
        predictions: The file in the place of predictions.
        truth: What predictions would be held against.
    """
    write_absence(reason, predictions, truth)
    write_record(record_beside(predictions), "predictions", {ABSENT: reason}, inputs)
    write_record(predictions.with_name("agreement.json"), "agreement", {ABSENT: reason}, inputs)
