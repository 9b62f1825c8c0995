"""The label jitter: what boxes score that lie as far from the truth as two annotations of one surface do.

A test part is annotated once. Where two images show the same object it was annotated twice, and the two annotations
differ. Three programs move the true boxes by that much:

- ``label_jitter``, *unranked*: the boxes as a second annotator would draw them, all at score 1. A reference and no
  ceiling: average precision rewards the order of boxes, and these have none.
- ``label_jitter_ranked``, *ideally ranked*: the same boxes, each scored by its IoU with the truth, so that no order is
  better: the ceiling of a program that draws boxes as one more annotator.
- ``label_jitter_half``, *half the noise, ideally ranked*: two annotations differ by the noise of both. Boxes at the
  mean of all annotators would differ from this part's truth by the noise of one, sigma over the square root of 2, and
  as many would lie elsewhere as one annotator misplaces: the ceiling of a detector, above which a score deserves doubt.

Where no object was annotated twice, or all that were agree, nothing is known of the noise: there is no such row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import MeasurementError
from ..deploy.predict import coco_results
from .agreement import clip, corners, label_agreement
from .parts import Parts

LEAST_CHECKS = 30

Floats = NDArray[np.float64]


class NoAgreementError(MeasurementError):
    """How far labels agree with themselves is not known."""


@dataclass(frozen=True)
class Jitter:
    """How far one annotation lies from another.

    Attributes:
        sigma: Noise of a side, in side lengths.
        misplaced: Share of boxes that lie elsewhere altogether.
    """

    sigma: float
    misplaced: float

    def of_one(self) -> Jitter:
        """That of one annotation alone, where this is the difference of two."""
        return Jitter(self.sigma / 2**0.5, 1 - (1 - self.misplaced) ** 0.5)


def label_jitter(parts: Parts) -> list[dict[str, Any]]:
    """The truth as a second annotator would draw it, every box at score 1."""
    return _moved(parts, lambda jitter: jitter, is_ranked=False)


def label_jitter_ranked(parts: Parts) -> list[dict[str, Any]]:
    """The same boxes, each scored by its IoU with the truth."""
    return _moved(parts, lambda jitter: jitter, is_ranked=True)


def label_jitter_half(parts: Parts) -> list[dict[str, Any]]:
    """The truth moved by the noise of one annotation, each box scored by its IoU with the truth."""
    return _moved(parts, Jitter.of_one, is_ranked=True)


def _moved(
    parts: Parts, change: Callable[[Jitter], Jitter], is_ranked: bool
) -> list[dict[str, Any]]:
    """The true boxes of the test part, moved; the same draws whatever the jitter.

    Raises:
        NoAgreementError: The labels' agreement is not known.
    """
    boxes = np.concatenate([np.zeros((0, 4)), *(parts.labels[i].boxes for i in parts.test)])
    random = np.random.default_rng([parts.seed, 1])
    noise = random.standard_normal(boxes.shape)
    amount = change(Jitter(*fit_jitter(boxes, noise, *measured_agreement(parts))))
    moved = jitter(boxes, noise, amount.sigma)
    elsewhere = random.random(len(boxes)) < amount.misplaced
    places = random.random((len(boxes), 2))
    results, start = [], 0
    for image in parts.test:
        here = parts.labels[image]
        rows = slice(start, start + len(here.boxes))
        start += len(here.boxes)
        room = np.array([here.width, here.height]) - moved[rows, 2:]
        corner = np.where(elsewhere[rows, None], places[rows] * room, moved[rows, :2])
        drawn = np.concatenate([corner, moved[rows, 2:]], axis=1)
        drawn = clip(drawn, (0, 0), (here.width, here.height))
        scores = iou_of_pairs(here.boxes, drawn) if is_ranked else np.ones(len(drawn))
        results += coco_results(image, corners(drawn), scores, here.classes)
    return results


def measured_agreement(parts: Parts) -> tuple[float, float]:
    """Share of boxes that another image's label confirms at IoU 0.5 and 0.75.

    Raises:
        NoAgreementError: Fewer than 30 boxes are shown twice, or all that are agree at IoU 0.75.
    """
    checks = label_agreement(parts.labels, parts.overlaps)
    fix = "leave label_jitter out, or take a set that shows objects in two images that were labelled apart"
    if len(checks) < LEAST_CHECKS:
        why = f"{len(checks)} boxes are shown by two images, {LEAST_CHECKS} are needed"
        raise NoAgreementError("controls", "label_jitter", why, fix)
    if (checks >= 0.75).all():
        why = f"all {len(checks):,} boxes that two images show agree: there is no noise to measure"
        raise NoAgreementError("controls", "label_jitter", why, fix)
    return float((checks >= 0.5).mean()), float((checks >= 0.75).mean())


def jitter(boxes: Floats, noise: Floats, sigma: float) -> Floats:
    """Move the four sides of boxes x y w h by ``sigma`` x noise x side length."""
    reach = np.tile(boxes[:, 2:], 2) * noise * sigma
    sides = np.sort((corners(boxes) + reach).reshape(-1, 2, 2), axis=1)
    return np.concatenate([sides[:, 0], sides[:, 1] - sides[:, 0]], axis=1)


def fit_jitter(boxes: Floats, noise: Floats, agree50: float, agree75: float) -> tuple[float, float]:
    """Noise and share of misplaced boxes that give an agreement at IoU 0.5 and 0.75.

    Returns:
        ``sigma``, noise of a side in side lengths, and the share of misplaced boxes.
    """
    if not len(boxes) or agree50 <= 0:
        return 0.0, 1.0 - agree50
    low, high = 0.0, 1.0
    for _ in range(40):
        sigma = (low + high) / 2
        at50, at75 = _rates(boxes, noise, sigma)
        too_much = at75 * agree50 < agree75 * at50
        low, high = (low, sigma) if too_much else (sigma, high)
    sigma = low if low > 1e-6 else 0.0
    at50, _ = _rates(boxes, noise, sigma)
    return sigma, float(np.clip(1 - agree50 / max(at50, 1e-9), 0.0, 1.0))


def _rates(boxes: Floats, noise: Floats, sigma: float) -> tuple[float, float]:
    iou = iou_of_pairs(boxes, jitter(boxes, noise, sigma))
    return float((iou >= 0.5).mean()), float((iou >= 0.75).mean())


def iou_of_pairs(first: Floats, second: Floats) -> Floats:
    """IoU [n] of each box x y w h with the other one of its row."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    union = np.prod(first[:, 2:], axis=1) + np.prod(second[:, 2:], axis=1) - shared
    return shared / np.maximum(union, 1e-9)
