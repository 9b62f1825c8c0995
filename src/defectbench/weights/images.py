"""Images to compare two networks on: noise, fine and coarse, the same bytes for the same seed on any machine."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

CELLS = (1, 4, 16)  # pixels; sides of the squares of one colour, in turn


def noise_images(count: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Images of squares in random colours; the first of single pixels, the next of larger squares, and so on.

    Args:
        count: Number of images.
        size: Side, pixels; a multiple of 16.
        seed: Of the colours.

    Returns:
        uint8 [count, 3, size, size].
    """
    return np.stack([_image(size, CELLS[n % len(CELLS)], f"{seed} {n}") for n in range(count)])


def _image(size: int, cell: int, drawn_from: str) -> NDArray[np.uint8]:
    side = size // cell
    colours = hashlib.shake_256(drawn_from.encode()).digest(3 * side * side)
    squares = np.frombuffer(colours, np.uint8).reshape(3, side, side)
    return squares.repeat(cell, 1).repeat(cell, 2)
