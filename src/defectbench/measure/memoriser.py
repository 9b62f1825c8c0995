"""The memoriser: what a split leaks, as a score. It copies training boxes and learns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.nms import nms
from ..deploy.predict import coco_results
from .agreement import Overlap, clip, corners
from .parts import Parts, TurnedView
from .siblings import Turn, find_turn, read_view

MERGE_IOU = 0.4
LEAST_VISIBLE = 0.05

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def memoriser(parts: Parts) -> list[dict[str, Any]]:
    """Copy boxes of training images across overlaps (field notes, appendix A).

    A box is moved as the found shift or turn says and clipped; its score is visible share x correlation x
    shared area; boxes of a class are merged at IoU 0.4. Copies of a whole image, as the set holds them or as
    ``paper`` makes them, count as overlaps that were flipped and turned.
    """
    train = set(parts.train)
    seen: dict[int, list[Overlap | TurnedView]] = {}
    pairs: list[Overlap | TurnedView] = [*parts.overlaps, *parts.turned]
    for pair in pairs:
        for way in (pair, pair.reverse()):
            if way.second in train:
                seen.setdefault(way.first, []).append(way)
    views = Views(parts)
    return [
        row
        for image in parts.test
        for row in _remember(parts, image, seen.get(image, []), views.turns(image))
    ]


class Views:
    """Small views of images that have copies, read once."""

    def __init__(self, parts: Parts) -> None:
        """Note which training images are copies of the same source."""
        self.parts = parts
        self.train: dict[str, list[int]] = {}
        for image in parts.train:
            self.train.setdefault(parts.sources[image], []).append(image)
        self.copies: dict[int, set[int]] = {}
        trained = set(parts.train)
        for first, second in parts.copies:
            for image, copy in ((first, second), (second, first)):
                if copy in trained:
                    self.copies.setdefault(image, set()).add(copy)
        self.views: dict[int, NDArray[np.float32]] = {}

    def turns(self, image: int) -> list[tuple[int, Turn]]:
        """Siblings of an image in training, and how each becomes it."""
        siblings = [
            *self.train.get(self.parts.sources[image], []),
            *sorted(self.copies.get(image, ())),
        ]
        turns = [(sibling, find_turn(self.view(image), self.view(sibling))) for sibling in siblings]
        return [(sibling, turn) for sibling, turn in turns if turn is not None]

    def view(self, image: int) -> NDArray[np.float32]:
        """The view of one image."""
        if image not in self.views:
            self.views[image] = read_view(self.parts.files[image])
        return self.views[image]


def _remember(
    parts: Parts,
    image: int,
    overlaps: list[Overlap | TurnedView],
    turns: list[tuple[int, Turn]],
) -> list[dict[str, Any]]:
    boxes: list[Floats] = [np.zeros((0, 4))]
    classes: list[Integers] = [np.zeros(0, dtype=np.int64)]
    scores: list[Floats] = [np.zeros(0)]
    here = parts.labels[image]
    for overlap in overlaps:
        there = parts.labels[overlap.second]
        moved = _moved(there.boxes, overlap)
        cut = clip(moved, (0.0, 0.0), (here.width, here.height))
        visible = np.prod(cut[:, 2:], axis=1) / np.prod(moved[:, 2:], axis=1)
        kept = visible > LEAST_VISIBLE
        boxes.append(cut[kept])
        classes.append(there.classes[kept])
        scores.append(visible[kept] * overlap.correlation * overlap.shared_area)
    for sibling, turn in turns:
        there = parts.labels[sibling]
        boxes.append(turn.move(there.boxes, here.width, here.height))
        classes.append(there.classes)
        scores.append(np.full(len(there.boxes), turn.correlation))
    detections = np.concatenate(boxes), np.concatenate(classes), np.concatenate(scores)
    return _merged(parts, image, *detections)


def _moved(boxes: Floats, overlap: Overlap | TurnedView) -> Floats:
    """Boxes x y w h of the second image in pixels of the first, hulls where they were turned."""
    if isinstance(overlap, Overlap):
        return boxes + np.array([overlap.dx, overlap.dy, 0.0, 0.0])
    x, y, w, h = boxes.T
    across, down = np.stack([x, x + w, x + w, x]), np.stack([y, y, y + h, y + h])
    placed = np.einsum("ij,jkn->ikn", overlap.matrix[:, :2], np.stack([across, down]))
    placed += overlap.matrix[:, 2, None, None]
    low, high = placed.min(axis=1), placed.max(axis=1)
    return np.concatenate([low, high - low]).T


def _merged(
    parts: Parts, image: int, boxes: Floats, classes: Integers, scores: Floats
) -> list[dict[str, Any]]:
    table = np.zeros((len(boxes), len(parts.classes)))
    columns = np.searchsorted(parts.classes, classes)
    table[np.arange(len(boxes)), columns] = np.clip(scores, 0.0, 1.0)
    kept, ranked, labels = nms(corners(boxes), table, 0.0, MERGE_IOU)
    return coco_results(image, kept, ranked, np.asarray(parts.classes)[labels])
