"""What a conversion found and changed, for ``conversion.json``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from ..base.files import is_system_file, sha256_file
from ..base.texts import same_text
from .formats.label import EDGES, Label
from .pairing import Decoded, told_kinds

# What readers change, by key of `conversion.json`, and what a user should hear of it.
REPAIRS = {
    "lines_widened": "boxes of lines or points widened to the card's least thickness",
    "components_left_out": "components of masks left out, being smaller than the card's least area",
    "colours_read_as_nearest": "masks with pixels that are read as the nearest value",
}


def identical_files(files: Mapping[str, Path]) -> list[list[str]]:
    """Names of images that are the same bytes, where there are several."""
    by_hash: dict[str, list[str]] = defaultdict(list)
    for name, path in files.items():
        by_hash[sha256_file(path)].append(name)
    return [names for names in by_hash.values() if len(names) > 1]


def told_of_files(ignored: Sequence[str], identical: Sequence[Sequence[str]]) -> list[str]:
    """What a user should hear of files: those that are not read, those of systems aside, and equal ones."""
    unread = [name for name in ignored if _is_content(Path(name))]
    lines = []
    if unread:
        what = f"{len(unread)} files beside images and labels that are not read"
        lines.append(f"{what} ({told_kinds(unread)}), the first is {unread[0]}")
    if identical:
        lines.append(f"{len(identical)} sets of images that are the same bytes")
    return lines


def told_of_absent_classes(counts: Mapping[str, Any]) -> list[str]:
    """What a user should hear of classes that the card names and nothing of the set shows.

    Args:
        counts: Those of a conversion.
    """
    shown = counts.get("boxes_per_class", counts.get("images_per_class", {}))
    absent = [name for name, count in shown.items() if not count]
    return [f"nothing shows {', '.join(absent)}, which the card names"] if absent else []


def _is_content(path: Path) -> bool:
    """Whether a person put a file there; the others are of systems."""
    return not is_system_file(path.name)


def _names_another(entry: Mapping[str, str]) -> bool:
    """Whether the ``filename`` of a label is neither its stem nor a file of that stem."""
    named, stem = PureWindowsPath(entry["filename"]), PurePath(entry["label"]).stem
    said = {same_text(name).lower() for name in (named.name, named.stem)}
    return bool(named.name) and same_text(stem).lower() not in said


def _factors(entry: Mapping[str, Sequence[int]]) -> tuple[float, float]:
    """By what an image is larger than its label says, across and down; 1.0 where that is rounding."""
    x, y = (now / then for now, then in zip(entry["decoded"], entry["labelled"], strict=True))
    return (round(x, 2), round(x, 2)) if abs(x - y) <= 0.02 * x else (round(x, 2), round(y, 2))


@dataclass
class ConversionReport:
    """Every change that a conversion made, by kind.

    Attributes:
        classes: Class names in order.
        coordinates: What corners in the labels are, in words.
        labelled: Boxes in the labels.
        duplicates: Boxes dropped because the image has the same box of the same class.
        clipped: Boxes cut at the edge of the image.
        dropped: Objects whose name the card drops.
        apart: Objects that labels set apart and the card does not keep, by what becomes of them.
        boxed: How often a shape of each kind became the box around it.
        repairs: What readers changed, by its key in ``conversion.json``.
        images_dropped: Images and labels that the card leaves out.
        renamed: How often an alias was met.
        file_names: Labels whose ``filename`` is not their image's.
        sizes: Labels whose width or height is not their image's.
        sized: Number of labels that say a width and a height.
        depths: Number of labels whose depth is not their image's number of channels.
        unread: How often a tag of a label stands there that is not used.
        unlabelled: Images without a label, taken as free of defects.
        renamed_files: New name by path, where several folders hold a name, or a name was not composed.
        identical: Images that are the same bytes.
        ignored: Files that are neither images nor labels.
    """

    classes: Sequence[str]
    coordinates: str = EDGES
    labelled: int = 0
    duplicates: list[dict[str, Any]] = field(default_factory=list)
    clipped: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    apart: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    boxed: Counter[str] = field(default_factory=Counter)
    repairs: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    images_dropped: list[dict[str, str]] = field(default_factory=list)
    renamed: dict[str, int] = field(default_factory=dict)
    file_names: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[dict[str, Any]] = field(default_factory=list)
    sized: int = 0
    depths: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    unlabelled: list[str] = field(default_factory=list)
    renamed_files: dict[str, str] = field(default_factory=dict)
    identical: list[list[str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def compare(self, image: Path, label: Label, decoded: Decoded) -> None:
        """Note what a label says wrongly of its image, says without being used, or what was changed in reading it."""
        if label.file_name not in (None, same_text(image.name)):
            self.file_names.append({"label": label.name, "filename": label.file_name})
        size = [decoded.width, decoded.height]
        if label.size and list(label.size[:2]) != size:
            sizes = {"labelled": list(label.size[:2]), "decoded": size}
            self.sizes.append({"label": label.name, **sizes})
        self.sized += bool(label.size) and all(label.size[:2])
        self.depths += any(depth != decoded.channels for depth in label.size[2:])
        self.unread.update(label.unread)
        self.boxed.update(label.boxed)
        for key, entries in label.repairs.items():
            self.repairs[key] += entries

    def sizes_of_others(self) -> list[dict[str, Any]]:
        """Labels that were made for another size of their images, by what all labels say.

        They are, where two or more differ by one factor along both sides, as after a resize, or where half of the
        labels that say a size differ. A single one may be a slip of the pen.
        """
        other = self._other_sizes()
        factors = [_factors(entry) for entry in other]
        even = Counter(x for x, y in factors if x == y)
        resized = [
            entry for entry, (x, y) in zip(other, factors, strict=True) if x == y and even[x] > 1
        ]
        return other if len(other) >= 2 and self.sized <= 2 * len(other) else resized

    def _other_sizes(self) -> list[dict[str, Any]]:
        return [entry for entry in self.sizes if all(entry["labelled"])]

    def told(self) -> list[str]:
        """What a user should hear: what was changed or not used, in lines."""
        unread = ", ".join(f"{tag} ({count})" for tag, count in self.unread.most_common(8))
        mapped = {
            "boxes cut at the edge of their image": len(self.clipped),
            "boxes dropped as duplicates": len(self.duplicates),
            "objects dropped by the card": len(self.dropped),
            "objects set apart by their labels and dropped": len(self.apart["drop"]),
            "objects set apart by their labels and ignored in scores": len(self.apart["ignore"]),
            **{words: len(self.repairs[key]) for key, words in REPAIRS.items()},
            "images or labels left out by the card": len(self.images_dropped),
            "images without a label, taken as free of defects": len(self.unlabelled),
            "labels that name another image": sum(
                _names_another(entry) for entry in self.file_names
            ),
            "labels that say another size than their image has": len(self._other_sizes()),
            "images with another name than their file": len(self.renamed_files),
        }
        lines = [f"{count} {what}" for what, count in mapped.items() if count]
        boxed = ", ".join(f"{kind} ({count})" for kind, count in self.boxed.most_common())
        lines += [f"shapes taken as the boxes around them: {boxed}"] if boxed else []
        lines += [f"tags of labels that are not used: {unread}"] if unread else []
        return lines + told_of_files(self.ignored, self.identical)

    def add_duplicate(self, label: str, class_id: int, corners: Sequence[float]) -> None:
        """Note a dropped duplicate; its corners are 0-based."""
        name = self.classes[class_id]
        self.duplicates.append({"label": label, "name": name, "box": list(corners)})

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
            "coordinates": self.coordinates,
            "duplicate_boxes_dropped": self.duplicates,
            "boxes_clipped": self.clipped,
            "labels_dropped": self.dropped,
            **self._of_some_formats(),
            "names_mapped": self.renamed,
            "file_name_fields_ignored": self.file_names,
            "size_fields_ignored": self.sizes,
            "depth_fields_ignored": self.depths,
            "tags_ignored": dict(self.unread),
            "images_without_label": self.unlabelled,
            "files_renamed": self.renamed_files,
            "identical_images": self.identical,
            "files_ignored": self.ignored,
        }

    def _of_some_formats(self) -> dict[str, Any]:
        """What most sets have nothing of, and then no key for."""
        parts = {
            "apart_dropped": self.apart["drop"],
            "apart_ignored": self.apart["ignore"],
            "shapes_boxed": dict(self.boxed),
            **{key: self.repairs[key] for key in REPAIRS},
            "images_dropped": self.images_dropped,
        }
        return {key: value for key, value in parts.items() if value}

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
    """Every change that a conversion of a set made whose images have one class or no defect, by kind.

    Attributes:
        classes: Class names in order.
        source: How the raw data tell the class of an image, the layout's format.
        task: What the set is for.
        has_defect_free: Whether images may be free of defects.
        dropped: Images whose class the card drops.
        renamed: How often an alias was met.
        renamed_files: New name by path, where several class folders hold a name.
        identical: Images that are the same bytes.
        ignored: Files that are neither images nor labels.
    """

    classes: Sequence[str]
    source: str
    task: str
    has_defect_free: bool = False
    dropped: list[dict[str, Any]] = field(default_factory=list)
    renamed: dict[str, int] = field(default_factory=dict)
    renamed_files: dict[str, str] = field(default_factory=dict)
    identical: list[list[str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def told(self) -> list[str]:
        """What a user should hear: what was changed or not used, in lines."""
        mapped = {
            "images dropped by the card": len(self.dropped),
            "images with another name than their file": len(self.renamed_files),
        }
        lines = [f"{count} {what}" for what, count in mapped.items() if count]
        return lines + told_of_files(self.ignored, self.identical)

    def counts(self, coco: dict[str, Any]) -> dict[str, Any]:
        """Images, images by class, and those without a defect where the task has such."""
        images = Counter(self.classes[box["category_id"]] for box in coco["annotations"])
        per_class = {name: images[name] for name in self.classes}
        counts = {"images": len(coco["images"]), "images_per_class": per_class}
        free = {"images_without_defect": counts["images"] - len(coco["annotations"])}
        return counts | (free if self.has_defect_free else {})

    def as_json(self, dataset: str, coco: dict[str, Any]) -> dict[str, Any]:
        """The content of ``conversion.json``."""
        names = {image["id"]: image["file_name"] for image in coco["images"]}
        kinds = {names[box["image_id"]]: box["category_id"] for box in coco["annotations"]}
        torn = [same for same in self.identical if len({kinds.get(name) for name in same}) > 1]
        return {
            "dataset": dataset,
            "task": self.task,
            **self.counts(coco),
            "class_told_by": self.source,
            "images_dropped": self.dropped,
            "names_mapped": self.renamed,
            "files_renamed": self.renamed_files,
            "identical_images": self.identical,
            "identical_images_of_several_classes": torn,
            "files_ignored": self.ignored,
        }
