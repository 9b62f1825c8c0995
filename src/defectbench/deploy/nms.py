"""From a detector's outputs to its boxes: non-maximum suppression, one for all methods, exact, without a time limit.

A detector that says each object once, as a DETR learns to, has no use for it: of its boxes the best are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # boards run this text, too, with a numpy that has no types
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Integers = NDArray[np.int64]

TOP_K = 1000
CHUNK = 64
IOU_THRESHOLD = 0.6
MAX_DETECTIONS = 100
SUPPRESSIONS = NMS, NONE = (
    "nms",
    "none",
)  # what an artifact's boxes need before they are an answer
# Accuracy is scored with every box above this score; a factory works at a higher one.
SCORING_THRESHOLD = 0.001
DEPLOYMENT_THRESHOLD = 0.25


def nms(
    boxes: Floats,
    scores: Floats,
    score_threshold: float,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
    class_aware: bool = True,
    top_k: int = TOP_K,
) -> tuple[Floats, Floats, Integers]:
    """Keep the best of overlapping boxes.

    Every pair of a point and a class whose score exceeds the threshold is a candidate. Candidates
    are taken by score, equal scores by their index (point, then class), so the result does not
    depend on the platform. A candidate goes when its IoU with a kept one *exceeds* the threshold.

    Args:
        boxes: [P, 4], x0 y0 x1 y1 in any one unit.
        scores: [P, C], probabilities.
        score_threshold: Scores at or below it are no candidates.
        iou_threshold: Largest IoU that two kept boxes may have.
        max_detections: Most boxes to return.
        class_aware: Whether boxes suppress only boxes of their own class.
        top_k: Most candidates that are looked at, the best ones.

    Returns:
        Boxes [K, 4], scores [K] and labels [K] of the kept candidates, best first.

    Example:
        >>> box = np.array([[0, 0, 9, 9], [0, 0, 9, 9.5]])
        >>> nms(box, np.array([[0.4], [0.9]]), 0.1)[1].tolist()
        [0.9]
    """
    points, labels, ranked = _candidates(scores, score_threshold, top_k)
    corners = boxes[points].astype(np.float64)
    classes = labels if class_aware else np.zeros_like(labels)
    kept: list[int] = []
    for start in range(0, len(points), CHUNK):
        chunk = slice(start, start + CHUNK)
        rivals = _clashes(corners, classes, kept, chunk, iou_threshold)
        alive = ~np.asarray(rivals.any(axis=0), dtype=np.bool_)
        clashes = _clashes(corners, classes, chunk, chunk, iou_threshold)
        for index in range(len(alive)):
            if alive[index]:
                kept.append(start + index)
                alive &= ~clashes[index]
        if len(kept) >= max_detections:
            break
    kept = kept[:max_detections]
    return boxes[points[kept]], ranked[kept], labels[kept]


def strongest(
    boxes: Floats,
    scores: Floats,
    score_threshold: float,
    max_detections: int = MAX_DETECTIONS,
) -> tuple[Floats, Floats, Integers]:
    """The boxes of a detector that needs no suppression: the best pairs of a box and a class, whatever they overlap.

    Args:
        boxes: [P, 4], x0 y0 x1 y1 in any one unit.
        scores: [P, C], probabilities.
        score_threshold: Scores at or below it are left out.
        max_detections: Most boxes to return.

    Returns:
        Boxes [K, 4], scores [K] and labels [K], best first; equal scores by their index (point, then class).

    Example:
        >>> box = np.array([[0, 0, 9, 9], [0, 0, 9, 9.5]])
        >>> strongest(box, np.array([[0.4], [0.9]]), 0.1)[1].tolist()
        [0.9, 0.4]
    """
    points, labels, ranked = _candidates(scores, score_threshold, max_detections)
    return boxes[points], ranked, labels


def answer_of(
    boxes: Floats, scores: Floats, score_threshold: float, suppression: str = NMS
) -> tuple[Floats, Floats, Integers]:
    """Boxes, scores and labels that a detector finds in an image: by ``nms``, or by ``strongest`` where it needs none.

    Args:
        boxes: [P, 4].
        scores: [P, C].
        score_threshold: Scores at or below it are left out.
        suppression: ``nms`` or ``none``.
    """
    take = strongest if suppression == NONE else nms
    return take(boxes, scores, score_threshold)


def _candidates(scores: Floats, threshold: float, top_k: int) -> tuple[Integers, Integers, Floats]:
    flat = scores.reshape(-1)
    index = np.flatnonzero(flat > threshold)
    if len(index) > top_k:
        least = np.partition(flat[index], len(index) - top_k)[len(index) - top_k]
        index = index[flat[index] >= least]
    order = np.argsort(-flat[index], kind="stable")[:top_k]
    index = index[order]
    points, labels = np.divmod(index, max(scores.shape[1], 1))
    return points, labels, flat[index]


def _clashes(
    corners: Floats,
    classes: Integers,
    first: list[int] | slice,
    second: slice,
    iou_threshold: float,
) -> NDArray[np.bool_]:
    """Whether boxes of the first choice suppress those of the second: [first, second]."""
    suppressing, suppressed = corners[first][:, None], corners[second][None]
    sides = np.maximum(
        np.minimum(suppressing[..., 2:], suppressed[..., 2:])
        - np.maximum(suppressing[..., :2], suppressed[..., :2]),
        0.0,
    )
    shared = sides[..., 0] * sides[..., 1]
    union = _areas(suppressing) + _areas(suppressed) - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return (iou > iou_threshold) & (classes[first][:, None] == classes[second][None])


def _areas(corners: Floats) -> Floats:
    sides = np.maximum(corners[..., 2:] - corners[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]
