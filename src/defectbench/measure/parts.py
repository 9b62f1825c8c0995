"""What a control may know of a dataset: labels, parts, overlaps and where its images lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.errors import MeasurementError
from ..base.places import parts_folder, truth_folder
from ..data.coco import read_detection, read_part, source_name
from ..data.overlap import RESCALED, SHIFT, SYMMETRY, TURNED, FileOverlap, read_overlaps
from .agreement import Labels, Overlap, labels_by_image


@dataclass(frozen=True)
class TurnedView:
    """Two images of which one shows a part of the other turned, mirrored or at another scale.

    Attributes:
        first: Id of one image.
        second: Id of the other.
        matrix: [2, 3], from pixels of the second to pixels of the first.
        correlation: Of the two over the shared area.
        shared_area: Share of the smaller image's area that the other one shows.
    """

    first: int
    second: int
    matrix: NDArray[np.float64]
    correlation: float
    shared_area: float

    def reverse(self) -> TurnedView:
        """The same seen from the other image."""
        back = np.linalg.inv(np.vstack([self.matrix, [0.0, 0.0, 1.0]]))[:2]
        return TurnedView(self.second, self.first, back, self.correlation, self.shared_area)


@dataclass(frozen=True)
class Parts:
    """What a control may know.

    Attributes:
        labels: Boxes of all images, by image id.
        classes: Class ids.
        train: Ids of the training images.
        test: Ids of the test images.
        overlaps: Pairs of images of the same surface, shifted.
        turned: Pairs of which one shows a part of the other turned, mirrored or rescaled.
        copies: Pairs of which one is the other, mirrored or turned as a whole.
        files: Image files by image id.
        sources: File name of each image's original, by image id; its own where it is one.
        seed: Seed of what is drawn.
    """

    labels: dict[int, Labels]
    classes: list[int]
    train: list[int]
    test: list[int]
    overlaps: list[Overlap]
    turned: list[TurnedView]
    copies: list[tuple[int, int]]
    files: dict[int, Path]
    sources: dict[int, str]
    seed: int


def read_parts(dataset_dir: Path, protocol: str, seed: int, split_seed: int = 0) -> Parts:
    """Read what a control may know from a dataset's folder.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: How the parts were made.
        seed: Seed of what the control draws.
        split_seed: Seed of the split.

    Raises:
        SplitError: A list is missing.
        ConfigError: The dataset is for another task.
        MeasurementError: A list names an image without annotations.
    """
    home = truth_folder(dataset_dir, protocol, split_seed)
    parts = parts_folder(dataset_dir, protocol, split_seed)
    truth = read_detection(home / "annotations.json")
    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    pairs = [pair for pair in read_overlaps(dataset_dir) if {*pair.names} <= set(ids)]
    return Parts(
        labels=labels_by_image(truth),
        classes=sorted(category["id"] for category in truth["categories"]),
        train=_listed(parts, "train", ids),
        test=_listed(parts, "test", ids),
        overlaps=[_shift(pair, ids) for pair in pairs if pair.kind == SHIFT],
        turned=[_turned(pair, ids) for pair in pairs if pair.kind in (TURNED, RESCALED)],
        copies=[(ids[p.image_a], ids[p.image_b]) for p in pairs if p.kind == SYMMETRY],
        files={number: home / "images" / name for name, number in ids.items()},
        sources={image["id"]: source_name(image) for image in truth["images"]},
        seed=seed,
    )


def _listed(parts: Path, part: str, ids: dict[str, int]) -> list[int]:
    names = read_part(parts, part)
    for name in names:
        if name not in ids:
            fix = "make the split and the annotations from the same dataset"
            raise MeasurementError(parts / f"{part}.txt", "image", name, fix)
    return [ids[name] for name in names]


def _shift(pair: FileOverlap, ids: dict[str, int]) -> Overlap:
    """A shifted pair by ids."""
    figures = (pair.dx, pair.dy, pair.correlation, pair.shared_area)
    return Overlap(ids[pair.image_a], ids[pair.image_b], *figures)


def _turned(pair: FileOverlap, ids: dict[str, int]) -> TurnedView:
    """A turned, mirrored or rescaled pair by ids: the second is mirrored, then turned, then moved."""
    cosine, sine = math.cos(math.radians(pair.turn)), math.sin(math.radians(pair.turn))
    across = -1.0 if pair.mirrored else 1.0
    matrix = np.array([[cosine * across, -sine, 0.0], [sine * across, cosine, 0.0]]) * pair.zoom
    matrix[:, 2] = pair.dx, pair.dy
    figures = (matrix, pair.correlation, pair.shared_area)
    return TurnedView(ids[pair.image_a], ids[pair.image_b], *figures)
