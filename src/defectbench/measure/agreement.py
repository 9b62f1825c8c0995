"""How far labels agree with themselves: objects that two overlapping images both show.

Source: field notes, appendix A. Pairs with at least 30 % shared area; a box that lies at least 95 %
inside the shared area looks for a box of its class in the other image, clipped to that area. Both
directions count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import pairwise_iou

LEAST_SHARED_AREA = 0.30
LEAST_INSIDE = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """Two images of the same surface.

    Attributes:
        first: Id of one image.
        second: Id of the other.
        dx: Pixel (x, y) of the second lies at (x + dx, y + dy) of the first, pixels.
        dy: See ``dx``.
        correlation: Of the two over the shared area.
        shared_area: Share of an image's area that the other one shows.
    """

    first: int
    second: int
    dx: float
    dy: float
    correlation: float
    shared_area: float

    def reverse(self) -> Overlap:
        """The same overlap seen from the other image."""
        return Overlap(
            self.second, self.first, -self.dx, -self.dy, self.correlation, self.shared_area
        )


@dataclass(frozen=True)
class Labels:
    """Boxes of one image.

    Attributes:
        boxes: [n, 4], x y w h, pixels.
        classes: [n], class ids.
        width: Width of the image, pixels.
        height: Height of the image, pixels.
    """

    boxes: Floats
    classes: NDArray[np.int64]
    width: int
    height: int


def labels_by_image(truth: dict[str, Any]) -> dict[int, Labels]:
    """The boxes of every image of COCO annotations, by image id."""
    rows: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in truth["images"]}
    for box in truth["annotations"]:
        rows[box["image_id"]].append(box)
    return {
        image["id"]: Labels(
            np.array([b["bbox"] for b in rows[image["id"]]], dtype=np.float64).reshape(-1, 4),
            np.array([b["category_id"] for b in rows[image["id"]]], dtype=np.int64),
            image["width"],
            image["height"],
        )
        for image in truth["images"]
    }


def clip(boxes: Floats, low: tuple[float, float], high: tuple[float, float]) -> Floats:
    """Cut boxes x y w h to a rectangle; what lies outside gets no area."""
    start = np.clip(boxes[:, :2], low, high)
    end = np.clip(boxes[:, :2] + boxes[:, 2:], low, high)
    return np.concatenate([start, end - start], axis=1)


def corners(boxes: Floats) -> Floats:
    """Boxes x y w h as x0 y0 x1 y1."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def shared_rectangle(
    one: Labels, other: Labels, overlap: Overlap
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The shared area in pixels of the first image: its upper left and lower right corner."""
    low = max(0.0, overlap.dx), max(0.0, overlap.dy)
    high = (
        max(low[0], min(one.width, other.width + overlap.dx)),
        max(low[1], min(one.height, other.height + overlap.dy)),
    )
    return low, high


@dataclass(frozen=True)
class Checks:
    """Boxes that another image shows too, each held against that image's annotation; a pair is checked both ways.

    Attributes:
        iou: [n], best IoU with a box of the same class; 0 where the other image has no such box.
        classes: [n], class id of each box.
        images: [n], id of the image that each box is of.
    """

    iou: Floats
    classes: NDArray[np.int64]
    images: NDArray[np.int64]


def agreement_checks(labels: dict[int, Labels], overlaps: Iterable[Overlap]) -> Checks:
    """All boxes that were annotated twice, with how well the two annotations agree.

    Args:
        labels: Boxes by image id.
        overlaps: Pairs of images of the same surface.
    """
    iou, classes, images = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for pair in overlaps:
        if pair.shared_area >= LEAST_SHARED_AREA and {pair.first, pair.second} <= set(labels):
            for way in (pair, pair.reverse()):
                best, inside = _best_of(labels[way.first], labels[way.second], way)
                iou.append(best[inside])
                classes.append(labels[way.first].classes[inside])
                images.append(np.full(int(inside.sum()), way.first))
    return Checks(np.concatenate(iou), np.concatenate(classes), np.concatenate(images))


def label_agreement(labels: dict[int, Labels], overlaps: Iterable[Overlap]) -> Floats:
    """Best IoU [n] of each box that another image shows too; arguments as of ``agreement_checks``."""
    return agreement_checks(labels, overlaps).iou


def _best_of(one: Labels, other: Labels, overlap: Overlap) -> tuple[Floats, NDArray[np.bool_]]:
    """Best IoU of each box of one image with one of its class in the other, and which boxes both images show."""
    low, high = shared_rectangle(one, other, overlap)
    shift = np.array([overlap.dx, overlap.dy, 0.0, 0.0])
    mine, theirs = clip(one.boxes, low, high), clip(other.boxes + shift, low, high)
    area = np.prod(one.boxes[:, 2:], axis=1)
    inside = np.prod(mine[:, 2:], axis=1) >= LEAST_INSIDE * area
    same_class = one.classes[:, None] == other.classes[None]
    best = np.where(same_class, pairwise_iou(mine, theirs), 0.0).max(axis=1, initial=0.0)
    return best, inside & (area > 0)
