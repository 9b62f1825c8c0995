"""Which images show the same surface? Found from pixels, by candidates of an index and a proof of each.

Shifted crops, flipped and turned copies, and crops that are turned, mirrored or at another scale as well.
A lamp or a frame that all images of a size show at one place is taken out first. What it cannot see:
overlaps under a fifth of a side, some of those under a fifth of the area, and scales further apart than
three. Every count made from it is therefore a lower bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..base.errors import SplitError
from ..base.files import atomic_path, sha256_file
from ..base.records import usable_cores
from .coco import Grey, read_coco, read_grey
from .d4 import symmetric_pairs
from .disk_list import DiskList
from .fixture import find_fixtures
from .phase import ACCEPT, PROOF, resized, shifted_pairs
from .surface_index import View, find_candidates
from .turned import Turned, proven

Item = TypeVar("Item")
Result = TypeVar("Result")
SHIFT, SYMMETRY, TURNED, RESCALED = "shift", "symmetry", "turned", "rescaled"
AT_ONCE = 64  # images
LATER_COLUMNS = ("turn", "zoom", "mirrored")  # not in tables of earlier releases


@dataclass(frozen=True)
class FileOverlap:
    """Two images that share surface.

    Attributes:
        image_a: File name.
        image_b: File name; image_a < image_b.
        dx: Column of image_b's origin in image_a, pixels.
        dy: Row of image_b's origin in image_a, pixels.
        correlation: Agreement of the fine residual where they overlap, -1..1.
        shared_area: Overlap as a share of the smaller image.
        kind: ``shift``; ``symmetry`` for a flipped or turned copy of the whole (no shift is given);
            ``turned`` for another part that is turned or mirrored; ``rescaled`` for another scale.
        turn: Degrees clockwise by which image_b has to be turned to lie in image_a.
        zoom: Pixels of image_a per pixel of image_b.
        mirrored: 1 if image_b has to be mirrored, left to right, before it is turned; otherwise 0.
    """

    image_a: str
    image_b: str
    dx: int
    dy: int
    correlation: float
    shared_area: float
    kind: str
    turn: float = 0.0
    zoom: float = 1.0
    mirrored: int = 0

    @property
    def names(self) -> tuple[str, str]:
        """Both file names."""
        return self.image_a, self.image_b


def find_overlaps(dataset_dir: str | Path, accept: float = ACCEPT) -> list[FileOverlap]:
    """Find all pairs of images that share surface and write ``overlaps.csv``.

    Args:
        dataset_dir: ``results/data/<dataset>`` with ``images/`` and ``annotations.json``.
        accept: Least correlation of the fine residuals of a shifted pair.

    Returns:
        The pairs, sorted by names.

    Raises:
        ConversionError: An image cannot be decoded.
    """
    folder = Path(dataset_dir)
    names = sorted(read_coco(folder / "annotations.json").images)
    files = [folder / "images" / name for name in names]
    overlaps: dict[tuple[int, int], tuple[Any, ...]] = {}
    with TemporaryDirectory(prefix="defectbench-") as scratch:
        pictures, scale = comparable_pictures(files, Path(scratch))
        side = max((max(shape) for shape in pictures.shapes), default=1)
        candidates = find_candidates(pictures, side)
        for view in _proven(candidates.views, pictures):
            kind = RESCALED if view.rescaled else TURNED
            place = (round(view.dx / scale), round(view.dy / scale), view.correlation, view.share)
            turns = (view.turn, view.zoom, int(view.mirrored))
            overlaps[view.i, view.j] = (*place, kind, *turns)
        for i, j, value in symmetric_pairs(pictures):
            overlaps[i, j] = (0, 0, value, 1.0, SYMMETRY)
        for i, j in _equal_files(files):
            overlaps[i, j] = (0, 0, 1.0, 1.0, SHIFT)
        for i, j, dx, dy, *figures in shifted_pairs(pictures, candidates.shifts, accept, side):
            overlaps[i, j] = (round(dx / scale), round(dy / scale), *figures, SHIFT)
    pairs = [FileOverlap(names[i], names[j], *overlaps[i, j]) for i, j in sorted(overlaps)]
    _write_overlaps(folder / "overlaps.csv", pairs)
    return pairs


def comparable_pictures(files: Sequence[Path], folder: Path) -> tuple[DiskList, float]:
    """The images as they are compared, of at most 400 pixels a side and without fixtures, and their scale."""
    sides = _in_turn(lambda file: max(read_grey(file).shape), files)
    scale = min(1.0, PROOF / max(sides, default=1))

    def picture(file: Path) -> Grey:
        return np.rint(resized(read_grey(file), scale)).clip(0, 255).astype(np.uint8)

    whole = DiskList(folder / "pictures", _in_turn(picture, files), np.uint8)
    fixtures = find_fixtures(whole, whole.shapes)
    if not fixtures:
        return whole, scale

    def alone(row: int) -> Grey:
        fixture = fixtures.get(whole.shapes[row])
        return fixture.taken_out(whole[row]) if fixture else whole[row]

    return DiskList(folder / "alone", _in_turn(alone, range(len(whole))), np.uint8), scale


def _in_turn(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What a function makes of each item, in order, a few at once on all cores."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(items), AT_ONCE):
            yield from pool.map(function, items[start : start + AT_ONCE])


def _proven(views: Sequence[View], pictures: Sequence[Grey]) -> Iterator[Turned]:
    for turned in _in_turn(lambda view: proven(view, pictures[view.i], pictures[view.j]), views):
        if turned is not None:
            yield turned


def _write_overlaps(path: Path, pairs: list[FileOverlap]) -> None:
    table = pd.DataFrame([astuple(p) for p in pairs], columns=[f.name for f in fields(FileOverlap)])
    with atomic_path(path) as part:
        table.to_csv(part, index=False, float_format="%.4f")


def read_overlaps(dataset_dir: str | Path) -> list[FileOverlap]:
    """Read ``overlaps.csv``.

    Raises:
        SplitError: It is missing or lacks a column.
    """
    path = Path(dataset_dir) / "overlaps.csv"
    if not path.is_file():
        raise SplitError(path, "file", "nothing", "run `defectbench find-overlaps` first")
    columns = [field.name for field in fields(FileOverlap)]
    earlier = columns[: -len(LATER_COLUMNS)]
    types: Any = dict.fromkeys(columns, float) | {"mirrored": int}
    types |= dict.fromkeys(("image_a", "image_b", "kind"), str)
    try:
        table = pd.read_csv(path, dtype=types)
    except ValueError as error:  # damaged lines, figures or letters
        fix = "run `defectbench find-overlaps` again"
        raise SplitError(path, "content", " ".join(str(error).split()), fix) from error
    if list(table.columns) not in (columns, earlier):
        fix = f"columns {columns} are needed; run `defectbench find-overlaps` again"
        raise SplitError(path, "columns", list(table.columns), fix)
    return [FileOverlap(*row) for row in table.itertuples(index=False, name=None)]


def check_known(path: Path, overlaps: list[FileOverlap], images: set[str]) -> None:
    """Check that ``overlaps.csv`` belongs to a dataset.

    Raises:
        SplitError: It names an image that the dataset does not hold.
    """
    for pair in overlaps:
        for name in pair.names:
            if name not in images:
                raise SplitError(path, "file name", name, "run `defectbench find-overlaps` again")


def series(file_name: str) -> tuple[str, int]:
    """Prefix and index of a name; index 0 where it has none.

    Example:
        >>> series("crazing_12.jpg")
        ('crazing_', 12)
    """
    prefix, index = re.fullmatch(r"(.*?)(\d*)", Path(file_name).stem, re.DOTALL).groups()  # type: ignore[union-attr]
    return prefix, int(index or 0)


def _equal_files(files: list[Path]) -> list[tuple[int, int]]:
    """Pairs of files with the same bytes: each with the first of its kind."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(sha256_file(file), row), row) for row, file in enumerate(files)]
    return [(i, j) for i, j in pairs if i != j]
