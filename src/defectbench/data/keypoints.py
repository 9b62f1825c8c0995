"""Local features of a picture: where it shows something that can be found again, turned or rescaled.

The features are SIFT (Lowe 2004) on a view of even contrast. A mirrored picture has the same features with
their descriptors rearranged, so one description serves all the views of a surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .coco import Grey

Floats = NDArray[np.float32]
VIEW, FEATURES = 200, 200
FLATTEN_SIGMA, GREY_LEVELS = 6.0, 45.0  # of the view, pixels; grey levels of one deviation
CELLS, TURNS = 4, 8  # a descriptor: 4 x 4 cells of 8 directions


@dataclass(frozen=True)
class Features:
    """What was seen in a picture.

    Attributes:
        points: Columns and rows in the picture [K, 2], pixels.
        sizes: Diameters [K], pixels.
        angles: Directions [K], degrees clockwise from the rows.
        descriptors: uint8 [K, 128].
    """

    points: Floats
    sizes: Floats
    angles: Floats
    descriptors: NDArray[np.uint8]


def features(picture: Grey, scale: float) -> Features:
    """The strongest features of a picture; none where it shows nothing.

    Args:
        picture: uint8 [H, W].
        scale: Pixels of the view per pixel of the picture; the longest side of a set becomes 200.
    """
    view = even_contrast(picture, scale)
    keys, descriptors = cv2.SIFT.create(FEATURES, contrastThreshold=0.0).detectAndCompute(
        view,
        None,  # type: ignore[arg-type]
    )
    if descriptors is None or not len(keys):
        none = np.zeros(0, np.float32)
        return Features(np.zeros((0, 2), np.float32), none, none, np.zeros((0, 128), np.uint8))
    figures = np.array([(*key.pt, key.size, key.angle) for key in keys], np.float32)
    order = np.lexsort(figures.T)  # threads hand them over in any order
    figures, descriptors = figures[order], descriptors[order]
    figures[:, :3] /= scale
    return Features(figures[:, :2], figures[:, 2], figures[:, 3], descriptors.astype(np.uint8))


def even_contrast(picture: Grey, scale: float) -> Grey:
    """A view, uint8, whose brightness and contrast are the same everywhere."""
    size = [max(1, round(length * scale)) for length in picture.shape[::-1]]
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    view = np.asarray(cv2.resize(picture, size, interpolation=mode), np.float32)
    view = view - cv2.GaussianBlur(view, (0, 0), FLATTEN_SIGMA)
    view /= np.sqrt(cv2.GaussianBlur(view * view, (0, 0), FLATTEN_SIGMA) + 1.0)
    return np.clip(128 + GREY_LEVELS * view, 0, 255).astype(np.uint8)


def unit_descriptors(descriptors: NDArray[np.uint8]) -> Floats:
    """Descriptors [K, 128] of length 1."""
    values = descriptors.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1.0)


def mirrored_descriptors(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Descriptors [K, 128] of the same places in the mirrored picture."""
    cells = descriptors.reshape(-1, CELLS, CELLS, TURNS)[:, ::-1]
    return cells[..., -np.arange(TURNS) % TURNS].reshape(-1, CELLS * CELLS * TURNS)
