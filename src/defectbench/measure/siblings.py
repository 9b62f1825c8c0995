"""Offline copies of one image: find from pixels how one was turned into the other.

Under the protocol ``paper`` an image is flipped, turned and brightened before the split, so most
test images have a sibling in training. The memoriser finds the flip and the angle by trying: the
greys of both, reduced to 64 pixels, local mean removed, are compared in the disc that every turn
keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import MeasurementError
from ..data.augment import MAX_DEGREES, turn_boxes
from ..data.coco import read_pixels

VIEW = 64
COARSE_DEGREES = 2.0
FINE_DEGREES = 0.5
LEAST_CORRELATION = 0.5
FLIPS = ((1, 1), (-1, 1), (1, -1), (-1, -1))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """How a sibling becomes an image: flipped first, then turned about the centre.

    Attributes:
        flip: -1 where an axis (x, y) is mirrored.
        degrees: Angle, anticlockwise.
        correlation: Of the two images after it.
    """

    flip: tuple[int, int]
    degrees: float
    correlation: float

    def matrix(self, width: int, height: int) -> Floats:
        """Affine [2, 3] of pixel centres of an image of that size."""
        turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), self.degrees, 1.0)
        (fx, fy), last = self.flip, (width - 1, height - 1)
        mirror = np.array(
            [[fx, 0, last[0] * (fx < 0)], [0, fy, last[1] * (fy < 0)], [0, 0, 1]], dtype=np.float64
        )
        return np.asarray(turn, dtype=np.float64) @ mirror

    def move(self, boxes: Floats, width: int, height: int) -> Floats:
        """Boxes x y w h of the sibling in pixels of the image: hulls of their turned corners."""
        return turn_boxes(boxes, self.matrix(width, height), width, height)


def read_view(path: Path) -> NDArray[np.float32]:
    """A small grey view [64, 64] without its local mean.

    Raises:
        MeasurementError: The image cannot be decoded.
    """
    grey = read_pixels(path, cv2.IMREAD_GRAYSCALE)
    if grey is None:
        fix = "augment the dataset again"
        raise MeasurementError(path, "image", "undecodable", fix)
    small = cv2.resize(grey, (VIEW, VIEW), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), 8)


def find_turn(image: NDArray[np.float32], sibling: NDArray[np.float32]) -> Turn | None:
    """The flip and angle that make a sibling's view look like an image's view.

    Returns:
        The best one; None if nothing correlates at 0.5.
    """
    target = _normal(image)
    reach = 2 * MAX_DEGREES
    best = max(
        (
            _tried(target, sibling, flip, angle)
            for flip in FLIPS
            for angle in np.arange(-reach, reach + COARSE_DEGREES / 2, COARSE_DEGREES)
        ),
        key=lambda turn: turn.correlation,
    )
    near = np.arange(-COARSE_DEGREES, COARSE_DEGREES + FINE_DEGREES / 2, FINE_DEGREES)
    fine = (_tried(target, sibling, best.flip, best.degrees + step) for step in near)
    best = max(fine, key=lambda turn: turn.correlation)
    return best if best.correlation >= LEAST_CORRELATION else None


def _tried(
    target: Floats, sibling: NDArray[np.float32], flip: tuple[int, int], degrees: float
) -> Turn:
    matrix = Turn(flip, degrees, 0.0).matrix(VIEW, VIEW)
    turned = cv2.warpAffine(sibling, matrix, (VIEW, VIEW), borderMode=cv2.BORDER_REFLECT_101)
    return Turn(flip, float(degrees), float(target @ _normal(np.asarray(turned, dtype=np.float32))))


def _disc() -> NDArray[np.bool_]:
    row, column = np.mgrid[:VIEW, :VIEW] - (VIEW - 1) / 2
    return np.hypot(row, column) < VIEW / 2


_INSIDE = _disc()


def _normal(view: NDArray[np.floating]) -> Floats:
    values = view[_INSIDE].astype(np.float64)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-9)
