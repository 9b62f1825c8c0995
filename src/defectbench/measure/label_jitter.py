"""The label-jitter ceiling: the truth as a second annotator would say it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.predict import coco_results
from .agreement import clip, corners, label_agreement
from .parts import Parts

LEAST_CHECKS = 30
# Agreement of NEU-DET's labels at IoU 0.5 and 0.75 (field notes, finding 3), used where a dataset
# shows too few objects twice.
KNOWN_AGREEMENT = (0.85, 0.54)

Floats = NDArray[np.float64]


def label_jitter(parts: Parts) -> list[dict[str, Any]]:
    """The truth as a second annotator would say it.

    Sides move by normal noise in proportion to the box, and a share of boxes lies elsewhere, both
    fitted to the agreement of the dataset's own labels at IoU 0.5 and 0.75.
    """
    boxes = np.concatenate([np.zeros((0, 4)), *(parts.labels[i].boxes for i in parts.test)])
    random = np.random.default_rng([parts.seed, 1])
    noise = random.standard_normal(boxes.shape)
    sigma, misplaced = fit_jitter(boxes, noise, *measured_agreement(parts))
    moved = jitter(boxes, noise, sigma)
    elsewhere = random.random(len(boxes)) < misplaced
    places = random.random((len(boxes), 2))
    results, start = [], 0
    for image in parts.test:
        here = parts.labels[image]
        rows = slice(start, start + len(here.boxes))
        start += len(here.boxes)
        room = np.array([here.width, here.height]) - moved[rows, 2:]
        corner = np.where(elsewhere[rows, None], places[rows] * room, moved[rows, :2])
        own = clip(
            np.concatenate([corner, moved[rows, 2:]], axis=1), (0, 0), (here.width, here.height)
        )
        results += coco_results(image, corners(own), np.ones(len(own)), here.classes)
    return results


def measured_agreement(parts: Parts) -> tuple[float, float]:
    """Share of boxes that another image's label confirms at IoU 0.5 and 0.75.

    That of NEU-DET where the dataset shows fewer than 30 boxes twice.
    """
    checks = label_agreement(parts.labels, parts.overlaps)
    if len(checks) < LEAST_CHECKS:
        return KNOWN_AGREEMENT
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
    moved = jitter(boxes, noise, sigma)
    low = np.maximum(boxes[:, :2], moved[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], moved[:, :2] + moved[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(moved[:, 2:], axis=1) - shared
    iou = shared / np.maximum(union, 1e-9)
    return float((iou >= 0.5).mean()), float((iou >= 0.75).mean())
