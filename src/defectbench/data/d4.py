"""Copies of one picture up to the eight symmetries of the square, re-encoded or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .coco import Grey
from .phase import correlation, residual

Floats = NDArray[np.float32]
SIDE, ALIKE, SAME, BLOCK = 32, 0.9, 0.5, 256
RESIDUALS = 256  # kept in memory


def symmetries(image: NDArray[Any]) -> list[NDArray[Any]]:
    """The eight images of a square under flips and quarter turns, the identity first."""
    return [symmetry(image, k) for k in range(8)]


def symmetry(image: NDArray[Any], k: int) -> NDArray[Any]:
    """An image under the k-th of the eight symmetries."""
    turned = np.rot90(image, k % 4)
    return turned[:, ::-1] if k >= 4 else turned


def thumbnail(image: Grey) -> Floats:
    """Square view [32, 32] of mean 0 and length 1; all zeros for a constant image."""
    small = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return small / length if length > 0 else small


def symmetric_pairs(images: Sequence[Grey]) -> Iterator[tuple[int, int, float]]:
    """Find pictures that are one up to a flip or a quarter turn.

    Thumbnails alike to 0.9 under one of the symmetries are candidates; the fine residual at full
    size decides. Equal pictures without any grain (two blank ones) are pairs as well.

    Args:
        images: uint8 [H, W] each.

    Yields:
        Numbers of both images (i < j) and the correlation of their fine residuals.
    """
    if not len(images):
        return
    plain = np.stack([thumbnail(images[row]).ravel() for row in range(len(images))])
    shown = plain.any(1)
    fine = lru_cache(RESIDUALS)(lambda row: residual(images[row].astype(np.float32)))
    for (i, j), turns in _alike(plain):
        value = max(_agreement(images[i], images[j], fine(i), fine(j), turn) for turn in turns)
        if value >= SAME:
            yield i, j, value
    yield from _equal_blanks(images, np.flatnonzero(~shown))


def _equal_blanks(
    images: Sequence[Grey], rows: NDArray[np.int64]
) -> Iterator[tuple[int, int, float]]:
    """Pictures without any grain that are equal: each with the first of its kind."""
    first: dict[tuple[int, int, int], int] = {}
    for row in rows:
        image = images[row]
        if image.min() == image.max():
            high, low = max(image.shape), min(image.shape)
            i = first.setdefault((int(image.flat[0]), high, low), int(row))
            if i != row:
                yield i, int(row), 1.0


def _alike(plain: Floats) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Yield pairs i < j of thumbnails [N, 1024] that are alike, and the symmetries of i under which they are."""
    for start in range(0, len(plain), BLOCK):
        turned = plain[start : start + BLOCK].reshape(-1, SIDE, SIDE)
        turns: dict[tuple[int, int], list[int]] = {}
        for k in range(8):
            views = np.stack([symmetry(view, k).ravel() for view in turned])
            agreement = views @ plain[start:].T
            for row, column in np.argwhere(np.triu(agreement, 1) > ALIKE).tolist():
                turns.setdefault((start + row, start + column), []).append(k)
        yield from sorted(turns.items())


def _agreement(a: Grey, b: Grey, fine_a: Floats, fine_b: Floats, k: int) -> float:
    """Correlation of the fine residuals of b and of a under a symmetry; 1 if the pixels are equal."""
    if symmetry(a, k).shape != b.shape:
        return 0.0
    if np.array_equal(symmetry(a, k), b):
        return 1.0
    return correlation(np.ascontiguousarray(symmetry(fine_a, k)), fine_b)
