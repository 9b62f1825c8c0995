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


def d4_signature(image: Grey) -> Floats:
    """Thumbnails [8, 1024] of the eight symmetries: one of them matches row 0 of a turned copy."""
    return np.stack([view.ravel() for view in symmetries(thumbnail(image))]).astype(np.float32)


def symmetric_pairs(
    images: Sequence[Grey], related: NDArray[np.bool_] | None = None
) -> Iterator[tuple[int, int, float]]:
    """Find pictures that are one up to a flip or a quarter turn.

    Thumbnails alike to 0.9 under one of the symmetries are candidates; the fine residual at full
    size decides. Equal pictures without any grain (two blank ones) are pairs as well.

    Args:
        images: uint8 [H, W] each.
        related: Which pairs [N, N] are looked at. Default: all.

    Yields:
        Numbers of both images (i < j) and the correlation of their fine residuals.
    """
    if not images:
        return
    signatures = np.stack([d4_signature(image) for image in images])
    plain = signatures[:, 0]
    for start in range(0, len(images), BLOCK):
        turned = signatures[start : start + BLOCK]
        agreement = np.stack([turned[:, k] @ plain.T for k in range(8)]).max(axis=0)
        blank = np.outer(~turned[:, 0].any(1), ~plain.any(1))
        alike = (agreement > ALIKE) | blank
        if related is not None:
            alike &= related[start : start + BLOCK]
        for row, j in zip(*np.nonzero(alike), strict=True):
            i = start + int(row)
            value = best_agreement(images[i], images[int(j)]) if i < j else 0.0
            if value >= SAME:
                yield i, int(j), value


def best_agreement(a: Grey, b: Grey) -> float:
    """Largest residual correlation of a with a symmetry of b; 1 if the pixels are equal."""
    first, second = residual(a.astype(np.float32)), residual(b.astype(np.float32))
    values = [0.0]
    for turned, pixels in zip(symmetries(second), symmetries(b.astype(np.float32)), strict=True):
        if turned.shape == a.shape:
            equal = np.array_equal(pixels, a)
            values.append(1.0 if equal else correlation(first, turned.astype(np.float32)))
    return max(values)
