"""From raw images and their labels or classes to COCO annotations; every repair and drop is listed."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from ..base.files import (
    atomic_directory,
    atomic_write_json,
    exclusive_lock,
    refuse_others_files,
)
from ..base.tasks import task_named
from .classified import read_classes
from .coco import Corners, annotation, coco_content
from .conversion_report import ConversionReport, identical_files, told_of_absent_classes
from .formats.label import Label, LabelledBox, LabelledSet
from .formats.registry import BOX_READERS
from .pairing import Decoded, decode


def convert(card: DatasetCard, raw_dir: str | Path, out_dir: str | Path) -> None:
    """Make ``images/``, ``annotations.json`` and ``conversion.json``.

    Images are copied byte for byte. Labels are paired by file stem, the class of a box is the one
    in the label, sizes come from the decoded image. In a set whose images have one class each gets one
    box, the whole image, of its class, and none where it is free of defects. Nothing is written before all is checked.

    Args:
        card: The dataset.
        raw_dir: What ``acquire`` made.
        out_dir: ``results/data/<dataset>``.

    Raises:
        ConversionError: An image or label breaks a rule, or the counts are not the registered ones.
        BusyError: Another run converts the same dataset.
        DiskFullError: The disk has no room.
        FileAccessError: Images or annotations lie there that were not made by a conversion.

    Example:
        >>> convert(load_dataset_card("datasets/neu-det.yaml"), "results/data/neu-det/raw",
        ...         "results/data/neu-det")  # doctest: +SKIP
    """
    raw, out = Path(raw_dir), Path(out_dir)
    for name in ("images", "annotations.json"):
        refuse_others_files(out / name, out / "conversion.json")
    with exclusive_lock(out / ".convert.lock"):
        read = _read_boxes if task_named(card.task).finds_boxes else read_classes
        coco, files, report = read(card, raw)
        counts = report.counts(coco)
        _check_counts(card, raw, counts)
        with atomic_directory(out / "images") as part:
            for name, path in files.items():
                shutil.copyfile(path, part / name)
        atomic_write_json(out / "annotations.json", coco)
        atomic_write_json(out / "conversion.json", report.as_json(card.name, coco))
        for line in [*told_of_absent_classes(counts), *report.told()]:
            sys.stdout.write(f"{card.name}: {line}; see {out / 'conversion.json'}\n")


def _read_boxes(
    card: DatasetCard, raw: Path
) -> tuple[dict[str, Any], dict[str, Path], ConversionReport]:
    """Annotations of a set for detection, its images by name, and what was changed."""
    labelled = BOX_READERS[card.layout.format](card, raw)
    report = ConversionReport(card.classes, labelled.coordinates)
    report.ignored += labelled.paired.ignored
    report.images_dropped += labelled.paired.dropped
    coco, files = _read_labels(card, raw, labelled, report)
    _check_sizes(card, raw, report)
    report.renamed_files |= {
        path.relative_to(raw).as_posix(): name for name, path in files.items() if name != path.name
    }
    report.identical += identical_files(files)
    return coco, files, report


def _read_labels(
    card: DatasetCard, raw: Path, labelled: LabelledSet, report: ConversionReport
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Annotations, and the images that stay, by name."""
    images: list[dict[str, Any]] = []
    files: dict[str, Path] = {}
    labels: list[tuple[Path, Label]] = []
    annotations: list[dict[str, Any]] = []
    for pair in labelled.paired.pairs:
        decoded = decode(pair.image)
        boxes: list[tuple[int, Corners, bool]] = []
        if pair.label is None:
            report.unlabelled.append(pair.name)
        else:
            label = labelled.read(pair, decoded)
            labels.append((pair.label, label))
            report.compare(pair.image, label, decoded)
            boxes = _Boxes(card, pair.label, label, decoded, labelled.when_apart, report).clean()
            if not boxes and "empty" in card.layout.drop_images:
                path = pair.image.relative_to(raw).as_posix()
                report.images_dropped.append({"file": path, "why": "a label without object"})
                continue
        image_id = len(images) + 1
        size = {"width": decoded.width, "height": decoded.height}
        images.append({"id": image_id, "file_name": pair.name, **size})
        files[pair.name] = pair.image
        for class_id, corners, is_ignored in boxes:
            entry = annotation(len(annotations) + 1, image_id, class_id, corners)
            annotations.append({**entry, "iscrowd": int(is_ignored)})
    if labelled.pixels:
        _check_no_fractions(labels, labelled.pixels)
    if not images:
        fix = "the card leaves out all of them: take a rule out of `drop_images`, or get the set"
        raise ConversionError(raw, "images", 0, fix)
    return coco_content(images, annotations, card.classes), files


def _check_no_fractions(labels: list[tuple[Path, Label]], pixels: str) -> None:
    """Corners in fractions of the image's sides would put every defect into the first pixel."""
    boxes = [(path, box) for path, label in labels for box in label.boxes]
    broken = [
        (path, box) for path, box in boxes if not all(value.is_integer() for value in box.corners)
    ]
    if broken and all(max(box.corners) <= 1 for _, box in boxes):
        path, box = broken[0]
        fix = f"labels are fractions of the side; {pixels}"
        raise ConversionError(path, box.box_field, list(box.corners), fix)


@dataclass(frozen=True)
class _Boxes:
    """The boxes of one label, checked against the card and the image.

    Attributes:
        card: The dataset.
        file: The label's file.
        label: What was read of it.
        size: The decoded image.
        when_apart: What becomes of boxes that labels set apart, unless the card says it.
        report: Notes what is changed.
    """

    card: DatasetCard
    file: Path
    label: Label
    size: Decoded
    when_apart: str | None
    report: ConversionReport

    def clean(self) -> list[tuple[int, Corners, bool]]:
        """Class ids and clipped corners, without duplicates, and whether scores ignore the box."""
        kept: dict[tuple[int, Corners], bool] = {}
        for box in self.label.boxes:
            self.report.labelled += 1
            if box.name in self.card.drop:
                self.report.dropped.append({"label": self.label.name, "name": box.name})
                continue
            class_id = self._class_id(box)
            fate = self._fate(box)
            if fate != "keep":
                self.report.apart[fate].append({"label": self.label.name, "name": box.name})
            if fate == "drop":
                continue
            item = (class_id, self._clip(box))
            if item in kept:
                self.report.add_duplicate(self.label.name, *item)
            else:
                kept[item] = fate == "ignore"
        may_be_empty = self.card.allow_empty or "empty" in self.card.layout.drop_images
        if not kept and not may_be_empty:
            fix = "each image of this set shows a defect; get a whole label"
            raise ConversionError(self.file, "objects", len(kept), fix)
        return [(*item, is_ignored) for item, is_ignored in kept.items()]

    def _class_id(self, box: LabelledBox) -> int:
        number = self.card.class_id(box.name)
        if number is None:
            fix = f"write one of {', '.join(self.card.classes)}, or add an alias to the card"
            raise ConversionError(self.file, box.name_field, box.name, fix)
        if box.name in self.card.aliases:
            self.report.renamed[box.name] = self.report.renamed.get(box.name, 0) + 1
        return number

    def _fate(self, box: LabelledBox) -> str:
        """What becomes of a box: ``keep``, ``drop`` or ``ignore``."""
        fate = (self.card.layout.difficult or self.when_apart) if box.apart else "keep"
        if fate is None:
            fix = f"say in the card's layout what becomes of {box.apart} boxes: `difficult: keep`, `drop` or `ignore`"
            raise ConversionError(self.file, box.box_field, box.apart, fix)
        return fate

    def _clip(self, box: LabelledBox) -> Corners:
        (x0, y0, x1, y1), size = box.corners, self.size
        inside = (
            max(x0, 0.0),
            max(y0, 0.0),
            min(x1, float(size.width)),
            min(y1, float(size.height)),
        )
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            fix = f"a box needs an area inside the image of {size.width} x {size.height} pixels"
            raise ConversionError(self.file, box.box_field, list(box.corners), fix)
        if inside != box.corners:
            clip = {"label": self.label.name, "from": list(box.corners), "to": list(inside)}
            self.report.clipped.append(clip)
        return inside


def _check_sizes(card: DatasetCard, raw: Path, report: ConversionReport) -> None:
    """Boxes of another size of the pictures lie beside the defects, and nothing else would tell it."""
    others = [] if card.ignore_label_sizes else report.sizes_of_others()
    if others:
        labelled, decoded = ("{} x {}".format(*others[0][key]) for key in ("labelled", "decoded"))
        fix = (
            f"its image has {decoded} pixels ({len(others)} of {report.sized} labels differ): give the images "
            "that were labelled, or scale the boxes; "
            "write `ignore_label_sizes: true` in the card if the boxes are right"
        )
        raise ConversionError(raw, f"{others[0]['label']}: size", labelled, fix)


def _check_counts(card: DatasetCard, raw: Path, counts: dict[str, Any]) -> None:
    for key, value in (
        card.expected.model_dump(exclude_none=True) if card.expected else {}
    ).items():
        if counts[key] != value:
            fix = f"{value} is registered for {card.name}; get the whole, unchanged set"
            raise ConversionError(raw, key, counts[key], fix)
