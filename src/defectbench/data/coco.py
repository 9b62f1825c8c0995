"""Reading a dataset folder: annotations, image files, parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConversionError, SplitError
from ..base.files import read_json

Grey = NDArray[np.uint8]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Coco:
    """Annotations of a dataset or of the protocol ``paper``, by image.

    Attributes:
        images: COCO image entries by file name, in order.
        boxes: COCO annotations by image id.
        classes: Class names by category id.
    """

    images: dict[str, dict[str, Any]]
    boxes: dict[int, list[dict[str, Any]]]
    classes: list[str]

    def dominant_class(self, file_name: str) -> int:
        """Most frequent class of an image (the lower id on a tie); -1 for a defect-free one."""
        counts = Counter(box["category_id"] for box in self.boxes[self.images[file_name]["id"]])
        return min(counts, key=lambda c: (-counts[c], c)) if counts else -1


def read_coco(path: str | Path) -> Coco:
    """Read an ``annotations.json``."""
    content = read_json(path)
    boxes: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        boxes[annotation["image_id"]].append(annotation)
    images = {image["file_name"]: image for image in content["images"]}
    classes = [c["name"] for c in sorted(content["categories"], key=lambda c: c["id"])]
    return Coco(images, boxes, classes)


def protocol_coco(dataset_dir: str | Path, protocol: str) -> tuple[Coco, Path]:
    """Annotations and image folder of a protocol; ``paper`` has its own."""
    folder = Path(dataset_dir) / "paper" if protocol == "paper" else Path(dataset_dir)
    return read_coco(folder / "annotations.json"), folder / "images"


def read_grey(path: Path) -> Grey:
    """Decode an image as grey, uint8 [H, W].

    Raises:
        ConversionError: It cannot be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ConversionError(path, "image", "undecodable", "get a whole copy")
    return np.asarray(image, np.uint8)


def read_part(dataset_dir: str | Path, protocol: str, part: str) -> list[str]:
    """File names of one part.

    Raises:
        SplitError: The list is missing, empty or names an image twice.
    """
    path = Path(dataset_dir) / protocol / f"{part}.txt"
    if not path.is_file():
        raise SplitError(path, "file", "nothing", "run `defectbench split` first")
    names = path.read_text().split("\n")[:-1]
    if not names or len(set(names)) != len(names):
        raise SplitError(
            path, "file names", len(names), "each image once, at least one; split again"
        )
    return names


def source_stem(file_name: str) -> str:
    """Stem of the original that an image of ``paper`` was made from; its own stem otherwise."""
    return Path(file_name).stem.split("__aug")[0]
