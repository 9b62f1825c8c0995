"""Sets whose images have one class, or no defect, told by their folder, their name or a list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from ..base.texts import same_text
from .coco import DEFECT_FREE, annotation, coco_content
from .conversion_report import ClassificationReport, identical_files
from .formats.label import ClassedImage
from .formats.registry import CLASS_READERS
from .pairing import by_stem, check_name, decode, folders_before, natural, raw_files, stem_of


def read_classes(
    card: DatasetCard, raw: Path
) -> tuple[dict[str, Any], dict[str, Path], ClassificationReport]:
    """Read a set whose truth is one class an image, or that it is free of defects.

    Args:
        card: Its layout says what tells the class.
        raw: Raw data.

    Returns:
        Annotations, each image with one box that is the whole image, or none where it is free of defects; the images
        by the name that they get; and what was changed.

    Raises:
        ConversionError: An image has no class, an unknown one or two, cannot be decoded, or a list
            names an image that is not there.
    """
    files_by_kind, ignored = raw_files(raw, card)
    report = ClassificationReport(
        card.classes, card.layout.format, card.task, bool(card.defect_free)
    )
    report.ignored += ignored
    classed = CLASS_READERS[card.layout.format](card, raw, files_by_kind)
    kept = [
        (image, class_id)
        for image in classed
        if (class_id := _class_id(card, image, report)) is not None
    ]
    names = _file_names(card, raw, kept, report)
    order = sorted(zip(names, kept, strict=True), key=lambda item: natural(item[0].lower()))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, (image, class_id)) in enumerate(order, 1):
        decoded = decode(image.path)
        width, height = decoded.width, decoded.height
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        if class_id != DEFECT_FREE:
            whole = (0.0, 0.0, width, height)
            annotations.append(annotation(len(annotations) + 1, number, class_id, whole))
    files = {name: image.path for name, (image, _) in order}
    report.identical += identical_files(files)
    return coco_content(images, annotations, card.classes, card.task), files, report


def _class_id(card: DatasetCard, image: ClassedImage, report: ClassificationReport) -> int | None:
    """Category id of an image, ``DEFECT_FREE`` of one without a defect; None where the card drops its class."""
    if image.name in card.drop:
        report.dropped.append({"image": image.path.name, "name": image.name})
        return None
    if image.name in card.defect_free:
        return DEFECT_FREE
    number = card.class_id(image.name)
    if number is None:
        known = ", ".join((*card.classes, *card.defect_free))
        fix = f"write one of {known}, or add an alias to the card"
        raise ConversionError(image.told_by, "class", image.name, fix)
    if image.name in card.aliases:
        report.renamed[image.name] = report.renamed.get(image.name, 0) + 1
    return number


def _file_names(
    card: DatasetCard,
    raw: Path,
    images: list[tuple[ClassedImage, int]],
    report: ClassificationReport,
) -> list[str]:
    """A name for each image; where several folders hold a stem, the class goes before it, or its folders."""
    stems = Counter(stem_of(image.path) for image, _ in images)
    of_classes = Counter((stem_of(image.path), class_id) for image, class_id in images)
    torn = [
        image.path for image, class_id in images if of_classes[stem_of(image.path), class_id] > 1
    ]
    folders = folders_before(torn, card, raw)
    names = []
    for image, class_id in images:
        path = image.path
        shown = report.classes[class_id] if class_id != DEFECT_FREE else image.name
        of_class = (shown,) if stems[stem_of(path)] > 1 else ()
        name = same_text("-".join((*folders.get(path, of_class), path.name)))
        if name != path.name:
            report.renamed_files[path.relative_to(raw).as_posix()] = name
        check_name(path, name)
        names.append(name)
    by_stem(Path(name) for name in names)
    return names
