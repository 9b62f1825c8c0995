"""Reading a dataset folder: annotations, image files, parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConfigError, ConversionError, DefectBenchError, SplitError
from ..base.places import truth_folder
from ..base.tasks import DETECTION, task_named
from ..base.texts import read_text
from .damage import damage_named
from .truth import check_dataset, read_truth, task_of

Grey = NDArray[np.uint8]
Corners = tuple[float, float, float, float]
PARTS = ("train", "val", "test")
DEFECT_FREE = -1  # stands for the class of an image that shows none
SOURCE = "source_file_name"  # field of an image entry of `paper`: the original's file name


@dataclass(frozen=True)
class Coco:
    """Annotations of a dataset or of the protocol ``paper``, by image.

    Attributes:
        images: COCO image entries by file name, in order.
        boxes: COCO annotations by image id.
        classes: Class names by category id.
        task: Its name. Where it is to find no boxes, an image has one, the whole image, or none: it is free of defects.
    """

    images: dict[str, dict[str, Any]]
    boxes: dict[int, list[dict[str, Any]]]
    classes: list[str]
    task: str = DETECTION.name

    def source(self, file_name: str) -> str:
        """File name of the original that an image of ``paper`` was made from; its own name otherwise."""
        return source_name(self.images[file_name])

    def dominant_class(self, file_name: str) -> int:
        """Most frequent class of an image (the lower id on a tie); ``DEFECT_FREE`` where it shows none."""
        counts = Counter(box["category_id"] for box in self.boxes[self.images[file_name]["id"]])
        return min(counts, key=lambda c: (-counts[c], c)) if counts else DEFECT_FREE

    def shows_defect(self, file_name: str) -> bool:
        """Whether an image has a box, which is the whole image where images have one class."""
        return bool(self.boxes[self.images[file_name]["id"]])


def read_coco(path: str | Path) -> Coco:
    """Read an ``annotations.json``.

    Raises:
        ConfigError: It is missing or is not JSON.
        MeasurementError: It holds something else than a dataset; names the entry, the field and the value.
    """
    content = read_truth(path)
    check_dataset(content, path)
    boxes: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        boxes[annotation["image_id"]].append(annotation)
    images = {image["file_name"]: image for image in content["images"]}
    classes = [c["name"] for c in sorted(content["categories"], key=lambda c: c["id"])]
    return Coco(images, boxes, classes, task_of(content))


def read_detection(path: str | Path) -> dict[str, Any]:
    """Content of an ``annotations.json`` whose boxes are to be found.

    Raises:
        ConfigError: It is a dataset of another task; its boxes are whole images.
        MeasurementError: It holds something else than a dataset.
    """
    content = read_truth(path)
    if not task_named(task_of(content)).finds_boxes:
        raise ConfigError(path, "task", task_of(content), "this step needs a detection dataset")
    return content


def coco_content(
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    classes: Sequence[str],
    task: str = DETECTION.name,
) -> dict[str, Any]:
    """The content of an ``annotations.json``; it names its task where that is not detection."""
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return content if task == DETECTION.name else {"info": {"task": task}, **content}


def annotation(number: int, image_id: int, class_id: int, corners: Corners) -> dict[str, Any]:
    """A COCO annotation of a box, given by its corners x0, y0, x1, y1 in pixels."""
    x0, y0, x1, y1 = corners
    width, height = x1 - x0, y1 - y0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": class_id,
        "bbox": [x0, y0, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def protocol_coco(dataset_dir: str | Path, protocol: str, split_seed: int = 0) -> tuple[Coco, Path]:
    """Annotations and image folder of a protocol; each split of ``paper`` has its own.

    Raises:
        SplitError: Images of ``paper`` do not name their originals.
    """
    folder = truth_folder(dataset_dir, protocol, split_seed)
    coco = read_coco(folder / "annotations.json")
    if folder != Path(dataset_dir):
        for name, image in coco.images.items():
            if SOURCE not in image:
                fix = "an earlier version made it; run `defectbench augment-offline` again"
                raise SplitError(folder / "annotations.json", SOURCE, f"nothing in {name}", fix)
    return coco, folder / "images"


def read_grey(path: Path) -> Grey:
    """Decode an image as grey, uint8 [H, W].

    Raises:
        ConversionError: It cannot be decoded.
    """
    with damage_named(path, ConversionError, "image", "get a whole copy"):
        image = read_pixels(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        seen = "undecodable" if path.is_file() else "nothing"
        raise ConversionError(path, "image", seen, "get a whole copy")
    return np.asarray(image, np.uint8)


def read_pixels(path: Path, flags: int) -> NDArray[Any] | None:
    """Decode an image by OpenCV, whatever the locale makes of its name.

    Args:
        path: The file.
        flags: Of ``cv2.imread``.

    Returns:
        Pixels; None where the file is missing or is no image.
    """
    if not path.is_file():
        return None
    return cv2.imdecode(np.fromfile(path, np.uint8), flags)


def read_part(parts: str | Path, part: str) -> list[str]:
    """File names of one part.

    Args:
        parts: Folder of the split, ``<protocol>/split<seed>``.
        part: ``train``, ``val`` or ``test``; of a thinned training part ``left_out`` too.

    Raises:
        SplitError: The list is missing, empty or names an image twice.
    """
    path = Path(parts) / f"{part}.txt"
    if not path.is_file():
        raise SplitError(path, "file", "nothing", "run `defectbench split` first")
    names = read_list(path, SplitError)
    if not names or len(set(names)) != len(names):
        raise SplitError(
            path, "file names", len(names), "each image once, at least one; split again"
        )
    return names


def read_list(path: str | Path, kind: type[DefectBenchError]) -> list[str]:
    """File names of a list, one a line; the end of the last line may lack, and a byte order mark does no harm.

    Args:
        path: The list.
        kind: What is raised where it is none.

    Raises:
        DefectBenchError: Of that kind: it is missing, or a line is not UTF-8.
    """
    try:
        lines = read_text(path, kind).split("\n")
    except FileNotFoundError as error:
        raise kind(path, "file", "nothing", "split the dataset first") from error
    return [line.removesuffix("\r") for line in lines if line.strip()]


def source_name(image: dict[str, Any]) -> str:
    """File name of the original of a COCO image entry: copies of ``paper`` name theirs, all others are their own."""
    return str(image.get(SOURCE, image["file_name"]))
