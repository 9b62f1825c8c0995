"""Copies of one picture up to the eight symmetries of the square, re-encoded or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .coco import Grey
from .phase import correlation, residual

Floats = NDArray[np.float32]
SIDE, ALIKE, SAME, BLOCK = 32, 0.9, 0.5, 256


def symmetries(image: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """The eight images of a square under flips and quarter turns, the identity first."""
    turns = [np.rot90(image, k) for k in range(4)]
    return turns + [turn[:, ::-1] for turn in turns]


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
    for start in range(0, len(plain), BLOCK):
        turned = plain[start : start + BLOCK].reshape(-1, SIDE, SIDE)
        agreement = np.full((len(turned), len(plain) - start), -1.0, np.float32)
        for k in range(8):
            views = np.stack([symmetries(view)[k].ravel() for view in turned])
            np.maximum(agreement, views @ plain[start:].T, out=agreement)
        for row, column in zip(*np.nonzero(agreement > ALIKE), strict=True):
            i, j = start + int(row), start + int(column)
            value = best_agreement(images[i], images[j]) if i < j else 0.0
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


def best_agreement(a: Grey, b: Grey) -> float:
    """Largest residual correlation of a with a symmetry of b; 1 if the pixels are equal."""
    first, second = residual(a.astype(np.float32)), residual(b.astype(np.float32))
    values = [0.0]
    for turned, pixels in zip(symmetries(second), symmetries(b.astype(np.float32)), strict=True):
        if turned.shape == a.shape:
            equal = np.array_equal(pixels, a)
            values.append(1.0 if equal else correlation(first, turned.astype(np.float32)))
    return max(values)
