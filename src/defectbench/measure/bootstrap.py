"""Intervals of average precision: resample groups, score thousands of resamples at once.

Detections are matched to true boxes once, image by image. A resample then only changes how often
an image counts, so average precision becomes cumulative sums of weights. At weight 1 the result is
the evaluator's, and at whole weights that of a dataset with its images repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluator import IOU_THRESHOLDS, MAX_DETECTIONS

RECALL_POINTS = np.linspace(0.0, 1.0, 101)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ClassMatches:
    """Detections of one class over all images, best first.

    Attributes:
        image: [D], index of the image of each detection.
        hit: [10, D], whether a detection hits a true box, by IoU threshold.
        true_boxes: [I], number of true boxes in each image.
        score: [D], score of each detection.
    """

    image: Integers
    hit: NDArray[np.bool_]
    true_boxes: Integers
    score: Floats


@dataclass(frozen=True)
class Matches:
    """Everything that average precision depends on, by class.

    Attributes:
        image_ids: [I], ids of the scored images, ascending.
        classes: One entry a class, in ascending order of class ids.
    """

    image_ids: Integers
    classes: list[ClassMatches]


def match(truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Matches:
    """Match detections to true boxes as COCO does: by score, each to the best free box.

    Args:
        truth: COCO annotations of the scored images, without crowd boxes.
        results: COCO results.
    """
    ids = np.array(sorted(image["id"] for image in truth["images"]), dtype=np.int64)
    classes = []
    for category in sorted(entry["id"] for entry in truth["categories"]):
        true = _by_image(truth["annotations"], category)
        found = _by_image(results, category)
        classes.append(_match_class(ids, true, found))
    return Matches(ids, classes)


def _by_image(
    rows: Sequence[Mapping[str, Any]], category: int
) -> dict[int, list[Mapping[str, Any]]]:
    grouped: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["category_id"] == category:
            grouped.setdefault(row["image_id"], []).append(row)
    return grouped


def _match_class(ids: Integers, true: dict[int, Any], found: dict[int, Any]) -> ClassMatches:
    images, scores, hits = [], [], []
    for index, image_id in enumerate(ids.tolist()):
        rows = found.get(image_id, [])
        if not rows:
            continue
        ranked = np.array([row["score"] for row in rows], dtype=np.float64)
        order = np.argsort(-ranked, kind="stable")[:MAX_DETECTIONS]
        boxes = np.array([rows[n]["bbox"] for n in order], dtype=np.float64)
        targets = np.array([row["bbox"] for row in true.get(image_id, [])], dtype=np.float64)
        hits.append(_greedy(pairwise_iou(boxes, targets.reshape(-1, 4))))
        scores.append(ranked[order])
        images.append(np.full(len(order), index))
    counts = np.array([len(true.get(key, [])) for key in ids.tolist()], dtype=np.int64)
    if not images:
        none = np.zeros((len(IOU_THRESHOLDS), 0), dtype=bool)
        return ClassMatches(np.zeros(0, dtype=np.int64), none, counts, np.zeros(0))
    ranked = np.concatenate(scores)
    order = np.argsort(-ranked, kind="stable")
    hit = np.concatenate(hits, axis=1)[:, order]
    return ClassMatches(np.concatenate(images)[order], hit, counts, ranked[order])


def pairwise_iou(first: Floats, second: Floats) -> Floats:
    """IoU [A, B] of boxes x y w h."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = np.prod(first[:, 2:], axis=1)[:, None] + np.prod(second[:, 2:], axis=1)[None]
    union = areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _greedy(iou: Floats) -> NDArray[np.bool_]:
    """Match [D, G] overlaps at every threshold; the last of equal overlaps wins, as in COCO."""
    thresholds = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
    hit = np.zeros((len(thresholds), len(iou)), dtype=bool)
    if iou.shape[1] == 0:
        return hit
    free = np.ones((len(thresholds), iou.shape[1]), dtype=bool)
    # all other detections reach no threshold and leave every box free
    for n in np.flatnonzero(iou.max(axis=1) >= thresholds[0]):
        open_overlaps = np.where(free, iou[n], -1.0)
        best = iou.shape[1] - 1 - np.argmax(open_overlaps[:, ::-1], axis=1)
        reached = np.take_along_axis(open_overlaps, best[:, None], axis=1)[:, 0] >= thresholds
        hit[reached, n] = True
        free[reached, best[reached]] = False
    return hit


def weighted_precision(matches: Matches, weights: NDArray[Any]) -> Floats:
    """Average precision of resamples.

    Args:
        matches: What ``match`` returns.
        weights: [B, I], how often each image counts in each resample.

    Returns:
        [B, 10, K] by resample, IoU threshold and class; NaN where no true box is drawn.
    """
    out = np.full((len(weights), len(IOU_THRESHOLDS), len(matches.classes)), np.nan)
    for k, one in enumerate(matches.classes):
        total = (weights @ one.true_boxes).astype(np.float64)
        ends = np.flatnonzero(one.hit.any(axis=0))
        drawn = weights[:, one.image[ends]].astype(np.float64)
        seen = np.cumsum(_drawn_between(one.image, ends, weights), axis=1)
        for t, hit in enumerate(one.hit[:, ends]):
            out[:, t, k] = _average(np.cumsum(drawn[:, hit], axis=1), seen[:, hit], total)
    return out


def _drawn_between(image: Integers, ends: Integers, weights: NDArray[Any]) -> Floats:
    """How many detections each resample has from one end, exclusive, to the next, inclusive.

    Precision is asked for at detections that hit at some threshold alone. The numbers are whole, so sums are exact.

    Args:
        image: [D], which image each detection is of.
        ends: [E], some of the detections, ascending.
        weights: [B, I], as of ``weighted_precision``.

    Returns:
        [B, E].
    """
    span = np.searchsorted(ends, np.arange(len(image)))
    inside = span < len(ends)
    counts = np.zeros((weights.shape[1], len(ends)))
    np.add.at(counts, (image[inside], span[inside]), 1.0)
    return weights.astype(np.float64) @ counts


def _average(hits: Floats, seen: Floats, total: Floats) -> Floats:
    """Mean over 101 recall points of the best precision at that recall or more."""
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / total[:, None]
    points = np.searchsorted(RECALL_POINTS, recall.ravel(), side="right").reshape(recall.shape)
    new_points = np.diff(points, axis=1, prepend=0)
    average = (best * new_points).sum(axis=1) / len(RECALL_POINTS)
    return np.where(total > 0, average, np.nan)


def group_weights(groups: Sequence[str], resamples: int, seed: int = 0) -> Integers:
    """Draw groups with replacement.

    Args:
        groups: [I], the group of each image.
        resamples: Number of draws B.
        seed: Seed of the draws; equal seeds give paired draws for two methods.

    Returns:
        [B, I], how often each image is drawn; images of a group always together.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, member]


def mean_precision(precision: Floats) -> dict[str, Floats]:
    """Collapse [B, 10, K] to the resampled ``map50_95``, ``map50`` and ``map75``, each [B]."""
    return {
        "map50_95": _class_mean(precision.mean(axis=1)),
        "map50": _class_mean(precision[:, 0]),
        "map75": _class_mean(precision[:, 5]),
    }


def _class_mean(values: Floats) -> Floats:
    """Mean over the classes that have true boxes; NaN where none has."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
