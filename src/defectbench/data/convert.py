"""From raw images and labels to COCO annotations; every repair and drop is listed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from ..base.files import atomic_directory, atomic_write_json
from .voc import LabelledBox, read_voc

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}


@dataclass
class Report:
    """Every change that the conversion made, by kind."""

    duplicates: list[dict[str, Any]] = field(default_factory=list)
    clipped: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    renamed: dict[str, int] = field(default_factory=dict)


def convert(card: DatasetCard, raw_dir: str | Path, out_dir: str | Path) -> None:
    """Make ``images/``, ``annotations.json`` and ``conversion.json``.

    Images are copied byte for byte. Labels are paired by file stem, sizes come from the decoded image.

    Args:
        card: The dataset.
        raw_dir: What ``acquire`` made.
        out_dir: ``results/data/<dataset>``.

    Raises:
        ConversionError: An image or label breaks a rule, or the counts are not the registered ones.
    """
    raw, out = Path(raw_dir), Path(out_dir)
    pairs = pair_by_stem(raw, card)
    report = Report()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (image, label) in enumerate(pairs, 1):
        width, height = image_size(image)
        images.append({"id": image_id, "file_name": image.name, "width": width, "height": height})
        boxes = _clean(card, label, read_voc(label), (width, height), report)
        annotations += [_annotation(image_id, *box) for box in boxes]
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    counts = {
        "images": len(images),
        "boxes": len(annotations),
        "duplicates": len(report.duplicates),
    }
    _check_counts(card, raw, counts)
    with atomic_directory(out / "images") as part:
        for image, _ in pairs:
            shutil.copyfile(image, part / image.name)
    categories = [{"id": number, "name": name} for number, name in enumerate(card.classes)]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    atomic_write_json(out / "annotations.json", coco)
    atomic_write_json(
        out / "conversion.json", {"dataset": card.name, **counts, **_listed(card, coco, report)}
    )


def pair_by_stem(raw: Path, card: DatasetCard) -> list[tuple[Path, Path]]:
    """Images and labels joined by lower-cased stem, sorted by stem.

    Raises:
        ConversionError: One side lacks the other, or a stem occurs twice.
    """
    images = _by_stem(raw, card.layout.images, IMAGE_SUFFIXES)
    labels = _by_stem(raw, card.layout.labels, {".xml"})
    for stem in sorted(images.keys() ^ labels.keys()):
        lone, other = (images[stem], "label") if stem in images else (labels[stem], "image")
        raise ConversionError(
            lone, other, "nothing", f"each image needs a label; get the {other} of {stem}"
        )
    return [(images[stem], labels[stem]) for stem in sorted(images, key=_natural)]


def _natural(stem: str) -> tuple[str, int, str]:
    head = stem.rstrip("0123456789")
    tail = stem[len(head) :]
    return head, int(tail or -1), stem


def _by_stem(raw: Path, folder: str, suffixes: set[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(raw.rglob("*")):
        if path.suffix.lower() in suffixes and folder in path.parts:
            if path.stem.lower() in found:
                raise ConversionError(
                    path, "stem", path.stem, f"{found[path.stem.lower()]} has it already"
                )
            found[path.stem.lower()] = path
    if not found:
        raise ConversionError(raw, folder, "no file", f"expected files in a folder {folder}")
    return found


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the decoded image, pixels.

    Raises:
        ConversionError: It cannot be decoded as a whole.
    """
    data = path.read_bytes()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if path.suffix.lower() in {".jpg", ".jpeg"} and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        image = None
    if image is None:
        raise ConversionError(
            path, "image", f"{len(data)} bytes", "it is damaged; get a whole copy"
        )
    return image.shape[1], image.shape[0]


def _clean(
    card: DatasetCard, label: Path, boxes: list[LabelledBox], size: tuple[int, int], report: Report
) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Class ids and clipped boxes of one image, without duplicates."""
    if not boxes and not card.allow_empty:
        raise ConversionError(
            label, "objects", 0, "each image of this set shows a defect; get a whole label"
        )
    kept: list[tuple[int, tuple[float, float, float, float]]] = []
    for box in boxes:
        if box.name in card.drop:
            report.dropped.append({"label": label.name, "name": box.name})
            continue
        item = (_class_id(card, label, box.name, report), _clip(label, box, size, report))
        if item in kept:
            report.duplicates.append({"label": label.name, "name": box.name, "box": list(item[1])})
        else:
            kept.append(item)
    return kept


def _class_id(card: DatasetCard, label: Path, name: str, report: Report) -> int:
    number = card.class_id(name)
    if number is None:
        fix = f"write one of {', '.join(card.classes)}, or add an alias to the card"
        raise ConversionError(label, "object.name", name, fix)
    if name in card.aliases:
        report.renamed[name] = report.renamed.get(name, 0) + 1
    return number


def _clip(
    label: Path, box: LabelledBox, size: tuple[int, int], report: Report
) -> tuple[float, float, float, float]:
    width, height = size
    x0, y0, x1, y1 = box.corners
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        fix = f"a box needs an area inside the image of {width} x {height} pixels"
        raise ConversionError(label, "bndbox", list(box.corners), fix)
    if inside != box.corners:
        report.clipped.append({"label": label.name, "from": list(box.corners), "to": list(inside)})
    return inside


def _annotation(
    image_id: int, class_id: int, box: tuple[float, float, float, float]
) -> dict[str, Any]:
    x0, y0, x1, y1 = box
    bbox = [x0, y0, x1 - x0, y1 - y0]
    return {
        "id": 0,
        "image_id": image_id,
        "category_id": class_id,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": 0,
    }


def _check_counts(card: DatasetCard, raw: Path, counts: dict[str, int]) -> None:
    for key, value in (card.expected.model_dump() if card.expected else {}).items():
        if counts[key] != value:
            fix = f"{value} are registered for {card.name}; get the whole, unchanged set"
            raise ConversionError(raw, key, counts[key], fix)


def _listed(card: DatasetCard, coco: dict[str, Any], report: Report) -> dict[str, Any]:
    per_class = dict.fromkeys(card.classes, 0)
    for annotation in coco["annotations"]:
        per_class[card.classes[annotation["category_id"]]] += 1
    with_boxes = {annotation["image_id"] for annotation in coco["annotations"]}
    return {
        "coordinates": "1-based inclusive corners become 0-based: x0 = xmin - 1, x1 = xmax",
        "boxes_per_class": per_class,
        "images_without_defect": len(coco["images"]) - len(with_boxes),
        "duplicate_boxes_dropped": report.duplicates,
        "boxes_clipped": report.clipped,
        "labels_dropped": report.dropped,
        "names_mapped": report.renamed,
    }
