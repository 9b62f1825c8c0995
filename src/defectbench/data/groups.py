"""Groups: images that share surface, directly or through others, stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..base.errors import SplitError
from ..base.files import atomic_path
from .coco import read_coco
from .overlap import check_known, read_overlaps


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

    Raises:
        SplitError: ``overlaps.csv`` is missing or names other images.
    """
    folder = Path(dataset_dir)
    coco = read_coco(folder / "annotations.json")
    overlaps = read_overlaps(folder)
    check_known(folder / "overlaps.csv", overlaps, set(coco.images))
    groups = connected(sorted(coco.images), [pair.names for pair in overlaps])
    rows = [(coco.images[name]["id"], name, group) for name, group in groups.items()]
    with atomic_path(folder / "groups.csv") as part:
        pd.DataFrame(rows, columns=["image_id", "file_name", "group"]).to_csv(part, index=False)
    return groups


def read_groups(dataset_dir: str | Path) -> dict[str, int]:
    """Group by file name, from ``groups.csv``.

    Raises:
        SplitError: It is missing, lacks a column, holds something that is no group, or two groups of one image.
    """
    path = Path(dataset_dir) / "groups.csv"
    if not path.is_file():
        raise SplitError(path, "file", "nothing", "run `defectbench group` first")
    try:
        table = pd.read_csv(path, dtype={"file_name": str, "group": int})
        rows = list(zip(table["file_name"], table["group"].tolist(), strict=True))
    except (KeyError, ValueError) as error:
        raise SplitError(path, "content", str(error), "run `defectbench group` again") from error
    groups: dict[str, int] = {}
    for name, group in rows:
        if groups.setdefault(name, group) != group:
            raise SplitError(path, f"groups of {name}", group, "run `defectbench group` again")
    return groups
