"""Copies of one picture up to the eight symmetries of the square."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Grey = NDArray[np.uint8]
SIDE, BLUR_SIGMA, SAME = 32, 2.0, 0.5


def symmetries(image: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """The eight images of a square under flips and quarter turns, the identity first."""
    turns = [np.rot90(image, k) for k in range(4)]
    return turns + [turn[:, ::-1] for turn in turns]


def thumbnail(image: Grey) -> NDArray[np.float32]:
    """Square view [32, 32]."""
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def grain(image: Grey) -> NDArray[np.float32]:
    """Image less its Gaussian blur; brightness alone can no longer agree."""
    values = image.astype(np.float32)
    return values - gaussian_filter(values, BLUR_SIGMA)


def d4_hash(image: Grey) -> bytes:
    """Hash that flips and quarter turns do not change: coarse brightness ranks, least of the eight."""
    coarse = cv2.resize(thumbnail(image), (4, 4), interpolation=cv2.INTER_AREA)
    return min(np.argsort(view, axis=None, kind="stable").astype(np.uint8).tobytes() for view in symmetries(coarse))


def symmetric_pairs(images: dict[str, Grey]) -> Iterator[tuple[str, str, float]]:
    """Yield (name, name, correlation) of pairs that are one picture up to a symmetry."""
    buckets: dict[bytes, list[str]] = defaultdict(list)
    for name, image in images.items():
        buckets[d4_hash(image)].append(name)
    for names in buckets.values():
        for a, b in combinations(sorted(names), 2):
            value = best_agreement(grain(images[a]), grain(images[b]))
            if value >= SAME:
                yield a, b, value


def best_agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest correlation of a with the eight symmetries of b; 1 for two equal constants."""
    x = a - a.mean()
    values = []
    for view in symmetries(b):
        if view.shape != a.shape:
            continue
        y = view - view.mean()
        norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
        values.append(float((x * y).sum()) / norm if norm > 0 else float(np.array_equal(a, view)))
    return max(values, default=0.0)
