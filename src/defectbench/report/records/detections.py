"""What a method finds on each test image, beside the truth: hits, false alarms, and what it misses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import ReportError
from ...base.files import sha256_file
from ...base.records import read_record
from ...base.tasks import DETECTION, TASKS
from ...data.coco import read_list
from ...data.truth import read_truth as read_annotations
from ...deploy.nms import DEPLOYMENT_THRESHOLD
from ...measure.bootstrap import pairwise_iou
from ...measure.results import read_results
from .cell import CellRecords

HIT_IOU = 0.5
DEFECT_FREE = "no defect"

Record = dict[str, Any]


@dataclass(frozen=True)
class PartTruth:
    """Truth of a test part.

    Attributes:
        images: COCO image entries of the test part.
        boxes: COCO annotations by image id.
        classes: Class names by category id.
        folder: Where the image files lie.
    """

    images: list[Record]
    boxes: dict[int, list[Record]]
    classes: dict[int, str]
    folder: Path

    @property
    def content(self) -> Record:
        """Images and classes as COCO annotations name them."""
        categories = [{"id": key, "name": name} for key, name in self.classes.items()]
        return {"images": self.images, "categories": categories}


def read_truth(cell: CellRecords) -> PartTruth:
    """Read the truth that a cell was scored on.

    Raises:
        ReportError: Annotations or list are not there, or not those that were scored on.
    """
    inputs = cell.accuracy["inputs"]
    annotations, listed = (_unchanged(inputs[name], cell) for name in ("annotations", "images"))
    content = read_annotations(annotations)
    names = set(read_list(listed, ReportError))
    images = [image for image in content["images"] if image["file_name"] in names]
    boxes: dict[int, list[Record]] = {image["id"]: [] for image in images}
    for box in content["annotations"]:
        if box["image_id"] in boxes:
            boxes[box["image_id"]].append(box)
    classes = {entry["id"]: entry["name"] for entry in content["categories"]}
    return PartTruth(images, boxes, classes, annotations.parent / "images")


def _unchanged(entry: dict[str, str], cell: CellRecords) -> Path:
    path = Path(entry["path"])
    if not path.is_file():
        raise ReportError(path, "file", "nothing", "make it with: snakemake --cores 8 datasets")
    seen = sha256_file(path)
    if seen != entry["sha256"]:
        fix = f"{cell.folder} was scored on {entry['sha256']}; predict and score it again"
        raise ReportError(path, "sha256", seen, fix)
    return path


def choose_images(truth: PartTruth) -> dict[str, Record]:
    """One image a class, by class name, and one without defects where there is one.

    Drawn among the images that hold the class: the one whose file name has the lowest SHA-256.
    Images already drawn for an earlier class come last.
    """
    chosen: dict[str, Record] = {}
    drawn = sorted(truth.images, key=lambda image: lot(image["file_name"]))
    for category, name in sorted(truth.classes.items()):
        held = [i for i in drawn if any(b["category_id"] == category for b in truth.boxes[i["id"]])]
        fresh = [image for image in held if image not in chosen.values()]
        if held:
            chosen[name] = (fresh or held)[0]
    clean = [image for image in drawn if not truth.boxes[image["id"]]]
    return chosen | ({DEFECT_FREE: clean[0]} if clean else {})


def lot(file_name: str) -> str:
    """What images are drawn by: the SHA-256 of the file name."""
    return hashlib.sha256(file_name.encode()).hexdigest()


def judge(
    truth: Sequence[Record], detections: Sequence[Record]
) -> tuple[list[Record], list[Record], list[Record]]:
    """Match detections of one image, best first, to true boxes of their class at IoU 0.5 or more.

    Args:
        truth: COCO annotations of the image.
        detections: COCO results of the image above the threshold.

    Returns:
        Hits, false alarms and missed true boxes.
    """
    free, hits, alarms = list(truth), [], []
    for row in sorted(detections, key=lambda r: -r["score"]):
        rivals = [box for box in free if box["category_id"] == row["category_id"]]
        ious = _ious(row, rivals)
        if len(ious) and ious.max() >= HIT_IOU:
            free.remove(rivals[int(ious.argmax())])
            hits.append(row)
        else:
            alarms.append(row)
    return hits, alarms, free


def _ious(row: Record, boxes: Sequence[Record]) -> NDArray[np.float64]:
    others = np.array([box["bbox"] for box in boxes], dtype=np.float64).reshape(-1, 4)
    return pairwise_iou(np.array([row["bbox"]], dtype=np.float64), others)[0]


def threshold_of(cell: CellRecords) -> float | None:
    """The threshold that a cell would be deployed with: chosen on validation, else 0.25 for boxes; None without one."""
    path = cell.folder / "operating_point.json"
    if not path.is_file():
        return None if TASKS[cell.task].learns_defect_free else DEPLOYMENT_THRESHOLD
    return read_record(path, "operating_point")["figures"]["threshold"]


def results_by_image(
    cell: CellRecords, truth: PartTruth, task: str = DETECTION.name
) -> dict[int, list[Record]]:
    """What a cell predicted on its test part, by image id.

    Raises:
        ReportError: There are no predictions.
    """
    path = cell.folder / "predictions.json"
    if not path.is_file():
        raise ReportError(
            path, "predictions", "nothing", f"make it with: snakemake --cores 8 {path}"
        )
    by_image: dict[int, list[Record]] = {}
    for row in read_results(path, truth.content, task):
        by_image.setdefault(row["image_id"], []).append(row)
    return by_image
