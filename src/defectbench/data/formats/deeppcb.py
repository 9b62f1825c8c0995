"""DeepPCB's lists: a text for each image, a line for each object: corners x1 y1 x2 y2, then its class number."""

from __future__ import annotations

import re
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from .label import EDGES, Label, LabelledBox, LabelledSet, read_files
from .values import numbered_lines, written_class, written_number
from .voc import COORDINATES


def open_deeppcb(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set with a text for each image; see ``BoxReader``."""
    layout = card.layout
    first = layout.first_pixel or 0
    return read_files(
        card,
        raw,
        lambda path, size: read_corners(path, dict(layout.names), first),
        coordinates=COORDINATES if first else EDGES,
        pixels=f"write pixels, counted from {first}",
    )


def read_corners(path: Path, names: dict[int, str], first_pixel: int = 0) -> Label:
    """Read one text, whose numbers are parted by blanks or commas.

    Args:
        path: The file.
        names: Class by number.
        first_pixel: 1 where corners are pixels that count from 1, and the last one belongs to the box; 0 where they
            are edges that count from 0.

    Raises:
        ConversionError: A line does not hold four corners and a class.
    """
    boxes = []
    for number, line in numbered_lines(path):
        field = f"line {number}"
        texts = re.split(r"\s*,\s*|\s+", line.strip())
        if len(texts) != 5:
            fix = "a line is x1 y1 x2 y2 and a class number, parted by blanks or commas"
            raise ConversionError(path, field, line[:80], fix)
        x0, y0, x1, y1 = (written_number(path, field, text) for text in texts[:4])
        name = written_class(path, f"{field} class", texts[4], names)
        corners = (x0 - first_pixel, y0 - first_pixel, x1, y1)
        boxes.append(LabelledBox(name, corners, f"{field} class", field))
    return Label(path.name, boxes)
