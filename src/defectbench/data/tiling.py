"""The geometry of tiles: where they lie in an image, and what they show of its boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..base.tiling import Tiling

Floats = NDArray[np.float64]
Windows = NDArray[np.int64]


def starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles begin along one side of an image: as few as overlap enough, spread evenly from end to end.

    Args:
        length: Of the image's side, pixels.
        side: Of a tile, pixels.
        overlap: Least overlap of neighbours, pixels.

    Example:
        >>> starts(2048, 640, 128), starts(500, 640, 128)
        ([0, 469, 939, 1408], [0])
    """
    if length <= side:
        return [0]
    count = 1 + -(-(length - side) // (side - overlap))
    return [round(n * (length - side) / (count - 1)) for n in range(count)]


def tile_windows(width: int, height: int, tiling: Tiling) -> Windows:
    """The tiles of an image, row by row: [T, 4], x0, y0, x1, y1; a tile ends where a smaller image does."""
    across, down = (starts(n, tiling.side, tiling.overlap) for n in (width, height))
    ends = np.array([width, height])
    low = np.array([(x, y) for y in down for x in across], np.int64)
    return np.concatenate([low, np.minimum(low + tiling.side, ends)], axis=1)


def count_tiles(width: int, height: int, tiling: Tiling) -> int:
    """How many tiles an image has, told without making them."""
    steps = (-(-max(0, n - tiling.side) // (tiling.side - tiling.overlap)) for n in (width, height))
    across, down = steps
    return (1 + across) * (1 + down)


def visible_shares(boxes: Floats, windows: Windows, side: int) -> Floats:
    """How much of each box each tile shows, of the most that a tile could: [K, T], 0..1.

    A box that is larger than a tile is as visible as can be where it fills one.

    Args:
        boxes: [K, 4], x0, y0, x1, y1, pixels of the image.
        windows: [T, 4], the tiles.
        side: Of a tile, pixels.
    """
    low = np.maximum(boxes[:, None, :2], windows[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], windows[None, :, 2:])
    shown = np.prod(np.maximum(high - low, 0.0), axis=2)
    most = np.prod(np.minimum(boxes[:, 2:] - boxes[:, :2], side), axis=1)
    return np.minimum(shown / most[:, None], 1.0)


def assign_boxes(boxes: Floats, windows: Windows, tiling: Tiling) -> NDArray[np.bool_]:
    """Which tiles have which boxes in their truth: [K, T]. Each box is in one at least."""
    shares = visible_shares(boxes, windows, tiling.side)
    has = (shares >= tiling.least_visible) & (shares > 0)
    best = shares == shares.max(axis=1, initial=0.0, keepdims=True)
    first_best = best & (np.cumsum(best, axis=1) == 1)
    return has | (first_best & ~has.any(axis=1, keepdims=True))


def cut_to(boxes: Floats, window: NDArray[np.int64]) -> Floats:
    """Boxes [K, 4] cut at a tile, in pixels from the tile's corner."""
    corner = np.tile(window[:2], 2)
    return np.clip(boxes, corner, np.tile(window[2:], 2)) - corner
