"""Proof of turned, mirrored and rescaled views: the fine residuals agree where one is laid over the other."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .coco import Grey
from .phase import correlation, residual
from .surface_index import View

Floats = NDArray[np.float32]
ACCEPT, LEAST_OF_PARTS = 0.5, 0.4  # of the whole overlap; of the middle one of its parts
LEAST_SHARE, LEAST_SIDE = 0.08, 20  # of the smaller picture; pixels
MOST_ZOOM = 3.0
COARSE, LEAST_COARSE = 3.0, 0.6  # pixels; of the coarse residuals before the fit
PARTS, EDGE = 4, 2
ALIGN_SIGMA, ALIGN_STEPS, ALIGN_EPSILON = 5, 40, 1e-4
SAME_ZOOM = 0.08  # a scale this near to 1 is the same


class Turned(NamedTuple):
    """One picture found in another under a turn, a mirror or another scale.

    Attributes:
        i: Number of the first picture.
        j: Number of the second.
        dx: Column of the second's origin in the first, pixels.
        dy: Row of the second's origin in the first, pixels.
        correlation: Agreement of the fine residuals where they overlap, -1..1.
        share: Overlap as a share of the smaller picture.
        turn: Degrees clockwise by which the second has to be turned, -180..180.
        zoom: Pixels of the first per pixel of the second.
        mirrored: Whether the second has to be mirrored, left to right, before it is turned.
    """

    i: int
    j: int
    dx: float
    dy: float
    correlation: float
    share: float
    turn: float
    zoom: float
    mirrored: bool

    @property
    def rescaled(self) -> bool:
        """Whether the two show the surface at different scales."""
        return abs(self.zoom - 1) > SAME_ZOOM


def proven(view: View, first: Grey, second: Grey) -> Turned | None:
    """The view as it is after fitting it to the pixels; None where these do not agree.

    Args:
        view: What the index suggests.
        first: Picture [H, W] of number view.i.
        second: Picture of number view.j.
    """
    to_first = np.vstack([view.to_first, [0, 0, 1]]) @ np.diag(
        [-1.0 if view.mirrored else 1.0, 1, 1]
    )
    zoom = math.sqrt(abs(np.linalg.det(to_first[:2, :2])))
    if not 1 / MOST_ZOOM < zoom < MOST_ZOOM:
        return None
    # The coarser of the two is the ground: a finer one can be made coarser, not the reverse.
    ground, other, onto = (first, second, to_first)
    if zoom > 1:
        ground, other, onto = second, first, np.linalg.inv(to_first)
    if _coarse_agreement(ground, other, onto) < LEAST_COARSE:
        return None
    onto = _aligned(ground, other, onto)
    if onto is None:
        return None
    laid, valid = _laid_over(other, onto, ground.shape)
    other_share = valid.sum() / (abs(np.linalg.det(onto[:2, :2])) * other.size)
    share = float(min(1.0, max(valid.mean(), other_share)))
    if share < LEAST_SHARE or min(valid.any(0).sum(), valid.any(1).sum()) < LEAST_SIDE:
        return None
    value, parts = _agreement(residual(ground.astype(np.float32)), residual(laid), valid)
    if value < ACCEPT or parts < LEAST_OF_PARTS:
        return None
    to_first = np.linalg.inv(onto) if zoom > 1 else onto
    mirrored = bool(np.linalg.det(to_first[:2, :2]) < 0)
    zoom = math.sqrt(abs(np.linalg.det(to_first[:2, :2])))
    down = to_first[:2, 1]  # where the second's rows lead: a mirror leaves it alone
    turn = math.degrees(math.atan2(-down[0], down[1]))
    dx, dy = (float(x) for x in to_first[:2, 2])
    return Turned(view.i, view.j, dx, dy, value, share, turn, zoom, mirrored)


def _coarse_agreement(ground: Grey, other: Grey, onto: NDArray[np.float64]) -> float:
    """Agreement of the coarse residuals as the index lays them: a fit takes a hundred times as long."""
    laid, valid = _laid_over(other, onto, ground.shape)
    if not valid.any():
        return -1.0
    views = (
        cv2.GaussianBlur(each, (0, 0), COARSE) - cv2.GaussianBlur(each, (0, 0), 4 * COARSE)
        for each in (ground.astype(np.float32), laid)
    )
    return correlation(*(np.asarray(view, np.float32)[valid] for view in views))


def _aligned(ground: Grey, other: Grey, onto: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The affine map [3, 3] near this one that lays the other best over the ground; None where none does."""
    back = np.linalg.inv(onto)[:2].astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ALIGN_STEPS, ALIGN_EPSILON)
    coarser = _coarser(other, onto)
    try:
        _, back = cv2.findTransformECC(
            ground,
            coarser,
            back,
            cv2.MOTION_AFFINE,
            criteria,
            np.ones(ground.shape, np.uint8),
            ALIGN_SIGMA,
        )
    except cv2.error:  # it does not converge: the two are not alike
        return None
    whole = np.vstack([np.asarray(back, np.float64), [0, 0, 1]])
    return np.linalg.inv(whole) if abs(np.linalg.det(whole)) > 1e-6 else None


def _coarser(picture: Grey, onto: NDArray[np.float64]) -> Grey:
    """The picture without the detail that is lost when it is made smaller."""
    zoom = math.sqrt(abs(np.linalg.det(onto[:2, :2])))
    sigma = 0.5 * math.sqrt(max(0.0, 1 / zoom**2 - 1))
    return (
        np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8) if sigma > 0.2 else picture
    )


def _laid_over(
    other: Grey, onto: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[Floats, NDArray[np.bool_]]:
    """The other picture in the frame of the ground, and where it shows something."""
    size = (shape[1], shape[0])
    laid = cv2.warpAffine(
        _coarser(other, onto).astype(np.float32), onto[:2], size, borderMode=cv2.BORDER_REFLECT
    )
    inside = cv2.warpAffine(np.ones(other.shape, np.uint8), onto[:2], size, flags=cv2.INTER_NEAREST)
    inside = cv2.erode(inside, np.ones((2 * EDGE + 1,) * 2, np.uint8), borderValue=1)
    return np.asarray(laid, np.float32), inside > 0


def _agreement(a: Floats, b: Floats, valid: NDArray[np.bool_]) -> tuple[float, float]:
    """Correlation of two residuals where valid, and that of the middle one of its 4 x 4 parts."""
    a, b = (_without_lines(each, valid) for each in (a, b))
    whole = correlation(a[valid], b[valid])
    top, bottom = np.flatnonzero(valid.any(1))[[0, -1]]
    left, right = np.flatnonzero(valid.any(0))[[0, -1]]
    rows = np.linspace(top, bottom + 1, PARTS + 1).astype(int)
    columns = np.linspace(left, right + 1, PARTS + 1).astype(int)
    parts = []
    for y in range(PARTS):
        for x in range(PARTS):
            part = np.s_[rows[y] : rows[y + 1], columns[x] : columns[x + 1]]
            inside = valid[part]
            if inside.mean() > 0.5:
                parts.append(correlation(a[part][inside], b[part][inside]))
    return whole, float(np.median(parts)) if parts else 0.0


def _without_lines(window: Floats, valid: NDArray[np.bool_]) -> Floats:
    """A window minus its means along rows and columns where valid; 0 elsewhere."""
    window = np.where(valid, window, 0)
    for axis in (0, 1):
        means = window.sum(axis, keepdims=True) / np.maximum(valid.sum(axis, keepdims=True), 1)
        window = np.where(valid, window - means, 0)
    return window.astype(np.float32)
