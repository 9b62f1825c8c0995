"""All that is measured of a cell but its speed, in one process; and the controls of a dataset and protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import atomic_write_json
from ..base.places import parts_folder, truth_folder
from ..base.records import ABSENT, write_record
from ..base.tasks import ANOMALY, CLASSIFICATION, DETECTION, task_named
from ..data.coco import protocol_coco
from ..data.truth import read_truth, task_of
from ..deploy.predict import predict
from .accuracy import evaluate
from .anomaly import evaluate_anomaly
from .anomaly_controls import control_anomaly
from .class_controls import control_classes
from .classification import evaluate_classes
from .complexity import count
from .controls import control
from .label_jitter import NoAgreementError
from .operating_point import choose_operating_point

# by task: what scores predictions, and what writes those of a control
SCORERS: Mapping[str, Callable[..., Any]] = {
    DETECTION.name: evaluate,
    CLASSIFICATION.name: evaluate_classes,
    ANOMALY.name: evaluate_anomaly,
}
CONTROLLERS: Mapping[str, Callable[..., Any]] = {
    DETECTION.name: control,
    CLASSIFICATION.name: control_classes,
    ANOMALY.name: control_anomaly,
}


@dataclass(frozen=True)
class Truth:
    """What predictions are held against.

    Attributes:
        annotations: ``annotations.json`` of the dataset, or of a split of ``paper``.
        images: The list of the part: one file name a line.
        groups: ``groups.csv`` of the dataset.
    """

    annotations: Path
    images: Path
    groups: Path


def measure_cell(model: Path, test: Path, truth: Truth, val: Path | None = None) -> None:
    """Choose the threshold, predict, evaluate and count; each record is written beside the model.

    Args:
        model: The cell's model file.
        test: Pack of the test part.
        truth: What the predictions are held against.
        val: Pack of the validation part, which the file is scored on and a detector's threshold is chosen on; none
            leaves that out.

    Raises:
        ArtifactError: The file cannot be run, or gives figures that are not finite.
        PackError: Size or classes of pack and model differ.
        MeasurementError: The files do not belong together, or two counters of complexity disagree.
    """
    folder = model.parent
    if val is not None:
        choose_operating_point(model, val, folder / "operating_point.json")
    predict(model, test, folder / "predictions.json")
    evaluate_predictions(folder / "predictions.json", truth, folder / "accuracy.json")
    count(model, folder / "complexity.json")


def evaluate_predictions(predictions: Path, truth: Truth, out: Path) -> None:
    """Score predictions by the measures of the dataset's task.

    Args:
        predictions: COCO results, or probabilities of classes.
        truth: What they are held against.
        out: The record to make.

    Raises:
        MeasurementError: The files do not belong together.
    """
    score = SCORERS[task_named(task_of(read_truth(truth.annotations))).name]
    score(truth.annotations, predictions, truth.images, truth.groups, out)


def predict_control(
    kind: str, dataset_dir: Path, protocol: str, out: Path, seed: int = 0, split_seed: int = 0
) -> None:
    """Write the predictions of a control of the dataset's task.

    Args:
        kind: Its name, one of the task's.
        dataset_dir: ``results/data/<dataset>``.
        protocol: How the parts were made.
        out: The file to make.
        seed: Seed of what is drawn.
        split_seed: Seed of the split.

    Raises:
        ConfigError: The task has no such control.
    """
    task = task_named(protocol_coco(dataset_dir, protocol, split_seed)[0].task)
    CONTROLLERS[task.name](kind, dataset_dir, protocol, out, seed, split_seed)


def measure_controls(
    kinds: Iterable[str], dataset_dir: Path, protocol: str, out: Path, split_seed: int = 0
) -> None:
    """Predict and score by programs that learn nothing; one that a set has no grounds for is recorded as absent.

    Args:
        kinds: Their names.
        dataset_dir: ``results/data/<dataset>``.
        protocol: How the parts were made.
        out: Folder of the cells of this dataset and protocol; each control has one, ``control_<kind>/seed0``.
        split_seed: Seed of the split.

    Raises:
        ConfigError: The task has no such control.
    """
    truth = Truth(
        truth_folder(dataset_dir, protocol, split_seed) / "annotations.json",
        parts_folder(dataset_dir, protocol, split_seed) / "test.txt",
        dataset_dir / "groups.csv",
    )
    for kind in kinds:
        cell = out / f"control_{kind}" / "seed0"
        predictions = cell / "predictions.json"
        try:
            predict_control(kind, dataset_dir, protocol, predictions, split_seed=split_seed)
        except NoAgreementError as absence:
            write_absence(str(absence.value), predictions, truth)
            continue
        evaluate_predictions(predictions, truth, cell / "accuracy.json")


def write_absence(reason: str, predictions: Path, truth: Truth) -> None:
    """No predictions, and a record of accuracy that says why there is no score; tables say so in its place.

    Args:
        reason: Why there is none.
        predictions: The file to make; the record lies beside it.
        truth: What predictions would be held against.
    """
    atomic_write_json(predictions, [])
    inputs = {"annotations": truth.annotations, "predictions": predictions}
    inputs |= {"images": truth.images, "groups": truth.groups}
    figures = {ABSENT: reason}
    write_record(predictions.with_name("accuracy.json"), "accuracy", figures, inputs)
