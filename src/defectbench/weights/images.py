"""Images to compare two networks on: noise, fine and coarse, the same bytes for the same seed."""

from __future__ import annotations

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
    return np.stack([_image(size, CELLS[n % len(CELLS)], (seed, n)) for n in range(count)])


def _image(size: int, cell: int, seed: tuple[int, int]) -> NDArray[np.uint8]:
    side = size // cell
    colours = np.random.default_rng(seed).integers(0, 256, (3, side, side), dtype=np.uint8)
    return colours.repeat(cell, 1).repeat(cell, 2)
