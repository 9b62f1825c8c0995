"""Rolled-steel texture: light, mottle, rolling lines and grain, each from counted random numbers.

All fields are float64 and every pixel is computed on its own, so that neither the number of threads
nor the order of a sum can move a grey value.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Finish:
    """How one strip of steel looks, in grey levels.

    Attributes:
        level: Mean brightness.
        shade: Strength of uneven light.
        mottle: Strength of cloudy spots.
        lines: Strength of rolling lines.
        grain: Strength of fine grain.
        brushed: Strength of oblique fine grain.
        angle: Direction of the oblique grain, radians.
    """

    level: float
    shade: float
    mottle: float
    lines: float
    grain: float
    brushed: float
    angle: float

    @property
    def roughness(self) -> float:
        """Strength of everything that a defect has to stand out from, in grey levels."""
        return self.grain + 0.7 * self.brushed + 0.5 * self.mottle + 0.4 * self.lines


def draw_finish(rng: Rng) -> Finish:
    """Draw a finish; it does not depend on the defects that the strip will carry."""
    rough = rng.random() < 0.45
    return Finish(
        level=rng.uniform(78, 182),
        shade=rng.uniform(4, 20),
        mottle=rng.uniform(3, 8) if rough else rng.uniform(1.5, 4),
        lines=rng.uniform(1.5, 6),
        grain=rng.uniform(5, 9) if rough else rng.uniform(2, 4.5),
        brushed=rng.uniform(4, 9) if rough else 0.0,
        angle=rng.uniform(-0.9, 0.9),
    )


def cloud(rng: Rng, shape: tuple[int, int], cell: tuple[float, float]) -> Field:
    """Smooth noise of about unit strength.

    Args:
        rng: Source of random numbers.
        shape: Rows and columns.
        cell: Size of a cloud in pixels: along rows' axis, along columns' axis.

    Returns:
        Field of ``shape``.
    """
    rows, columns = (max(4, round(n / c) + 3) for n, c in zip(shape, cell, strict=True))
    coarse = rng.standard_normal((rows, columns))
    return 1.3 * np.asarray(
        cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float64
    )


def blurred(field: Field, sigma_y: float, sigma_x: float | None = None) -> Field:
    """Gaussian blur with mirrored borders; sigmas in pixels."""
    sigma_x = sigma_y if sigma_x is None else sigma_x
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y), np.float64)


def steel(rng: Rng, shape: tuple[int, int], finish: Finish) -> Field:
    """Draw the bare surface of one strip; it is rolled along the rows' axis.

    Args:
        rng: Source of random numbers.
        shape: Rows and columns.
        finish: Strengths of the parts.

    Returns:
        Grey values of ``shape``, not yet rounded or clipped.
    """
    height, width = shape
    light = cloud(rng, shape, (height / 1.5, width / 2)) * finish.shade
    fine_lines = cloud(rng, shape, (height / 3, 3)) + 0.8 * cloud(rng, shape, (height / 2, 14))
    mottle = cloud(rng, shape, (22, 16)) + 0.6 * cloud(rng, shape, (7, 5))
    grain = blurred(rng.standard_normal(shape), 0.7, 0.6) * 1.9
    surface = finish.level + light + fine_lines * finish.lines
    surface += mottle * finish.mottle + grain * finish.grain
    if finish.brushed:
        surface += _brushed(rng, shape, finish.angle) * finish.brushed
    return surface


def _brushed(rng: Rng, shape: tuple[int, int], angle: float) -> Field:
    """White noise drawn out along ``angle`` (radians, from the columns' axis), of unit strength."""
    y, x = np.mgrid[-4:5, -4:5].astype(np.float64)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * (along / 2.0) ** 2 - 0.5 * (across / 0.6) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.asarray(cv2.filter2D(rng.standard_normal(shape), -1, kernel), np.float64)
