"""What a control may know of a dataset: labels, parts, overlaps and where its images lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..base.errors import MeasurementError
from ..base.places import parts_folder, truth_folder
from ..data.coco import read_detection, read_part, source_name
from ..data.overlap import read_overlaps
from .agreement import Labels, Overlap, labels_by_image


@dataclass(frozen=True)
class Parts:
    """What a control may know.

    Attributes:
        labels: Boxes of all images, by image id.
        classes: Class ids.
        train: Ids of the training images.
        test: Ids of the test images.
        overlaps: Pairs of images of the same surface.
        files: Image files by image id.
        sources: File name of each image's original, by image id; its own where it is one.
        seed: Seed of what is drawn.
    """

    labels: dict[int, Labels]
    classes: list[int]
    train: list[int]
    test: list[int]
    overlaps: list[Overlap]
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
    return Parts(
        labels=labels_by_image(truth),
        classes=sorted(category["id"] for category in truth["categories"]),
        train=_listed(parts, "train", ids),
        test=_listed(parts, "test", ids),
        overlaps=_known_overlaps(dataset_dir, ids),
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


def _known_overlaps(dataset_dir: Path, ids: dict[str, int]) -> list[Overlap]:
    """Shifted pairs of images with annotations; flipped and turned copies are left out."""
    return [
        Overlap(ids[p.image_a], ids[p.image_b], p.dx, p.dy, p.correlation, p.shared_area)
        for p in read_overlaps(dataset_dir)
        if p.kind == "shift" and {p.image_a, p.image_b} <= set(ids)
    ]
