"""One strip of steel: surface, defects in their places, and the windows of its crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..base.cards import DefectLook
from .synthetic_defects import AS_DRAWN, DRAWERS, Defect, draw_defect
from .synthetic_texture import Rng, draw_finish, steel

SIDEWAYS_PX = 24  # crops of one strip lie up to this far apart across the rolling direction
STEP = (0.35, 0.65)  # from crop to crop along the strip, in sides of a crop
ANOTHER_CLASS = 0.22
CROWDING = (0.15, 0.25, 0.3, 0.2, 0.1)  # shares of single crops with 1, 2, 3, 4, 5 defects drawn
DEFECTS_PER_CROP_LENGTH = 2.6
LARGEST_OVERLAP, PLACES_TRIED = 0.05, 30
GAP_PX = 10  # two defects of one class that touched would be one defect to any eye


@dataclass(frozen=True)
class Placed:
    """A defect and where the first row and column of its frame lie in the strip."""

    defect: Defect
    row: int
    column: int


@dataclass(frozen=True)
class Strip:
    """A drawn strip.

    Attributes:
        pixels: Grey image, uint8 [length, width].
        defects: What lies on it.
        windows: First row and column of each crop.
    """

    pixels: NDArray[np.uint8]
    defects: list[Placed]
    windows: list[tuple[int, int]]


def draw_strip(
    rng: Rng, name: str | None, count: int, size: int, look: DefectLook = AS_DRAWN
) -> Strip:
    """Draw a strip.

    Args:
        rng: Source of random numbers.
        name: Class of most of its defects; None for bare steel.
        count: Number of crops.
        size: Side of a crop, pixels.
        look: How plainly its defects show.
    """
    windows = _windows(rng, count, size)
    shape = (windows[-1][0] + size + int(rng.integers(8, 33)), size + SIDEWAYS_PX)
    finish = draw_finish(rng)
    surface = steel(rng, shape, finish)
    defects: list[Placed] = []
    for kind in _kinds(rng, name, shape[0] / size, count, look):
        # A defect has to stand out from a rough surface more strongly than from a smooth one.
        defect = draw_defect(rng, kind, 20 + 1.6 * finish.roughness, look)
        placed = _place(rng, defect, defects, shape)
        if placed is not None:
            defects.append(placed)
            height, width = placed.defect.mask.shape
            spot = np.s_[placed.row : placed.row + height, placed.column : placed.column + width]
            surface[spot] += placed.defect.change
    return Strip(np.clip(np.rint(surface), 0, 255).astype(np.uint8), defects, windows)


def _windows(rng: Rng, count: int, size: int) -> list[tuple[int, int]]:
    """First rows and columns of crops that follow each other along the strip."""
    row, windows = int(rng.integers(0, 33)), []
    for _ in range(count):
        windows.append((row, int(rng.integers(0, SIDEWAYS_PX + 1))))
        row += round(size * rng.uniform(*STEP))
    return windows


def _kinds(rng: Rng, name: str | None, lengths: float, count: int, look: DefectLook) -> list[str]:
    """Classes of the defects to draw, the strip's own class first."""
    if name is None:
        return []
    number = int(rng.choice(np.arange(1, 6), p=CROWDING))
    if count > 1:
        number = max(2, round(DEFECTS_PER_CROP_LENGTH * lengths * rng.uniform(0.7, 1.3)))
    others = [other for other in DRAWERS if other != name]
    return [
        str(rng.choice(others)) if k > 0 and rng.random() < ANOTHER_CLASS * look.others else name
        for k in range(number)
    ]


def _place(rng: Rng, defect: Defect, others: list[Placed], shape: tuple[int, int]) -> Placed | None:
    """A random place inside the strip that keeps clear of the other defects, if one is found."""
    height, width = defect.mask.shape
    if height > shape[0] or width > shape[1]:
        return None
    for _ in range(PLACES_TRIED):
        row = int(rng.integers(0, shape[0] - height + 1))
        column = int(rng.integers(0, shape[1] - width + 1))
        placed = Placed(defect, row, column)
        if all(_is_apart(placed, other) for other in others):
            return placed
    return None


def _is_apart(a: Placed, b: Placed) -> bool:
    """Whether two frames are a gap apart or, of two classes, nearly so."""
    (height_a, width_a), (height_b, width_b) = a.defect.mask.shape, b.defect.mask.shape
    rows = min(a.row + height_a, b.row + height_b) - max(a.row, b.row)
    columns = min(a.column + width_a, b.column + width_b) - max(a.column, b.column)
    if a.defect.name == b.defect.name:
        return min(rows, columns) <= -GAP_PX
    smaller = min(height_a * width_a, height_b * width_b)
    return max(rows, 0) * max(columns, 0) <= LARGEST_OVERLAP * smaller
