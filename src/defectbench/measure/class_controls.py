"""Controls of classification: programs that learn nothing.

``class_prior`` says the shares of the classes in training for every image, hence the commonest class. ``memoriser``
says the class of the training images that show the same surface, and the prior where none does: what a split leaks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConfigError
from ..base.files import atomic_write_json
from ..base.places import parts_folder
from ..data.coco import Coco, protocol_coco, read_part
from ..data.overlap import read_overlaps

Shares = NDArray[np.float64]
Votes = dict[str, Shares]


def control_classes(
    kind: str,
    dataset_dir: str | Path,
    protocol: str,
    out: str | Path,
    seed: int = 0,
    split_seed: int = 0,
) -> None:
    """Write the class probabilities of a control for the test part.

    Args:
        kind: ``memoriser`` or ``class_prior``.
        dataset_dir: ``results/data/<dataset>`` of a set for classification.
        protocol: How the parts were made.
        out: The file to make: a list of ``image_id`` and ``probabilities``.
        seed: Seed of what is drawn: nothing is.
        split_seed: Seed of the split.

    Raises:
        ConfigError: There is no such control.
        SplitError: A list is missing.
    """
    if kind not in CLASS_CONTROLS:
        raise ConfigError(out, "control", kind, f"name one of {', '.join(CLASS_CONTROLS)}")
    folder = Path(dataset_dir)
    coco, _ = protocol_coco(folder, protocol, split_seed)
    parts = parts_folder(folder, protocol, split_seed)
    train, test = (read_part(parts, part) for part in ("train", "test"))
    predicted = CLASS_CONTROLS[kind](folder, coco, train, test)
    rows = [
        {"image_id": coco.images[name]["id"], "probabilities": predicted[name].round(6).tolist()}
        for name in test
    ]
    atomic_write_json(out, rows)


def class_shares(_folder: Path, coco: Coco, train: list[str], test: list[str]) -> Votes:
    """The shares of the classes in training, for every image."""
    counts = np.bincount([coco.dominant_class(name) for name in train], minlength=len(coco.classes))
    shares: Shares = counts / counts.sum()
    return dict.fromkeys(test, shares)


def remembered(folder: Path, coco: Coco, train: list[str], test: list[str]) -> Votes:
    """Classes of overlapping training images by correlation times shared area; copies of an image count fully."""
    votes_of = class_shares(folder, coco, train, test)
    copies: dict[str, list[str]] = {}
    for name in train:
        copies.setdefault(coco.source(name), []).append(name)
    partners: dict[str, list[tuple[str, float]]] = {}
    for pair in read_overlaps(folder):
        weight = pair.correlation * pair.shared_area
        a, b = pair.names
        partners.setdefault(a, []).append((b, weight))
        partners.setdefault(b, []).append((a, weight))
    for name in test:
        original = coco.source(name)
        votes = np.zeros(len(coco.classes))
        for partner, weight in [(original, 1.0), *partners.get(original, [])]:
            for other in copies.get(partner, []):
                votes[coco.dominant_class(other)] += max(weight, 0.0)
        if votes.any():
            votes_of[name] = votes / votes.sum()
    return votes_of


CLASS_CONTROLS: dict[str, Callable[[Path, Coco, list[str], list[str]], Votes]] = {
    "memoriser": remembered,
    "class_prior": class_shares,
}
