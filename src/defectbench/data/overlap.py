"""Which images show the same surface? Shifted crops and turned copies, found from pixels.

What it cannot see: overlaps under a fifth of a side and some of those under a fifth of the area,
shifted crops that are turned or mirrored as well, and crops at another scale. Every count made from
it is therefore a lower bound.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.cards import DatasetCard
from ..base.errors import SplitError
from ..base.files import atomic_path, sha256_file
from .coco import Coco, read_coco, read_grey
from .d4 import symmetric_pairs
from .phase import ACCEPT, shifted_pairs

ALL_PAIRS_LIMIT = 2000


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
        kind: ``shift``, or ``symmetry`` for a flipped or turned copy (no shift is given).
    """

    image_a: str
    image_b: str
    dx: int
    dy: int
    correlation: float
    shared_area: float
    kind: str

    @property
    def names(self) -> tuple[str, str]:
        """Both file names."""
        return self.image_a, self.image_b


def find_overlaps(
    dataset_dir: str | Path, accept: float = ACCEPT, card: DatasetCard | None = None
) -> list[FileOverlap]:
    """Find all pairs of images that share surface and write ``overlaps.csv``.

    Args:
        dataset_dir: ``results/data/<dataset>`` with ``images/`` and ``annotations.json``.
        accept: Least correlation of the fine residuals of a shifted pair.
        card: The dataset's card; where its groups are known to show different pieces, surfaces are compared within a
            group alone.

    Returns:
        The pairs, sorted by names.

    Raises:
        ConversionError: An image cannot be decoded.
    """
    folder = Path(dataset_dir)
    coco = read_coco(folder / "annotations.json")
    names = sorted(coco.images)
    images = [read_grey(folder / "images" / name) for name in names]
    may = may_share(card, names)
    overlaps: dict[tuple[int, int], tuple[Any, ...]] = {
        (i, j): (0, 0, value, 1.0, "symmetry") for i, j, value in symmetric_pairs(images, may)
    }
    for i, j in _equal_files([folder / "images" / name for name in names]):
        overlaps[i, j] = (0, 0, 1.0, 1.0, "shift")
    for i, j, *figures in shifted_pairs(images, comparable(coco, names) & may, accept):
        overlaps[i, j] = (*figures, "shift")
    pairs = [FileOverlap(names[i], names[j], *overlaps[i, j]) for i, j in sorted(overlaps)]
    _write_overlaps(folder / "overlaps.csv", pairs)
    return pairs


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
    texts = ("image_a", "image_b", "kind")
    try:
        table = pd.read_csv(path, dtype={name: str if name in texts else float for name in columns})
    except ValueError as error:  # damaged lines, figures or letters
        fix = "run `defectbench find-overlaps` again"
        raise SplitError(path, "content", " ".join(str(error).split()), fix) from error
    if list(table.columns) != columns:
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


def comparable(coco: Coco, names: list[str]) -> NDArray[np.bool_]:
    """Which pairs [N, N] the finder looks at.

    All of them in a set of up to 2,000 images. In a larger one those that share any class or the
    series of their names (``<series>_<index>``), and every pair with a defect-free image. On
    NEU-DET that rule would miss 2 of 2,184 pairs, and the most frequent class alone 125.
    """
    if len(names) <= ALL_PAIRS_LIMIT:
        return np.ones((len(names), len(names)), bool)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        members[series(name)[0]].append(row)
        for box in coco.boxes[coco.images[name]["id"]]:
            members[int(box["category_id"])].append(row)
    related = np.zeros((len(names), len(names)), bool)
    for rows in members.values():
        related[np.ix_(rows, rows)] = True
    free = [not coco.boxes[coco.images[name]["id"]] for name in names]
    related[free, :] = True
    related[:, free] = True
    return related


def may_share(card: DatasetCard | None, names: list[str]) -> NDArray[np.bool_]:
    """Which pairs [N, N] may show one surface, as far as the card's groups are known to show different pieces."""
    rule = None if card is None else card.grouping
    if rule is None or not rule.apart:
        return np.ones((len(names), len(names)), bool)
    groups = np.array([rule.group_of(Path(name).stem) or name for name in names])
    return groups[:, None] == groups[None, :]


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
