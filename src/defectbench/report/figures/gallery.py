"""Gallery: what each method finds on one test image a class, beside the truth.

The image of a class is drawn by the hash of its file name, not chosen by its result, and is the
same for all methods. Images stay where they are made: a gallery of a dataset without a licence is
not to be published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect
from numpy.typing import NDArray

from ...base.errors import ReportError
from ...base.files import sha256_file
from ...base.records import read_record
from ...data.coco import read_list, read_pixels
from ...data.truth import read_truth as read_annotations
from ...deploy.nms import DEPLOYMENT_THRESHOLD
from ...measure.bootstrap import pairwise_iou
from ...measure.results import read_results
from ..records.cells import CellRecords, Entry

HIT_IOU = 0.5
PANEL_IN = 1.75
# Colour and dash tell the outcomes apart, so neither is needed alone.
OUTCOMES = {
    "truth": ("#FFFFFF", "-"),
    "hit": ("#56B4E9", "-"),
    "false alarm": ("#E69F00", (0, (1.2, 1.2))),
    "missed": ("#FFFFFF", (0, (4, 2))),
}
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
    drawn = sorted(truth.images, key=lambda image: _lot(image["file_name"]))
    for category, name in sorted(truth.classes.items()):
        held = [i for i in drawn if any(b["category_id"] == category for b in truth.boxes[i["id"]])]
        fresh = [image for image in held if image not in chosen.values()]
        if held:
            chosen[name] = (fresh or held)[0]
    clean = [image for image in drawn if not truth.boxes[image["id"]]]
    return chosen | ({DEFECT_FREE: clean[0]} if clean else {})


def _lot(file_name: str) -> str:
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


def threshold_of(cell: CellRecords) -> float:
    """The threshold that a cell would be deployed with: chosen on validation, else 0.25."""
    path = cell.folder / "operating_point.json"
    if not path.is_file():
        return DEPLOYMENT_THRESHOLD
    return read_record(path, "operating_point")["figures"]["threshold"]


def gallery_figure(entries: Sequence[Entry]) -> Figure:
    """A grid: a row an image, a column the truth and each method (its lowest seed)."""
    truth = read_truth(entries[0].first)
    chosen = choose_images(truth)
    size = (PANEL_IN * (len(entries) + 1) + 0.3, PANEL_IN * len(chosen) + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    grid: Any = figure.subplots(len(chosen), len(entries) + 1, squeeze=False)
    pictures = {name: read_picture(truth, image) for name, image in chosen.items()}
    _draw_column(grid[:, 0], "truth", chosen, pictures)
    for axis, (name, image) in zip(grid[:, 0], chosen.items(), strict=True):
        axis.set_ylabel(name)
        _draw_boxes(axis, truth.boxes[image["id"]], "truth", truth.classes)
    for column, entry in enumerate(entries, start=1):
        cell, threshold = entry.first, threshold_of(entry.first)
        results = _results(cell, truth)
        title = f"{entry.title}\nscore > {threshold:.2f}"
        _draw_column(grid[:, column], title, chosen, pictures)
        for axis, image in zip(grid[:, column], chosen.values(), strict=True):
            detections = [r for r in results.get(image["id"], []) if r["score"] > threshold]
            _draw_judged(axis, truth.boxes[image["id"]], detections, truth.classes)
    first = entries[0].first
    figure.suptitle(f"{first.dataset}, {first.protocol}: test images drawn by lot", fontsize=8.5)
    legend = figure.legend(
        handles=_legend(), loc="outside lower center", ncols=4, labelcolor="white"
    )
    legend.set_frame_on(True)
    legend.get_frame().set(facecolor="#404040", edgecolor="none")
    return figure


def read_picture(truth: PartTruth, image: Record) -> NDArray[np.uint8]:
    """Decode an image as RGB, uint8 [H, W, 3].

    Raises:
        ReportError: It is missing or cannot be decoded.
    """
    path = truth.folder / image["file_name"]
    picture = read_pixels(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise ReportError(
            path, "image", "nothing readable", "make it with: snakemake --cores 8 datasets"
        )
    return np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def _results(cell: CellRecords, truth: PartTruth) -> dict[int, list[Record]]:
    path = cell.folder / "predictions.json"
    if not path.is_file():
        raise ReportError(
            path, "predictions", "nothing", f"make it with: snakemake --cores 8 {path}"
        )
    by_image: dict[int, list[Record]] = {}
    for row in read_results(path, truth.content):
        by_image.setdefault(row["image_id"], []).append(row)
    return by_image


def _draw_column(
    axes: Sequence[Axes],
    title: str,
    chosen: dict[str, Record],
    pictures: dict[str, NDArray[np.uint8]],
) -> None:
    axes[0].set_title(title)
    for axis, name in zip(axes, chosen, strict=True):
        axis.imshow(pictures[name], interpolation="bilinear")
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        for spine in axis.spines.values():
            spine.set_visible(False)


def _draw_judged(
    axis: Axes, truth: Sequence[Record], detections: Sequence[Record], classes: dict[int, str]
) -> None:
    hits, alarms, missed = judge(truth, detections)
    for boxes, outcome in ((missed, "missed"), (alarms, "false alarm"), (hits, "hit")):
        _draw_boxes(axis, boxes, outcome, classes)


def _draw_boxes(axis: Axes, boxes: Sequence[Record], outcome: str, classes: dict[int, str]) -> None:
    colour, dash = OUTCOMES[outcome]
    halo: list[AbstractPathEffect] = [
        patheffects.withStroke(linewidth=2.4, foreground="black", alpha=0.75)
    ]
    for box in boxes:
        x, y, width, height = box["bbox"]
        frame = Rectangle(
            (x, y), width, height, fill=False, edgecolor=colour, linestyle=dash, linewidth=1.2
        )
        frame.set_path_effects(halo)
        axis.add_patch(frame)
        score = f" {box['score']:.2f}" if "score" in box else ""
        _write_label(axis, classes[box["category_id"]] + score, (x, y, width), colour)


def _write_label(axis: Axes, text: str, box: tuple[float, float, float], colour: str) -> None:
    """Above the box, or inside at the image's upper edge; aligned so that it stays in the image."""
    (x, y, width), (_, right), (bottom, _) = box, axis.get_xlim(), axis.get_ylim()
    inside, leftward = y < 0.06 * bottom, x > 0.6 * right
    axis.text(
        min(x + width, right) if leftward else x,
        y + 0.012 * bottom if inside else y - 0.012 * bottom,
        text,
        fontsize=4.3,
        va="top" if inside else "bottom",
        ha="right" if leftward else "left",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
        clip_on=True,
    )


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1.4, label=name)
        for name, (colour, dash) in OUTCOMES.items()
    ]
