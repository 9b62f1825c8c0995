"""Six classes of surface defects in the spirit of NEU-DET, each drawn with its exact mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..base.cards import DefectLook
from .synthetic_texture import Field, Rng, blurred, cloud

Mask = NDArray[np.bool_]
LARGEST_SIDE_PX = 175.0
LEAST_WIDTH_PX = 6
VISIBLE = 0.5  # a pixel belongs to a defect where at least half of its strength shows
SUBPIXEL_BITS = 4


AS_DRAWN = DefectLook()


@dataclass(frozen=True)
class Defect:
    """One drawn defect in a frame of its own.

    Attributes:
        name: Class name.
        change: What it adds to the surface, grey levels, [H, W].
        mask: Pixels that belong to it, [H, W].
    """

    name: str
    change: Field
    mask: Mask


def draw_defect(rng: Rng, name: str, strength: float, look: DefectLook = AS_DRAWN) -> Defect:
    """Draw one defect of a random size.

    Args:
        rng: Source of random numbers.
        name: One of ``DRAWERS``.
        strength: Contrast in grey levels of a defect of middling contrast, before ``look``.
        look: How plainly it shows.

    Returns:
        The defect; its mask touches all four sides of its frame.
    """
    while True:
        change, mask = DRAWERS[name](rng, strength * look.contrast * rng.uniform(0.8, 1.35), look)
        if not mask.any():
            continue
        rows, columns = tight_slices(mask)
        if min(mask[rows, columns].shape) >= LEAST_WIDTH_PX:
            return Defect(name, change[rows, columns], mask[rows, columns])


def tight_slices(mask: Mask) -> tuple[slice, slice]:
    """Smallest window that holds every true pixel of ``mask``, which has at least one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _side(rng: Rng, low: float, high: float = LARGEST_SIDE_PX) -> float:
    """A length in pixels; on the log scale large ones are drawn more often than small ones."""
    return float(low * (high / low) ** np.sqrt(rng.random()))


def _frame(rng: Rng, low: float, stretch: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of a frame: a random side, stretched either way."""
    side, ratio = _side(rng, low), np.sqrt(rng.uniform(*stretch))
    if rng.random() < 0.5:
        ratio = 1 / ratio
    rows, columns = (round(min(side * r, LARGEST_SIDE_PX)) for r in (ratio, 1 / ratio))
    return max(8, rows), max(8, columns)


def _radius(shape: tuple[int, int], power: float) -> Field:
    """Distance from the centre: 1 on the ellipse (power 2) or rounded box (more) of the frame."""
    y, x = (np.abs(np.linspace(-1, 1, n)) for n in shape)
    return (y[:, None] ** power + x[None, :] ** power) ** (1 / power)


def _largest_piece(mask: Mask) -> Mask:
    """The largest connected piece of a mask; all of an empty one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def _blob(rng: Rng, shape: tuple[int, int], ragged: float, cell: tuple[float, float]) -> Mask:
    """An irregular area: an ellipse whose border is moved by noise."""
    edge = _radius(shape, 2.0) + ragged * cloud(rng, shape, cell)
    return _largest_piece(edge < 0.85)


def _padded(field: Field | Mask, margin: int) -> NDArray:
    return np.pad(field, margin)


def _soft(mask: Mask, sigma: float) -> Field:
    """Share 0..1 of a mask with a soft edge; its level 0.5 stays on the mask's border."""
    return blurred(mask.astype(np.float64), sigma)


def _patches(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """An irregular cloudy area, mostly darker than the steel around it."""
    shape = _frame(rng, 18 * look.least_size, (1.0, 2.2))
    coarse, fine = (max(8.0, shape[0] / 3), max(8.0, shape[1] / 3)), (4.0, 3.0)
    edge = _radius(shape, 2.2) + 0.11 * cloud(rng, shape, coarse) + 0.05 * cloud(rng, shape, fine)
    share = _soft(_padded(_largest_piece(edge < 0.9), 5), 1.3)
    tone = -1.3 if rng.random() < 0.75 else 1.3
    cloudy = 1 + 0.14 * cloud(rng, share.shape, (4, 3)) + 0.14 * cloud(rng, share.shape, (16, 12))
    return 1.1 * tone * strength * share * cloudy, share >= VISIBLE


def _inclusion(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """A dark blob drawn out along the rolling direction."""
    height = _side(rng, 18 * look.least_size)
    shape = (round(height), max(5, min(30, round(height / rng.uniform(2.8, 5.5)))))
    body = _blob(rng, shape, 0.14, (max(5.0, shape[0] / 6), max(4.0, shape[1] / 2)))
    share = _soft(_padded(body, 4), 0.8)
    streaks = 1 + 0.2 * cloud(rng, share.shape, (shape[0] / 3, 2.5))
    return -1.5 * strength * share * streaks, share >= VISIBLE


def _crazing(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """A net of fine dark cracks, broken here and there."""
    shape = _frame(rng, 26 * look.least_size, (1.0, 2.6))
    region = (_radius(shape, 3.5) + 0.08 * cloud(rng, shape, (9, 9))) < 0.98
    broken = cloud(rng, shape, (8, 8))
    spacing = rng.uniform(13, 18)
    wide = _net(rng, shape, spacing, rng.uniform(2.0, 2.6)) * (broken > -1.0)
    fine = _net(rng, shape, 0.6 * spacing, 1.4) * (broken > 0.4)
    share = blurred(_padded(np.maximum(wide, 0.8 * fine) * region, 2), 0.4)
    return -1.8 * strength * share, share >= VISIBLE


def _net(rng: Rng, shape: tuple[int, int], spacing: float, width: float) -> Field:
    """Share 0..1 of lines between random cells: where the two nearest centres are equally far."""
    height, columns = shape
    count = max(6, round(height * columns / spacing**2))
    centres = rng.uniform((-8, -8), (height + 8, columns + 8), size=(count, 2))
    y, x = np.mgrid[0:height, 0:columns].astype(np.float64)
    y, x = y + 1.3 * cloud(rng, shape, (8, 8)), x + 1.3 * cloud(rng, shape, (8, 8))
    near, second = KDTree(centres).query(np.stack([y, x], -1), k=2)[0].transpose(2, 0, 1)
    return np.clip(width - (second - near), 0.0, 1.0)


def _spots(rng: Rng, shape: tuple[int, int], spacing: float) -> Field:
    """Centres (row, column) of scattered spots inside a rounded box, [N, 2] pixels."""
    rows, columns = (np.arange(spacing / 2, n, spacing) for n in shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    spots = grid + rng.uniform(-0.48, 0.48, grid.shape) * spacing
    scaled = np.abs(spots / np.array(shape) * 2 - 1) ** 3.5
    return spots[scaled.sum(1) < 1.0]


def _ellipse(canvas: NDArray[np.uint8], centre: Field, axes: Field, angle: float) -> None:
    """Fill an ellipse, subpixel and smooth; centre (row, column), half axes (x, y), degrees."""
    x, y, half_x, half_y = np.rint(np.array([*centre[::-1], *axes]) * 2**SUBPIXEL_BITS).astype(int)
    whole = (angle, 0, 360, 255, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.ellipse(canvas, (int(x), int(y)), (int(half_x), int(half_y)), *whole)


def _pitted_surface(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """Many small round dark pits scattered over an area."""
    shape = _frame(rng, 30 * look.least_size, (1.0, 2.4))
    canvas = np.zeros((shape[0] + 8, shape[1] + 8), np.uint8)
    largest = rng.uniform(2.2, 3.4)
    for spot in _spots(rng, shape, rng.uniform(9, 13)):
        radius = rng.uniform(1.4, largest)
        _ellipse(canvas, spot + 4, np.array([radius, radius * rng.uniform(1.0, 1.5)]), 0.0)
    share = np.minimum(blurred(canvas / 255.0, 0.6) * 1.15, 1.0)
    return -1.7 * strength * share, share >= VISIBLE


def _rolled_in_scale(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """Streaky flakes pressed into the steel: dark, with a bright rim, all lying one way."""
    shape = _frame(rng, 26 * look.least_size, (1.0, 2.6))
    dark = np.zeros((shape[0] + 20, shape[1] + 20), np.uint8)
    lie = rng.uniform(-25, 25)
    longest = rng.uniform(7.0, 10.0)
    for spot in _spots(rng, shape, rng.uniform(13, 18)):
        axes = np.array([rng.uniform(4.5, longest), rng.uniform(1.4, 2.4)])
        _ellipse(dark, spot + 10, axes, lie + rng.uniform(-15, 15))
    share = np.minimum(blurred(dark / 255.0, 0.6) * 1.1, 1.0)
    rim = np.roll(share, 3, 0) * (1 - share)
    return strength * (1.5 * rim - 1.3 * share), share >= VISIBLE


def _scratches(rng: Rng, strength: float, look: DefectLook) -> tuple[Field, Mask]:
    """Thin bright lines, alone or side by side, upright, level or oblique."""
    length = _side(rng, 40 * look.least_size, 200)
    turn = rng.random()
    degrees = 90.0 if turn < 0.5 else 0.0 if turn < 0.75 else rng.uniform(20, 160)
    angle = np.deg2rad(degrees + rng.uniform(-3, 3))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    side = int(length) + 40
    canvas = np.zeros((side, side), np.uint8)
    bend, offset = rng.uniform(-0.02, 0.02) * length, 0.0
    for line in range(int(rng.integers(2, 6))):
        part = length * (1.0 if line == 0 else rng.uniform(0.65, 1.0))
        start = rng.uniform(-0.5, 0.5) * (length - part)
        steps = np.linspace(-0.5, 0.5, 13)[:, None]
        path = side / 2 + (start + steps * part) * along
        path = path + ((1 - 4 * steps**2) * bend + offset) * across
        fixed = np.round(path * 2**SUBPIXEL_BITS).astype(np.int32)
        bright, thickness = int(rng.integers(170, 256)), int(rng.integers(1, 4))
        cv2.polylines(canvas, [fixed], False, bright, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        offset += rng.uniform(3.5, 6.0)
    share = blurred(canvas / 255.0, 0.5)
    worn = 1.0 + 0.25 * cloud(rng, share.shape, (14, 14)) + 0.2 * cloud(rng, share.shape, (2, 2))
    return 2.0 * strength * share * np.clip(worn, 0.6, 1.7), share >= VISIBLE


DRAWERS: dict[str, Callable[[Rng, float, DefectLook], tuple[Field, Mask]]] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted_surface": _pitted_surface,
    "rolled-in_scale": _rolled_in_scale,
    "scratches": _scratches,
}
