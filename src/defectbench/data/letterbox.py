"""How an image lies in a square input, the same for packs and for engines. Kept free of torch, as engines are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

PAD_VALUE = 114


def letterbox(
    image: NDArray[np.uint8], size: int
) -> tuple[NDArray[np.uint8], float, tuple[int, int]]:
    """Fit an image [H, W, 3] into a square, keeping its aspect; the rest is grey 114.

    Args:
        image: Pixels; an image that fits already is returned as it is.
        size: Side of the square, pixels.

    Returns:
        Image [size, size, 3], scale, and pad (x, y) in pixels.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (size - w) // 2, (size - h) // 2
    if (w, h) != (width, height):
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (w, h), interpolation=mode), np.uint8)
    if (w, h) == (size, size):
        return image, scale, (x, y)
    square = np.full((size, size, 3), PAD_VALUE, np.uint8)
    square[y : y + h, x : x + w] = image
    return square, scale, (x, y)
