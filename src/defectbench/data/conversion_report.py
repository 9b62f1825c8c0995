"""What a conversion found and changed, for ``conversion.json``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.files import sha256_file
from ..base.tasks import CLASSIFICATION
from .pairing import Decoded, LabelledImage
from .voc import VocLabel

COORDINATES = "1-based inclusive corners become 0-based: x0 = xmin - 1, x1 = xmax"


def identical_files(files: Mapping[str, Path]) -> list[list[str]]:
    """Names of images that are the same bytes, where there are several."""
    by_hash: dict[str, list[str]] = defaultdict(list)
    for name, path in files.items():
        by_hash[sha256_file(path)].append(name)
    return [names for names in by_hash.values() if len(names) > 1]


@dataclass
class ConversionReport:
    """Every change that a conversion made, by kind.

    Attributes:
        classes: Class names in order.
        labelled: Boxes in the labels.
        duplicates: Boxes dropped because the image has the same box of the same class.
        clipped: Boxes cut at the edge of the image.
        dropped: Objects whose name the card drops.
        renamed: How often an alias was met.
        file_names: Labels whose ``filename`` is not their image's.
        sizes: Labels whose width or height is not their image's.
        depths: Number of labels whose depth is not their image's number of channels.
        identical: Images that are the same bytes.
        ignored: Files that are neither images nor labels.
    """

    classes: Sequence[str]
    labelled: int = 0
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    clipped: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    renamed: dict[str, int] = field(default_factory=dict)
    file_names: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[dict[str, Any]] = field(default_factory=list)
    depths: int = 0
    identical: list[list[str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def compare(self, pair: LabelledImage, label: VocLabel, decoded: Decoded) -> None:
        """Note what a label says wrongly of its image."""
        if label.file_name != pair.image.name:
            self.file_names.append({"label": pair.label.name, "filename": label.file_name})
        size = [decoded.width, decoded.height]
        if list(label.size[:2]) != size:
            sizes = {"labelled": list(label.size[:2]), "decoded": size}
            self.sizes.append({"label": pair.label.name, **sizes})
        self.depths += label.size[2] != decoded.channels

    def add_duplicate(self, label: Path, class_id: int, corners: Sequence[float]) -> None:
        """Note a dropped duplicate; its corners are 0-based."""
        name = self.classes[class_id]
        self.duplicates.append({"label": label.name, "name": name, "box": list(corners)})

    def counts(self, coco: dict[str, Any]) -> dict[str, Any]:
        """Images and boxes: labelled, dropped as duplicates, kept, kept by class."""
        per_class = Counter(self.classes[box["category_id"]] for box in coco["annotations"])
        return {
            "images": len(coco["images"]),
            "boxes_labelled": self.labelled,
            "duplicates": len(self.duplicates),
            "boxes": len(coco["annotations"]),
            "boxes_per_class": {name: per_class[name] for name in self.classes},
        }

    def as_json(self, dataset: str, coco: dict[str, Any]) -> dict[str, Any]:
        """The content of ``conversion.json``."""
        kinds: dict[int, set[int]] = {image["id"]: set() for image in coco["images"]}
        for box in coco["annotations"]:
            kinds[box["image_id"]].add(box["category_id"])
        return {
            "dataset": dataset,
            **self.counts(coco),
            "images_without_defect": sum(not classes for classes in kinds.values()),
            "images_of_several_classes": sum(len(classes) > 1 for classes in kinds.values()),
            "boxes_unlike_file_name": self._unlike_file_name(coco),
            "coordinates": COORDINATES,
            "duplicate_boxes_dropped": self.duplicates,
            "boxes_clipped": self.clipped,
            "labels_dropped": self.dropped,
            "names_mapped": self.renamed,
            "file_name_fields_ignored": self.file_names,
            "size_fields_ignored": self.sizes,
            "depth_fields_ignored": self.depths,
            "identical_images": self.identical,
            "files_ignored": self.ignored,
        }

    def _unlike_file_name(self, coco: dict[str, Any]) -> int:
        """Boxes of another class than the one that their image's file name begins with."""
        hinted: dict[int, int] = {}
        for image in coco["images"]:
            for number, name in enumerate(self.classes):
                if image["file_name"].startswith(f"{name}_"):
                    hinted[image["id"]] = number
        return sum(
            hinted.get(box["image_id"], box["category_id"]) != box["category_id"]
            for box in coco["annotations"]
        )


@dataclass
class ClassificationReport:
    """Every change that a conversion for classification made, by kind.

    Attributes:
        classes: Class names in order.
        source: How the raw data tell the class of an image, the layout's format.
        dropped: Images whose class the card drops.
        renamed: How often an alias was met.
        renamed_files: New name by path, where several class folders hold a name.
        identical: Images that are the same bytes.
        ignored: Files that are neither images nor labels.
    """

    classes: Sequence[str]
    source: str
    dropped: list[dict[str, Any]] = field(default_factory=list)
    renamed: dict[str, int] = field(default_factory=dict)
    renamed_files: dict[str, str] = field(default_factory=dict)
    identical: list[list[str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def counts(self, coco: dict[str, Any]) -> dict[str, Any]:
        """Images, and images by class."""
        images = Counter(self.classes[box["category_id"]] for box in coco["annotations"])
        per_class = {name: images[name] for name in self.classes}
        return {"images": len(coco["images"]), "images_per_class": per_class}

    def as_json(self, dataset: str, coco: dict[str, Any]) -> dict[str, Any]:
        """The content of ``conversion.json``."""
        names = {image["id"]: image["file_name"] for image in coco["images"]}
        kinds = {names[box["image_id"]]: box["category_id"] for box in coco["annotations"]}
        torn = [same for same in self.identical if len({kinds[name] for name in same}) > 1]
        return {
            "dataset": dataset,
            "task": CLASSIFICATION.name,
            **self.counts(coco),
            "class_told_by": self.source,
            "images_dropped": self.dropped,
            "names_mapped": self.renamed,
            "files_renamed": self.renamed_files,
            "identical_images": self.identical,
            "identical_images_of_several_classes": torn,
            "files_ignored": self.ignored,
        }
