"""Scores of what tells images with a defect from images without one, by one number an image.

An image is rejected where it scores above a threshold. *Overkill* is the share of images without a defect that are
rejected, *escape* the share of defective ones that are not; both as in ``operating_point``, where a detector's image
score is its highest detection. The threshold that keeps the overkill rate is found twice: on the validation part's
images without a defect, as a plant can, with the overkill that then happens on the test part; and on the test part's
own, as for detectors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base.bounds import LEAST_DEFECT_FREE
from ..base.errors import MeasurementError
from ..base.records import read_record, write_record
from ..base.tasks import ANOMALY
from ..data.truth import read_truth
from .accuracy import groups_of, listed_images, model_behind
from .escape import OVERKILL_RATE
from .evaluator import restrict
from .image_scores import Scored, auroc, can_reject, kinds_of, rejected, thresholds
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

FIGURES = ("auroc", "escape_rate", "escape_rate_val", "overkill_rate_val")
POINT = "operating_point.json"
SETTINGS = {
    "auroc": "probability that a defective image scores above one without a defect, ties half",
    "overkill_rate": OVERKILL_RATE,
    "escape_rate": "threshold set on the scored images without a defect",
    "escape_rate_val": "threshold set on the validation images without a defect",
    "overkill_rate_val": "what that threshold rejects of the scored images without a defect",
    "least_defect_free": LEAST_DEFECT_FREE,
    "interval": INTERVAL,
    "confidence": CONFIDENCE,
    "resamples": RESAMPLES,
}


def evaluate_anomaly(
    annotations: str | Path,
    predictions: str | Path,
    images: str | Path,
    groups: str | Path,
    out: str | Path,
) -> dict[str, Any]:
    """Score one number an image on the listed images and write the accuracy record.

    Args:
        annotations: Annotations of a dataset that is learnt from images without a defect.
        predictions: List of ``image_id`` and ``anomaly``. The ``operating_point.json`` beside it says the threshold of
            the validation part; without it the figures ``_val`` are None.
        images: The list of the part: one file name a line.
        groups: ``groups.csv`` of the dataset.
        out: The record to make.

    Returns:
        The record. Each of ``FIGURES`` comes with ``_low`` and ``_high``, the ends of the 95 % interval over
        ``n_groups`` groups; those of overkill and escape are None with fewer than 20 images without a defect.

    Raises:
        MeasurementError: The files do not belong together, or all images are of one kind.
        ConfigError: The annotations are for another task.
    """
    start = time.perf_counter()
    truth = restrict(read_truth(annotations, ANOMALY.name), listed_images(images), images)
    scored = scored_images(truth, read_results(predictions, truth, ANOMALY.name))
    if scored.defective.all() or not scored.defective.any():
        seen = f"{int(scored.defective.sum())} of {len(scored.scores)} with a defect"
        raise MeasurementError(images, "images", seen, "score a part that has both kinds")
    point = threshold_beside(predictions)
    members = groups_of(truth, groups)
    runs = resampled_anomaly(scored, point, members)
    figures: dict[str, Any] = {
        **_with_intervals(runs),
        "threshold": _known(thresholds(scored)[0]) if can_reject(scored) else None,
        "threshold_val": point,
        "overkill_rate": OVERKILL_RATE,
        **kinds_of(scored),
        "n_groups": len(set(members)),
        "per_class": per_class(scored, truth, point),
    }
    inputs = {"annotations": annotations, "predictions": predictions}
    inputs |= {"images": images, "groups": groups}
    if point is not None:
        inputs["operating_point"] = Path(predictions).with_name(POINT)
    extra = {"task": ANOMALY.name, "settings": SETTINGS, "model_sha256": model_behind(predictions)}
    return write_record(out, "accuracy", figures, inputs, time.perf_counter() - start, extra)


def threshold_beside(predictions: str | Path) -> float | None:
    """The threshold of the operating point beside predictions; None where there is none.

    Raises:
        MeasurementError: It was chosen for another model than the one that made the predictions.
    """
    path = Path(predictions).with_name(POINT)
    if not path.is_file():
        return None
    record, model = read_record(path, "operating_point"), model_behind(predictions)
    chosen_for = record["inputs"].get("model", {}).get("sha256")
    if model and chosen_for and chosen_for != model:
        fix = f"the predictions are of {model}; make both from one model file"
        raise MeasurementError(path, "inputs.model.sha256", chosen_for, fix)
    return threshold_in(path)


def threshold_in(point: str | Path) -> float | None:
    """The threshold of the record of an operating point; None where it has none."""
    threshold = read_record(point, "operating_point")["figures"]["threshold"]
    return None if threshold is None else float(threshold)


def scored_images(truth: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Scored:
    """Scores of images beside their truth.

    Args:
        truth: COCO annotations; an image without a box is free of defects.
        rows: A result for each image.
    """
    ids = sorted(image["id"] for image in truth["images"])
    shown = {box["image_id"]: box["category_id"] for box in reversed(truth["annotations"])}
    scores = {row["image_id"]: row["anomaly"] for row in rows}
    classes = np.array([shown.get(key, -1) for key in ids], np.int64)
    return Scored(np.array([scores[key] for key in ids], np.float64), classes >= 0, classes)


def resampled_anomaly(
    scored: Scored,
    point: float | None,
    groups: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Resampled]:
    """``FIGURES`` on a test part and on resamples of its groups, as far as they can be told; equal seeds pair draws.

    Args:
        scored: The images.
        point: Threshold of the validation part.
        groups: [I], group of each image.
        resamples: Number of resamples.
        seed: Seed of the draws.
    """
    weights = resample_weights(groups, resamples, seed)
    figures = {"auroc": auroc(scored, weights)}
    if can_reject(scored):
        own = thresholds(scored, OVERKILL_RATE, weights)
        figures["escape_rate"] = 1 - rejected(scored, own, scored.defective, weights)
    if point is not None:
        figures["escape_rate_val"] = 1 - rejected(scored, point, scored.defective, weights)
        figures["overkill_rate_val"] = rejected(scored, point, ~scored.defective, weights)
    return resampled(figures, groups)


def _with_intervals(runs: Mapping[str, Resampled]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name in FIGURES:
        ends = (None, None, None)
        if name in runs:
            interval = interval_over_groups(runs[name])
            ends = (runs[name].whole, interval.low, interval.high)
        figures |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return figures


def per_class(
    scored: Scored, truth: Mapping[str, Any], point: float | None
) -> dict[str, dict[str, float | int | None]]:
    """AUROC of each class against all images without a defect, and its escape; None where no image shows it."""
    table: dict[str, dict[str, float | int | None]] = {}
    for category in sorted(truth["categories"], key=lambda entry: entry["id"]):
        here = scored.classes == category["id"]
        among = here | ~scored.defective
        part = Scored(scored.scores[among], scored.defective[among], scored.classes[among])
        escaped = None if point is None else _known(1 - rejected(scored, point, here)[0])
        table[category["name"]] = {
            "auroc": _known(auroc(part)[0]),
            "escape_rate_val": escaped,
            "n_images": int(here.sum()),
        }
    return table


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
