"""A sheet of sample images with their true boxes, for the documentation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.cards import DefectLook
from ..base.files import atomic_write_bytes
from .synthetic import CLASSES, SIZE, Box, Crop, draw_crops
from .synthetic_defects import AS_DRAWN

# Blue, green, red; after Okabe and Ito, told apart by colour-blind readers too.
COLOURS = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (167, 121, 204),
    (0, 94, 213),
)
GAP_PX, LEGEND_PX = 6, 30

Picture = NDArray[np.uint8]


def render_sheet(
    out_png: str | Path,
    seed: int = 0,
    columns: int = 6,
    rows: int = 4,
    tile: int = 160,
    look: DefectLook = AS_DRAWN,
) -> None:
    """Draw images of the set in a grid: a column for each class, one image a strip.

    Args:
        out_png: File to write.
        seed: Seed of the set.
        columns: Images side by side.
        rows: Images above each other.
        tile: Side of an image on the sheet, pixels.
        look: How plainly the defects show.
    """
    crops = _samples(seed, columns, rows, look)
    tiles = [draw_boxes(crop.pixels, crop.boxes, tile) for crop in crops]
    step, width = tile + GAP_PX, columns * (tile + GAP_PX) + GAP_PX
    sheet = np.full((rows * step + GAP_PX + LEGEND_PX, width, 3), 255, np.uint8)
    for number, picture in enumerate(tiles):
        y, x = GAP_PX + number // columns * step, GAP_PX + number % columns * step
        sheet[y : y + tile, x : x + tile] = picture
    _draw_legend(sheet, rows * step + GAP_PX)
    done, png = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done  # an 8-bit picture can always be coded
    atomic_write_bytes(out_png, png.tobytes())


def draw_boxes(pixels: NDArray[np.uint8], boxes: list[Box], side: int) -> Picture:
    """Scale a grey image to ``side`` pixels and draw its boxes, uint8 BGR [side, side, 3]."""
    scale = side / pixels.shape[0]
    picture = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    for name, *corners in boxes:
        x0, y0, x1, y1 = (round(corner * scale) for corner in corners)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), COLOURS[CLASSES.index(name)], 1)
    return np.asarray(picture, np.uint8)


def _samples(seed: int, columns: int, rows: int, look: DefectLook) -> list[Crop]:
    """One crop a strip, column by class of the strip; the last column's foot shows bare steel."""
    wanted: list[list[Crop]] = [[] for _ in range(columns)]
    bare: list[Crop] = []
    seen: set[int] = set()
    for crop in draw_crops(seed, 40 * rows, SIZE, look):
        if crop.group in seen:
            continue
        seen.add(crop.group)
        names = [box[0] for box in crop.boxes]
        leading = max(CLASSES, key=names.count) if names else None
        (bare if leading is None else wanted[CLASSES.index(leading) % columns]).append(crop)
    picked = [wanted[k % columns][k // columns] for k in range(rows * columns)]
    return [*picked[:-1], bare[0]]


def _draw_legend(sheet: Picture, y: int) -> None:
    step = sheet.shape[1] // len(CLASSES)
    for number, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
        x = GAP_PX + number * step
        cv2.rectangle(sheet, (x, y + 8), (x + 13, y + 21), colour, -1)
        corner = (x + 19, y + 19)
        cv2.putText(sheet, name, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1)
