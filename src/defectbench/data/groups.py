"""Groups: images that share surface, directly or through others, stay on one side of a split.

So do images that a card groups by their names: of one board, one coil, one photograph.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pandas as pd

from ..base.cards import DatasetCard
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


def named_groups(card: DatasetCard, names: Iterable[str]) -> dict[str, list[str]]:
    """File names by the group that a card's rule gives them; nothing where it has no rule.

    Raises:
        SplitError: The rule does not fit a name: that image would be kept apart from its like.
    """
    members: dict[str, list[str]] = {}
    if card.grouping is None:
        return members
    for name in sorted(names):
        group = card.grouping.group_of(Path(name).stem)
        if group is None:
            rule = card.grouping.pattern or f"a number, modulo {card.grouping.modulus}"
            fix = f"mend `grouping` in the card of {card.name}, which asks for {rule}"
            raise SplitError(card.folder / f"{card.name}.yaml", "grouping", name, fix)
        members.setdefault(group, []).append(name)
    return members


def group_images(dataset_dir: str | Path, card: DatasetCard | None = None) -> dict[str, int]:
    """Make ``groups.csv`` of a dataset from its annotations, ``overlaps.csv`` and the rule of its card.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        card: The dataset's card; None where it is known to have no rule.

    Returns:
        Group by file name.

    Raises:
        SplitError: ``overlaps.csv`` is missing or names other images, or the rule does not fit a name.
    """
    folder = Path(dataset_dir)
    coco = read_coco(folder / "annotations.json")
    overlaps = read_overlaps(folder)
    check_known(folder / "overlaps.csv", overlaps, set(coco.images))
    links = [pair.names for pair in overlaps]
    for members in (named_groups(card, coco.images) if card else {}).values():
        links += pairwise(members)
    groups = connected(sorted(coco.images), links)
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
