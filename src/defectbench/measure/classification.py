"""Scores of a classifier: one record from predictions, truth and groups.

Everything follows from the confusion matrix, which is linear in how often an image counts: a resample of groups is a
product of two matrices.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import MeasurementError
from ..base.records import write_record
from ..base.tasks import CLASSIFICATION
from ..data.truth import read_truth
from .accuracy import groups_of, listed_images, model_behind
from .evaluator import restrict
from .results import read_results
from .statistics import (
    CONFIDENCE,
    INTERVAL,
    RESAMPLES,
    Resampled,
    interval_over_groups,
    resample_weights,
    resampled,
)

FIGURES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
SETTINGS = {
    "definition": "the class with the highest probability; the first of equals",
    "balanced_accuracy": "mean recall of the classes that the test part shows; macro_recall is the same",
    "macro": "plain mean over these classes; the precision of a class that is never predicted is 0",
    "interval": INTERVAL,
    "confidence": CONFIDENCE,
    "resamples": RESAMPLES,
}

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def evaluate_classes(
    annotations: str | Path,
    predictions: str | Path,
    images: str | Path,
    groups: str | Path,
    out: str | Path,
) -> dict[str, Any]:
    """Score class probabilities on the listed images and write the accuracy record.

    Args:
        annotations: Annotations of a dataset for classification.
        predictions: List of ``image_id`` and ``probabilities``.
        images: The list of the part: one file name a line.
        groups: ``groups.csv`` of the dataset.
        out: The record to make.

    Returns:
        The record. Each of ``FIGURES`` comes with ``_low`` and ``_high``, the ends of the 95 % interval over
        ``n_groups`` groups; ``confusion`` counts images by true class (rows) and predicted class (columns).

    Raises:
        MeasurementError: The files do not belong together.
        ConfigError: The annotations are for another task.
    """
    start = time.perf_counter()
    truth = restrict(read_truth(annotations, CLASSIFICATION.name), listed_images(images), images)
    names = [c["name"] for c in sorted(truth["categories"], key=lambda c: c["id"])]
    true = true_classes(truth, annotations)
    predicted = predicted_classes(predictions, truth, len(names))
    members = groups_of(truth, groups)
    matrix = confusion(true, predicted, len(names), np.ones((1, len(true))))[0]
    figures = {
        **_with_intervals(true, predicted, len(names), members),
        "n_images": len(true),
        "n_groups": len(set(members)),
        "per_class": per_class(matrix, names),
        "confusion": matrix.astype(int).tolist(),
    }
    inputs = {
        "annotations": annotations,
        "predictions": predictions,
        "images": images,
        "groups": groups,
    }
    extra = {"task": CLASSIFICATION.name, "settings": SETTINGS, "classes": names}
    extra["model_sha256"] = model_behind(predictions)
    return write_record(out, "accuracy", figures, inputs, time.perf_counter() - start, extra)


def true_classes(truth: Mapping[str, Any], source: str | Path = "annotations.json") -> Integers:
    """Place [I] of the class of each image among all classes, in the order of ascending image ids.

    Raises:
        MeasurementError: An image has no class, or two.
    """
    place_of = {key: n for n, key in enumerate(sorted(c["id"] for c in truth["categories"]))}
    classes: dict[int, set[int]] = {image["id"]: set() for image in truth["images"]}
    for box in truth["annotations"]:
        classes[box["image_id"]].add(place_of[box["category_id"]])
    for key, of_image in classes.items():
        if len(of_image) != 1:
            fix = "each image has one class; convert the dataset again"
            raise MeasurementError(source, f"classes of image {key}", sorted(of_image), fix)
    return np.array([classes[key].pop() for key in sorted(classes)], dtype=np.int64)


def predicted_classes(predictions: str | Path, truth: Mapping[str, Any], classes: int) -> Integers:
    """Class [I] with the highest probability, in the order of ascending image ids.

    Raises:
        MeasurementError: The file holds something else, or not each scored image exactly once.
    """
    rows = read_results(predictions, truth, CLASSIFICATION.name)
    table = np.array(
        [row["probabilities"] for row in sorted(rows, key=_image_id)], dtype=np.float64
    )
    return table.reshape(-1, classes).argmax(axis=1)


def _image_id(row: Mapping[str, Any]) -> int:
    return row["image_id"]


def confusion(true: Integers, predicted: Integers, classes: int, weights: NDArray[Any]) -> Floats:
    """Confusion matrices [B, K, K] of resamples: true class by predicted class.

    Args:
        true: [I], class of each image.
        predicted: [I], class that was predicted.
        classes: Number of classes K.
        weights: [B, I], how often each image counts.
    """
    cells = np.zeros((len(true), classes * classes))
    cells[np.arange(len(true)), true * classes + predicted] = 1
    return (weights.astype(np.float64) @ cells).reshape(-1, classes, classes)


def summarise_classes(matrices: Floats) -> dict[str, Floats]:
    """``FIGURES`` [B] of confusion matrices [B, K, K]; classes without a true image are left out of means."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    true, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    recall, precision = _share(hits, true), _share(hits, predicted)
    f1 = _share(2 * hits, true + predicted)
    shown = true > 0

    def mean(values: Floats) -> Floats:
        return _share(np.where(shown, values, 0.0).sum(axis=1), shown.sum(axis=1), np.nan)

    accuracy = _share(hits.sum(axis=1), true.sum(axis=1), np.nan)
    figures = {"accuracy": accuracy, "balanced_accuracy": mean(recall)}
    figures |= {"macro_precision": mean(precision), "macro_recall": mean(recall)}
    return figures | {"macro_f1": mean(f1)}


def _share(part: Floats, whole: NDArray[Any], of_nothing: float = 0.0) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, of_nothing), where=whole > 0)


def resampled_figures(
    true: Integers,
    predicted: Integers,
    classes: int,
    groups: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Resampled]:
    """``FIGURES`` on a test part and on resamples of its groups; equal seeds give paired draws.

    Args:
        true: [I], class of each image.
        predicted: [I], class that was predicted.
        classes: Number of classes.
        groups: [I], group of each image.
        resamples: Number of resamples.
        seed: Seed of the draws.
    """
    weights = resample_weights(groups, resamples, seed)
    return resampled(summarise_classes(confusion(true, predicted, classes, weights)), groups)


def _with_intervals(
    true: Integers, predicted: Integers, classes: int, groups: Sequence[str]
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, one in resampled_figures(true, predicted, classes, groups).items():
        interval = interval_over_groups(one)
        figures |= {name: one.whole, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return figures


def per_class(matrix: Floats, names: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Recall, precision, F1 and number of images by class; recall and F1 are None where no image shows the class."""
    hits, true, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        name: {
            "recall": float(hits[k] / true[k]) if true[k] else None,
            "precision": float(hits[k] / predicted[k]) if predicted[k] else None,
            "f1": float(2 * hits[k] / (true[k] + predicted[k])) if true[k] else None,
            "n_images": int(true[k]),
        }
        for k, name in enumerate(names)
    }
