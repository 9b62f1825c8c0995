"""Groups: images that share surface, directly or through others, stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..base.files import atomic_path
from .coco import read_coco
from .overlap import read_overlaps


def connected(items: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Number of the connected component of each item; components are numbered by first item.

    Example:
        >>> connected("abcd", [("a", "c")])
        {'a': 0, 'b': 1, 'c': 0, 'd': 2}
    """
    parent = {item: item for item in items}

    def root(item: str) -> str:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in links:
        parent[root(a)] = root(b)
    numbers: dict[str, int] = {}
    return {item: numbers.setdefault(root(item), len(numbers)) for item in parent}


def group_images(dataset_dir: str | Path) -> dict[str, int]:
    """Make ``groups.csv`` of a dataset from its annotations and ``overlaps.csv``.

    Returns:
        Group by file name.
    """
    folder = Path(dataset_dir)
    coco = read_coco(folder / "annotations.json")
    groups = connected(coco.images, [(p.image_a, p.image_b) for p in read_overlaps(folder)])
    rows = [(coco.images[name]["id"], name, group) for name, group in groups.items()]
    with atomic_path(folder / "groups.csv") as part:
        pd.DataFrame(rows, columns=["image_id", "file_name", "group"]).to_csv(part, index=False)
    return groups


def read_groups(dataset_dir: str | Path) -> dict[str, int]:
    """Group by file name, from ``groups.csv``."""
    table = pd.read_csv(Path(dataset_dir) / "groups.csv")
    return dict(zip(table["file_name"], table["group"].astype(int), strict=True))
