"""Test images as small files that pages share, each named by the hash of what it holds.

Images stay where they are made: those of a dataset without a licence are not to be published.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image

from ...base.errors import ReportError
from ...data.coco import read_pixels

LONGEST = 640  # pixels of a side of what is shown
QUALITY = 70


@dataclass(frozen=True)
class Photo:
    """An image as pages show it.

    Attributes:
        file: Its name in the folder of images.
        width: Pixels of the original, which boxes are in.
        height: The same.
    """

    file: str
    width: int
    height: int


class Photos:
    """Images of a report; one that is asked for twice is made once.

    Args:
        folder: Gets the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Path, Photo] = {}

    def add(self, path: Path) -> Photo:
        """Make the small file of an image.

        Raises:
            ReportError: It is missing or cannot be decoded.
        """
        if path not in self._made:
            self._made[path] = self._make(path)
        return self._made[path]

    def _make(self, path: Path) -> Photo:
        pixels = read_pixels(path, cv2.IMREAD_COLOR)
        if pixels is None:
            fix = "make it with: snakemake --cores 8 datasets"
            raise ReportError(path, "image", "nothing readable", fix)
        height, width = pixels.shape[:2]
        picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        picture.thumbnail((LONGEST, LONGEST))
        data = io.BytesIO()
        picture.save(data, "WEBP", quality=QUALITY, method=4)
        name = f"{hashlib.sha256(data.getvalue()).hexdigest()[:16]}.webp"
        (self._folder / name).write_bytes(data.getvalue())
        return Photo(name, width, height)
