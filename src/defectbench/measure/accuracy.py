"""Accuracy of a cell: one record from predictions, truth and groups."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from ..base.errors import MeasurementError
from ..base.files import sha256_file
from ..base.records import read_record, record_beside, write_record
from ..base.tasks import DETECTION
from ..base.texts import read_columns
from ..data.coco import read_list, source_name
from ..data.truth import read_truth
from ..deploy.engines.files import recorded_sha256
from .bootstrap import match
from .evaluator import MAX_DETECTIONS, SIZES, Scores, restrict, score
from .operating_point import OVERKILL_RATE, escape_at_overkill
from .results import read_results
from .statistics import CONFIDENCE, INTERVAL, RESAMPLES, Interval, bootstrap_precision

SETTINGS = {
    "definition": "COCO average precision, 101 recall points, mean over classes with true boxes",
    "max_detections_per_image_and_class": MAX_DETECTIONS,
    "sizes_px2": {"small": [0, 32**2], "medium": [32**2, 96**2], "large": [96**2, None]},
    "interval": INTERVAL,
    "confidence": CONFIDENCE,
    "resamples": RESAMPLES,
    "overkill_rate": OVERKILL_RATE,
    "escape": "threshold set on the scored images; definitions in measure/operating_point.py",
}


def evaluate(
    annotations: str | Path,
    predictions: str | Path,
    images: str | Path,
    groups: str | Path,
    out: str | Path,
) -> dict[str, Any]:
    """Score predictions on the listed images and write the accuracy record.

    Args:
        annotations: COCO annotations of the dataset (of the protocol, for ``paper``).
        predictions: COCO results in original pixels.
        images: The list of the part: one file name a line.
        groups: ``groups.csv`` of the dataset; offline copies follow their source image.
        out: The record to make.

    Returns:
        The record. ``map50``, ``map50_95`` and ``map75`` come with ``_low`` and ``_high``, the
        ends of the 95 % interval over ``n_groups`` groups; what does not exist is null.

    Raises:
        MeasurementError: The files do not belong together.
        ConfigError: The annotations are for another task.
    """
    start = time.perf_counter()
    truth = restrict(read_truth(annotations, DETECTION.name), listed_images(images), images)
    results = read_results(predictions, truth)
    members = groups_of(truth, groups)
    scores = score(truth, results)
    intervals = bootstrap_precision(match(truth, results), members)
    figures = {
        **_summary(scores, intervals),
        "n_images": len(truth["images"]),
        "n_boxes": len(truth["annotations"]),
        "n_groups": len(set(members)),
        "n_detections": len(results),
        "per_class": _per_class(scores, truth),
        "escape": asdict(escape_at_overkill(truth, results)),
    }
    inputs = {
        "annotations": annotations,
        "predictions": predictions,
        "images": images,
        "groups": groups,
    }
    seconds = time.perf_counter() - start
    extra = {
        "settings": SETTINGS,
        "model_sha256": model_behind(predictions),
        **tiles_behind(predictions),
    }
    return write_record(out, "accuracy", figures, inputs, seconds, extra)


def model_behind(predictions: str | Path) -> str | None:
    """SHA-256 of the model file that made predictions; None where no record says so, as for controls.

    Raises:
        MeasurementError: The record beside them is of other predictions.
    """
    path = record_beside(predictions)
    if not path.is_file():
        return None
    inputs = read_record(path, "predictions")["inputs"]
    digest = sha256_file(predictions)
    if inputs["predictions"]["sha256"] != digest:
        raise MeasurementError(path, "inputs.predictions.sha256", digest, "predict again")
    return recorded_sha256(inputs)


def tiles_behind(predictions: str | Path) -> dict[str, Any]:
    """How images were cut into tiles for predictions, as ``tiles``; nothing where no record says that they were."""
    path = record_beside(predictions)
    record = read_record(path, "predictions") if path.is_file() else {}
    return {"tiles": record["tiles"]} if "tiles" in record else {}


def listed_images(path: str | Path) -> list[str]:
    """File names of a part's list.

    Raises:
        MeasurementError: It is missing, is empty, is not UTF-8 or names an image twice.
    """
    names = read_list(path, MeasurementError)
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated or not names:
        fix = "list each image of the part once, one a line, and at least one"
        raise MeasurementError(path, "file names", repeated[0] if repeated else "none", fix)
    return names


def groups_of(truth: dict[str, Any], groups: str | Path) -> list[str]:
    """The group of each image, in the order of ascending image ids.

    Offline copies belong to the group of their original. Where they do not name it, in files of version 0.1, they are
    called ``<stem>__aug<k>``.

    Raises:
        MeasurementError: An image has no group, or two.
    """
    rows = read_columns(groups, ("file_name", "group"), MeasurementError)
    group_by_name: dict[str, str] = {}
    for name, group in rows:
        if group_by_name.setdefault(name, group) != group:
            fix = f"it is in group {group_by_name[name]} already; group the dataset again"
            raise MeasurementError(groups, f"group of {name}", group, fix)
    group_by_stem = {PurePath(name).stem: group for name, group in group_by_name.items()}
    members = []
    for image in sorted(truth["images"], key=lambda entry: entry["id"]):
        stem = PurePath(image["file_name"]).stem.rpartition("__aug")[0]
        group = group_by_name.get(source_name(image), group_by_stem.get(stem))
        if group is None:
            fix = "group the dataset again; every image needs a group"
            raise MeasurementError(groups, "group", image["file_name"], fix)
        members.append(group)
    return members


def _summary(scores: Scores, intervals: dict[str, Interval]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, value in (
        ("map50", scores.map50),
        ("map50_95", scores.map50_95),
        ("map75", scores.map75),
    ):
        interval = intervals[name]
        if not math.isclose(interval.estimate, value, abs_tol=1e-9):
            fix = "remove crowd boxes; evaluator and bootstrap must agree on whole data"
            raise MeasurementError("accuracy", name, [value, interval.estimate], fix)
        figures |= {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    figures |= {f"map_{size}": _known(scores.map_of_size(size)) for size in SIZES}
    return figures | {"recall_100": _known(scores.recall_100)}


def _per_class(scores: Scores, truth: dict[str, Any]) -> dict[str, dict[str, float | int | None]]:
    order = sorted(category["id"] for category in truth["categories"])
    boxes = Counter(box["category_id"] for box in truth["annotations"])
    return {
        name: {
            "ap50": _known(scores.precision[0, k]),
            "ap75": _known(scores.precision[5, k]),
            "ap50_95": _known(scores.precision[:, k].mean()),
            "recall_100": _known(scores.recall[:, k].mean()),
            "n_boxes": boxes[order[k]],
        }
        for k, name in enumerate(scores.classes)
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
