"""From raw images and their labels or classes to COCO annotations; every repair and drop is listed."""

from __future__ import annotations

import shutil
import sys
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
from .pairing import Decoded, LabelledImage, decode, pair_by_stem
from .voc import LabelledBox, VocLabel, read_voc


def convert(card: DatasetCard, raw_dir: str | Path, out_dir: str | Path) -> None:
    """Make ``images/``, ``annotations.json`` and ``conversion.json``.

    Images are copied byte for byte. Labels are paired by file stem, the class of a box is the one
    in the label, sizes come from the decoded image. In a set for classification each image gets one
    box, the whole image, of its class. Nothing is written before all is checked.

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
    pairs, ignored = pair_by_stem(raw, card)
    report = ConversionReport(card.classes)
    report.ignored += ignored
    coco = _read_pairs(card, pairs, report)
    _check_sizes(card, raw, report)
    files = {pair.name: pair.image for pair in pairs}
    report.renamed_files |= {
        path.relative_to(raw).as_posix(): name for name, path in files.items() if name != path.name
    }
    report.identical += identical_files(files)
    return coco, files, report


def _read_pairs(
    card: DatasetCard, pairs: list[LabelledImage], report: ConversionReport
) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    labels: list[tuple[Path, VocLabel]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, pair in enumerate(pairs, 1):
        decoded = decode(pair.image)
        size = {"width": decoded.width, "height": decoded.height}
        images.append({"id": image_id, "file_name": pair.name, **size})
        if pair.label is None:
            report.unlabelled.append(pair.name)
            continue
        label = read_voc(pair.label)
        labels.append((pair.label, label))
        report.compare(pair.image, pair.label, label, decoded)
        for class_id, corners in _clean(card, pair.label, label, decoded, report):
            annotations.append(annotation(len(annotations) + 1, image_id, class_id, corners))
    _check_no_fractions(labels)
    return coco_content(images, annotations, card.classes)


def _check_no_fractions(labels: list[tuple[Path, VocLabel]]) -> None:
    """Corners in fractions of the image's sides would put every defect into the first pixel."""
    boxes = [(path, box) for path, label in labels for box in label.boxes]
    broken = [
        (path, box) for path, box in boxes if not all(value.is_integer() for value in box.corners)
    ]
    if broken and all(max(box.corners) <= 1 for _, box in boxes):
        path, box = broken[0]
        fix = "labels are fractions of the side; write pixels, counted from 1"
        raise ConversionError(path, "bndbox", list(box.corners), fix)


def _clean(
    card: DatasetCard,
    label_file: Path,
    label: VocLabel,
    decoded: Decoded,
    report: ConversionReport,
) -> list[tuple[int, Corners]]:
    """Class ids and clipped corners of one image, without duplicates."""
    kept: list[tuple[int, Corners]] = []
    for box in label.boxes:
        report.labelled += 1
        if box.name in card.drop:
            report.dropped.append({"label": label_file.name, "name": box.name})
            continue
        class_id = _class_id(card, label_file, box.name, report)
        item = (class_id, _clip(label_file, box, decoded, report))
        if item in kept:
            report.add_duplicate(label_file, class_id, item[1])
        else:
            kept.append(item)
    if not kept and not card.allow_empty:
        fix = "each image of this set shows a defect; get a whole label"
        raise ConversionError(label_file, "objects", len(kept), fix)
    return kept


def _class_id(card: DatasetCard, label: Path, name: str, report: ConversionReport) -> int:
    number = card.class_id(name)
    if number is None:
        fix = f"write one of {', '.join(card.classes)}, or add an alias to the card"
        raise ConversionError(label, "object.name", name, fix)
    if name in card.aliases:
        report.renamed[name] = report.renamed.get(name, 0) + 1
    return number


def _clip(label: Path, box: LabelledBox, size: Decoded, report: ConversionReport) -> Corners:
    x0, y0, x1, y1 = box.corners
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size.width)), min(y1, float(size.height)))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        fix = f"a box needs an area inside the image of {size.width} x {size.height} pixels"
        raise ConversionError(label, "bndbox", list(box.corners), fix)
    if inside != box.corners:
        report.clipped.append({"label": label.name, "from": list(box.corners), "to": list(inside)})
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
    for key, value in (card.expected.model_dump() if card.expected else {}).items():
        if counts[key] != value:
            fix = f"{value} is registered for {card.name}; get the whole, unchanged set"
            raise ConversionError(raw, key, counts[key], fix)
