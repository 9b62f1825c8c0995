"""Shifted copies of a surface: candidates by phase correlation, proof by the fine residual.

The recipe and its thresholds were set on NEU-DET (200 x 200 pixels), where accepted pairs agree by
0.93 in the median and 1,500 unrelated ones by 0.28 at most. A peak only nominates a pair, so its gate
is low: at 9 deviations instead of 5, a shift by half a pixel of the view or little common surface hid
332 of NEU-DET's pairs. Other sizes scale it: the longest side of a set becomes 100 pixels in a view,
and at most 400 in the proof.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..base.records import usable_cores
from .coco import Grey
from .disk_list import DiskList

Floats = NDArray[np.float32]
VIEW, PADDED, PROOF = 100, 128, 400
FLATTEN_SIGMA, RESIDUAL_SIGMA = 6.0, 2.0
PEAK_SIGMA, LEAST_VIEW_OVERLAP, VIEW_CORRELATION = 5.0, 20, 0.4
ACCEPT, REFINE_PX = 0.3, 3
LARGE_RATIO = 3.0  # proof pixels per view pixel, from which a shift is looked for in two steps
LEAST_HALVED = 0.15  # agreement at half the scale, below which there is no second step
LIKELY, LEAST_MIDDLE = (
    6,
    16,
)  # shifts that are judged exactly; side of a middle that tells them, pixels
BLOCK = 16  # pairs at once; more leave the processor's cache
SPECTRA, RESIDUALS = 4096, 256  # kept in memory
# A phase correlation has mean square 1/n (Parseval) and mean +-1/n: its deviation is known.
_DEVIATION = math.sqrt(1 / PADDED**2 - 1 / PADDED**4)


class Shift(NamedTuple):
    """One image found in another.

    Attributes:
        i: Number of the first image.
        j: Number of the second image.
        dx: Column of the second's origin in the first, pixels.
        dy: Row of the second's origin in the first, pixels.
        correlation: Agreement of the fine residuals where they overlap, -1..1.
        share: Overlap as a share of the smaller image.
    """

    i: int
    j: int
    dx: int
    dy: int
    correlation: float
    share: float


def shifted_pairs(
    images: Sequence[Grey],
    pairs: Iterable[tuple[int, int]] | None = None,
    accept: float = ACCEPT,
    side: int | None = None,
) -> list[Shift]:
    """Find the pairs of images that are shifted crops of one surface.

    Args:
        images: uint8 [H, W] each, all at one scale; sizes may differ.
        pairs: Numbers i < j of the pairs to look at; None for all of them.
        accept: Least correlation of the fine residuals.
        side: Longest side of the set; None to look for it.

    Returns:
        Accepted pairs, i < j, in order.
    """
    if len(images) < 2:
        return []
    side = side or max(int(max(images[row].shape)) for row in range(len(images)))
    view_scale, proof_scale = VIEW / side, min(1.0, PROOF / side)
    later = _later(len(images), pairs)
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        TemporaryDirectory(prefix="defectbench-") as folder,
    ):
        views = DiskList(
            Path(folder) / "views",
            (flatten(resized(images[row], view_scale)) for row in range(len(images))),
            np.float32,
        )
        spectrum = lru_cache(SPECTRA)(lambda row: _whitened(views[row]))
        fine = lru_cache(RESIDUALS)(lambda row: residual(resized(images[row], proof_scale)))
        ratio = proof_scale / view_scale

        def shifts(i: int) -> list[Shift]:
            best: dict[int, Shift] = {}
            for j, dx, dy in _candidates(spectrum, views, i, later(i)):
                x, y, value, share = refine(fine(i), fine(j), dx * ratio, dy * ratio, ratio)
                if value > accept and (j not in best or value > best[j].correlation):
                    here = round(x / proof_scale), round(y / proof_scale)
                    best[j] = Shift(i, j, *here, value, share)
            return [best[j] for j in sorted(best)]

        return [shift for found in pool.map(shifts, range(len(images))) for shift in found]


def _later(count: int, pairs: Iterable[tuple[int, int]] | None) -> Callable[[int], Sequence[int]]:
    """The partners j > i of each image."""
    if pairs is None:
        return lambda i: range(i + 1, count)
    partners: dict[int, list[int]] = defaultdict(list)
    for i, j in pairs:
        partners[i].append(j)
    return lambda i: sorted(partners.get(i, []))


def resized(image: Grey, scale: float) -> Floats:
    """An image at another scale, float32; as it is at 1."""
    if scale == 1:
        return image.astype(np.float32)
    size = [max(1, round(length * scale)) for length in image.shape[::-1]]
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=mode), np.float32)


def flatten(view: Floats) -> Floats:
    """A view with local mean and contrast removed."""
    centred = view - gaussian_filter(view, FLATTEN_SIGMA)
    return np.asarray(
        centred / np.sqrt(gaussian_filter(centred**2, FLATTEN_SIGMA) + 1.0), np.float32
    )


def residual(image: Floats) -> Floats:
    """An image minus its Gaussian blur: brightness alone can no longer agree."""
    return np.asarray(image - gaussian_filter(image, RESIDUAL_SIGMA), np.float32)


def _whitened(view: Floats) -> NDArray[np.complex64]:
    """Spectrum [128, 65] of unit magnitude, so that a product of two is a phase correlation."""
    spectrum = np.asarray(scipy.fft.rfft2(view, (PADDED, PADDED)))
    return (spectrum / (np.abs(spectrum) + 1e-9)).astype(np.complex64)


def _candidates(
    spectrum: Callable[[int], NDArray[np.complex64]],
    views: Sequence[Floats],
    i: int,
    later: Sequence[int],
) -> Iterator[tuple[int, int, int]]:
    """Yield (j, dx, dy) in view pixels for image i and the later ones."""
    if not len(later):
        return
    here = spectrum(i).conj()
    for start in range(0, len(later), BLOCK):
        block = later[start : start + BLOCK]
        product = here * np.stack([spectrum(j) for j in block])
        mirrored = scipy.fft.irfft2(product, (PADDED, PADDED), overwrite_x=True)
        surface = np.asarray(mirrored).reshape(len(block), -1)
        for row in np.flatnonzero(surface.max(1) > PEAK_SIGMA * _DEVIATION).tolist():
            y, x = divmod(int(surface[row].argmax()), PADDED)
            for shift in _unwrapped(views[i], views[block[row]], -x % PADDED, -y % PADDED):
                yield block[row], *shift


def _unwrapped(a: Floats, b: Floats, dx: int, dy: int) -> Iterator[tuple[int, int]]:
    """The shifts that a circular peak can stand for and that agree where they overlap."""
    for x in (dx, dx - PADDED):
        for y in (dy, dy - PADDED):
            first, second = shared_windows(a, b, x, y)
            enough = min(first.shape) >= LEAST_VIEW_OVERLAP
            if enough and correlation(first, second) > VIEW_CORRELATION:
                yield x, y


def shared_windows(a: Floats, b: Floats, dx: int, dy: int) -> tuple[Floats, Floats]:
    """The overlapping windows of a and of b, b's origin lying at (dx, dy) in a; maybe empty."""
    top, left = max(dy, 0), max(dx, 0)
    bottom, right = min(a.shape[0], b.shape[0] + dy), min(a.shape[1], b.shape[1] + dx)
    bottom, right = max(top, bottom), max(left, right)
    return a[top:bottom, left:right], b[top - dy : bottom - dy, left - dx : right - dx]


def correlation(a: Floats, b: Floats) -> float:
    """Pearson correlation of two windows; 0 where one is constant or empty."""
    if not a.size:
        return 0.0
    x, y = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(np.vdot(x, x)) * float(np.vdot(y, y)))
    return float(np.vdot(x, y)) / norm if norm > 0 else 0.0


def without_lines(window: Floats) -> Floats:
    """A window minus its row and column means, so that straight lines alone cannot match."""
    if not window.size:
        return window
    return window - window.mean(0) - window.mean(1, keepdims=True) + window.mean()


def _halved(image: Floats) -> Floats:
    """An image at half its scale."""
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def refine(
    a: Floats, b: Floats, dx: float, dy: float, ratio: float = 2.0
) -> tuple[int, int, float, float]:
    """The shift near (dx, dy) at which two residuals agree best.

    Args:
        a: Fine residual [H, W] of the first image.
        b: Fine residual of the second image.
        dx: Where to look, proof pixels.
        dy: Where to look, proof pixels.
        ratio: Proof pixels per view pixel; the search reaches 1.5 view pixels, at least 3 pixels.

    Returns:
        dx, dy, correlation, and the overlap as a share of the smaller image.
    """
    if ratio > LARGE_RATIO:  # of large images: near the shift of halved ones
        x, y, value, share = refine(_halved(a), _halved(b), dx / 2, dy / 2, ratio / 2)
        if value < LEAST_HALVED:
            return 2 * x, 2 * y, value, share
        dx, dy, ratio = 2 * x, 2 * y, 2.0
    reach = max(REFINE_PX, math.ceil(1.5 * ratio))
    best = (round(dx), round(dy), -1.0, 0.0)
    for x, y in _likely_shifts(a, b, round(dx), round(dy), reach):
        first, second = shared_windows(a, b, x, y)
        value = correlation(without_lines(first), without_lines(second))
        if first.size and value > best[2]:
            best = (x, y, value, first.size / min(a.size, b.size))
    return best


def _likely_shifts(a: Floats, b: Floats, dx: int, dy: int, reach: int) -> list[tuple[int, int]]:
    """The shifts within reach of (dx, dy) at which the middle of the overlap agrees best; all of them if it is small.

    One correlation of the middle with all its places costs as much as two or three overlaps.
    """
    steps = range(-reach, reach + 1)
    first, second = shared_windows(a, b, dx, dy)
    middle = second[reach : second.shape[0] - reach, reach : second.shape[1] - reach]
    if min(first.shape) < LEAST_MIDDLE + 2 * reach:
        return [(dx + x, dy + y) for y in steps for x in steps]
    agreement = cv2.matchTemplate(without_lines(first), without_lines(middle), cv2.TM_CCOEFF_NORMED)
    likeliest = np.argsort(-agreement, axis=None, kind="stable")[:LIKELY]
    places = (divmod(int(place), len(steps)) for place in likeliest)
    return sorted(((dx + x - reach, dy + y - reach) for y, x in places), key=lambda at: at[::-1])
