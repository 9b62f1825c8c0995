"""Lists to publish for a set for classification, drawn from its registered hashes alone.

The rule is that of collaborative filter pruning (CFP): a fifth of each class for test, rounded up,
and a thin training list of the first images of each class. Equal files stay on one side, and CFP's
training part gives a tenth of the set, rounded down, for validation.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ..base.cards import DatasetCard
from ..base.errors import ConfigError
from ..base.files import atomic_path
from .manifest import read_manifest
from .pairing import IMAGE_SUFFIXES, natural

TRAIN_PERCENT, VAL_PERCENT = 80, 10
Row = tuple[str, str]  # file name and part, or file name and class


def draw_lists(
    card: DatasetCard, counts: Mapping[str, int] | None = None, seed: int = 0
) -> tuple[list[Row], list[Row]]:
    """Draw the parts of a set and a thin training list.

    Args:
        card: A set whose classes are told by folders, with a list of hashes.
        counts: Images a class in the thin list, 0 where a class is not named.
        seed: Seed of the order of the images of each class.

    Returns:
        Rows of file name and part, classes and images in the order drawn; rows of file name and
        class, the first training rows of each class.

    Raises:
        ConfigError: The card has no list, tells classes otherwise, or a count is not to be had.
    """
    if card.source.manifest is None or not card.layout.label_format.folder_is_class:
        fix = "it needs a `manifest` and the format `folders`"
        raise ConfigError(card.name, "layout.format", card.layout.format, fix)
    hashes = read_manifest(card.folder / card.source.manifest)
    members: dict[str, dict[str, list[str]]] = {name: defaultdict(list) for name in card.classes}
    # sets of two tasks may share one list: the labels of the other are passed over
    images = [path for path in hashes if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    for path in sorted(images or hashes, key=natural):
        class_id = card.class_id(PurePosixPath(path).parent.name)
        if class_id is None or card.layout.holds(PurePosixPath(path)) != "images":
            raise ConfigError(card.name, "manifest", path, "list images in folders of classes only")
        members[card.classes[class_id]][hashes[path]].append(PurePosixPath(path).name)
    rows: list[Row] = []
    thin: list[Row] = []
    for number, (name, copies) in enumerate(members.items()):
        drawn = _draw(list(copies.values()), np.random.default_rng([seed, number]))
        rows += drawn
        first = [file for file, part in drawn if part == "train"][: (counts or {}).get(name, 0)]
        if len(first) < (counts or {}).get(name, 0):
            fix = "ask for fewer images of this class"
            raise ConfigError(card.name, f"counts.{name}", len(first), fix)
        thin += [(file, name) for file in first]
    return rows, thin


def _draw(units: Sequence[list[str]], rng: np.random.Generator) -> list[Row]:
    """Rows of one class: a unit of equal files goes to test or val only if it fits as a whole."""
    total = sum(len(unit) for unit in units)
    open_places = {
        "test": total - total * TRAIN_PERCENT // 100,
        "val": total * VAL_PERCENT // 100,
        "train": total,
    }
    parts: dict[str, list[Row]] = {part: [] for part in ("train", "val", "test")}
    for k in rng.permutation(len(units)):
        part = next(part for part, left in open_places.items() if left >= len(units[k]))
        open_places[part] -= len(units[k])
        parts[part] += [(name, part) for name in units[k]]
    return [row for part in parts.values() for row in part]


def write_rows(path: str | Path, head: Row, rows: Sequence[Row]) -> None:
    """Write rows of two columns as CSV."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerows([head, *rows])
