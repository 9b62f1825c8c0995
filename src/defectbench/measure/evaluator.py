"""The one evaluator of the suite: COCO average precision, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from ..base.errors import MeasurementError

MAX_DETECTIONS = 100
SIZES = ("small", "medium", "large")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Scores:
    """Average precision and recall of one result list.

    Attributes:
        precision: [10, K]: average precision by IoU threshold 0.5, 0.55, ... 0.95 and class;
            NaN where a class has no true box.
        precision_by_size: [3, 10, K]: the same for true boxes under 32², from there to 96², and
            above, in square pixels.
        recall: [10, K]: recall with at most 100 boxes an image.
        classes: Class names, in the order of K.
    """

    precision: NDArray[np.float64]
    precision_by_size: NDArray[np.float64]
    recall: NDArray[np.float64]
    classes: list[str]

    @property
    def map50_95(self) -> float:
        """Mean over IoU thresholds and classes; NaN without any true box."""
        return _mean(self.precision)

    @property
    def map50(self) -> float:
        """Mean over classes at IoU 0.5."""
        return _mean(self.precision[0])

    @property
    def map75(self) -> float:
        """Mean over classes at IoU 0.75."""
        return _mean(self.precision[5])

    @property
    def recall_100(self) -> float:
        """Mean over IoU thresholds and classes of the recall with at most 100 boxes an image."""
        return _mean(self.recall)

    def map_of_size(self, size: str) -> float:
        """Mean over thresholds and classes for true boxes of one size; NaN if there is none."""
        return _mean(self.precision_by_size[SIZES.index(size)])


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def restrict(
    truth: dict[str, Any], file_names: Iterable[str], source: str | Path
) -> dict[str, Any]:
    """Cut COCO annotations down to the listed images, in the order of the annotations.

    Raises:
        MeasurementError: A listed image is not in the annotations, or none is listed.
    """
    wanted = set(file_names)
    images = [image for image in truth["images"] if image["file_name"] in wanted]
    lacking = sorted(wanted - {image["file_name"] for image in images})
    if lacking or not images:
        fix = "make the split and the annotations from the same dataset"
        raise MeasurementError(source, "listed images without annotation", lacking[:3], fix)
    ids = {image["id"] for image in images}
    kept = [box for box in truth["annotations"] if box["image_id"] in ids]
    return {"images": images, "annotations": kept, "categories": truth["categories"]}


def score(truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> Scores:
    """Score a result list against the truth.

    Args:
        truth: COCO annotations of the scored images, crowd flags honoured.
        results: COCO results; at most the 100 best an image and class count.

    Returns:
        Average precision (101 recall points) and recall.

    Example:
        >>> image = {"id": 1, "width": 9, "height": 9, "file_name": "a"}
        >>> box = {"image_id": 1, "category_id": 0, "bbox": [0, 0, 4, 4]}
        >>> true = box | {"id": 7, "area": 16, "iscrowd": 0}
        >>> categories = [{"id": 0, "name": "pit"}]
        >>> truth = {"images": [image], "annotations": [true], "categories": categories}
        >>> score(truth, [box | {"score": 0.5}]).map50_95
        1.0
    """
    # A true box with id 0 would count as "not matched" in COCO's matching: number them from 1.
    boxes = [dict(box, id=n) for n, box in enumerate(truth["annotations"], start=1)]
    coco = COCO(truth | {"annotations": boxes})
    detections = coco.loadRes([dict(row) for row in results])
    run = COCOeval_faster(coco, detections, "bbox", print_function=_silent, separate_eval=True)
    run.params.maxDets = [1, 10, MAX_DETECTIONS]
    run.evaluate()
    run.accumulate()
    shape = run.eval["counts"]
    precision = np.asarray(run.eval["precision"], float).reshape(shape)[..., -1]
    recall = np.asarray(run.eval["recall"], float).reshape([shape[0], *shape[2:]])[..., -1]
    by_area = np.where(precision < 0, np.nan, precision).mean(axis=1).transpose(2, 0, 1)
    names = {category["id"]: category["name"] for category in truth["categories"]}
    return Scores(
        precision=by_area[0],
        precision_by_size=by_area[1:],
        recall=np.where(recall < 0, np.nan, recall)[..., 0],
        classes=[names[key] for key in sorted(names)],
    )


def _silent(*_: object) -> None:
    """The evaluator reports through records, not through prints."""
