"""Sets for classification: the one class of each image, told by its folder, its name or a list."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from ..base.texts import read_text, same_text
from .coco import annotation, coco_content
from .conversion_report import ClassificationReport, identical_files
from .pairing import (
    by_stem,
    check_name,
    decode,
    folders_before,
    images_by_key,
    natural,
    raw_files,
    stem_of,
)


@dataclass(frozen=True)
class ClassedImage:
    """An image and the name of its class, as the raw data spell it, and the file that tells it."""

    path: Path
    name: str
    told_by: Path


def read_classes(
    card: DatasetCard, raw: Path
) -> tuple[dict[str, Any], dict[str, Path], ClassificationReport]:
    """Read a set whose truth is one class an image.

    Args:
        card: Its layout says what tells the class.
        raw: Raw data.

    Returns:
        Annotations, each image with one box that is the whole image; the images by the name that
        they get; and what was changed.

    Raises:
        ConversionError: An image has no class, an unknown one or two, cannot be decoded, or a list
            names an image that is not there.
    """
    files_by_kind, ignored = raw_files(raw, card)
    report = ClassificationReport(card.classes, card.layout.format)
    report.ignored += ignored
    classed = _TELLERS[card.layout.format](card, raw, files_by_kind)
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
        annotations.append(annotation(number, number, class_id, (0.0, 0.0, width, height)))
    files = {name: image.path for name, (image, _) in order}
    report.identical += identical_files(files)
    return coco_content(images, annotations, card.classes, card.task), files, report


def _class_id(card: DatasetCard, image: ClassedImage, report: ClassificationReport) -> int | None:
    """Category id of an image; None where the card drops its class."""
    if image.name in card.drop:
        report.dropped.append({"image": image.path.name, "name": image.name})
        return None
    number = card.class_id(image.name)
    if number is None:
        fix = f"write one of {', '.join(card.classes)}, or add an alias to the card"
        raise ConversionError(image.told_by, "class", image.name, fix)
    if image.name in card.aliases:
        report.renamed[image.name] = report.renamed.get(image.name, 0) + 1
    return number


def _by_folder(card: DatasetCard, raw: Path, files: dict[str, list[Path]]) -> list[ClassedImage]:
    return [ClassedImage(path, same_text(path.parent.name), path) for path in files["images"]]


def _by_name(card: DatasetCard, raw: Path, files: dict[str, list[Path]]) -> list[ClassedImage]:
    images = []
    for path in images_by_key(raw, card, files).values():
        name, _, _ = path.stem.rpartition("_")
        if not name:
            fix = "the class stands before the last underscore of a name; rename it, such as pit_1"
            raise ConversionError(path, "class", "nothing", fix)
        images.append(ClassedImage(path, same_text(name), path))
    return images


def _by_list(card: DatasetCard, raw: Path, files: dict[str, list[Path]]) -> list[ClassedImage]:
    of_stem: dict[str, list[Path]] = defaultdict(list)
    for image in images_by_key(raw, card, files).values():
        of_stem[stem_of(image)].append(image)
    classed: dict[Path, ClassedImage] = {}
    for path in files["labels"]:
        around = card.layout.around(path.relative_to(raw))
        for number, name, class_name in _entries(card, path):
            images = _listed(name, of_stem)
            if len(images) > 1:
                images = [
                    image
                    for image in images
                    if card.layout.around(image.relative_to(raw)) == around
                ] or images
            if len(images) != 1:
                fix = _which(images, raw) if images else _nearest(name, of_stem)
                raise ConversionError(path, f"line {number}", name, fix)
            (image,) = images
            if image in classed:
                fix = f"{classed[image].told_by.name} has it already; list each image once"
                raise ConversionError(path, f"line {number}", name, fix)
            classed[image] = ClassedImage(image, same_text(class_name), path)
    unlisted = [
        image for stem in sorted(of_stem) for image in of_stem[stem] if image not in classed
    ]
    if unlisted:
        fix = f"list it with its class ({len(unlisted)} images are in no list)"
        raise ConversionError(unlisted[0], "class", "nothing", fix)
    return list(classed.values())


def _listed(name: str, of_stem: dict[str, list[Path]]) -> list[Path]:
    """Images that a line may mean: of that stem; where several folders hold it, of the folders that the line names."""
    path = Path(name) if stem_of(Path(name)) in of_stem else Path(name.strip())
    images = of_stem.get(stem_of(path), [])
    if len(images) < 2:
        return images
    folders = [same_text(part).lower() for part in path.parts[:-1]]
    tails = {
        image: [same_text(part).lower() for part in image.parent.parts][-len(folders) :]
        for image in images
    }
    return [image for image in images if not folders or tails[image] == folders]


def _which(images: list[Path], raw: Path) -> str:
    first, second = (image.relative_to(raw).as_posix() for image in images[:2])
    return f"several folders hold it: write its path, such as {first} or {second}"


def _nearest(name: str, of_stem: dict[str, list[Path]]) -> str:
    near = get_close_matches(stem_of(Path(name)), of_stem, 1)
    nearest = f"; the nearest is {of_stem[near[0]][0].name}" if near else "; get the whole set"
    return f"it is not among the images{nearest}"


def _entries(card: DatasetCard, path: Path) -> list[tuple[int, str, str]]:
    """Line number, file name and class of each line; the first line may name these columns."""
    entries: list[tuple[int, list[str]]] = []
    for number, line in enumerate(read_text(path, ConversionError).splitlines(), 1):
        if not line.strip():
            continue
        columns = _columns(card, path, number, line)
        if len(columns) < 2 or not all(columns[:2]):
            fix = "write the file name, then its class, parted by a tab, a comma or blanks"
            raise ConversionError(path, f"line {number}", line, fix)
        others = [column for column in columns[2:] if card.class_id(column) is not None]
        if any(card.class_id(other) != card.class_id(columns[1]) for other in others):
            fix = f"it names {columns[1]}, too; an image has one class"
            raise ConversionError(path, f"line {number}", others[0], fix)
        entries.append((number, columns))
    if entries and [column.lower() for column in entries[0][1][:2]] == ["file_name", "class"]:
        del entries[0]
    return [(number, columns[0], columns[1]) for number, columns in entries]


def _columns(card: DatasetCard, path: Path, number: int, line: str) -> list[str]:
    """Columns of a line, parted by tabs; else by commas, as CSV; else by blanks, which a class may hold, too."""
    if "\t" in line:
        columns = line.split("\t")
        return [columns[0], *(same_text(column).strip() for column in columns[1:])]
    quoted = re.fullmatch(r'\s*"([^"]+)"\s+([^,]+)', line)
    if quoted:
        return [quoted[1], *_class_before_others(card, quoted[2])]
    if "," not in line:
        name, *rest = line.split(maxsplit=1)
        return [name, *(_class_before_others(card, rest[0]) if rest else [])]
    try:
        (columns,) = csv.reader([line], strict=True)
    except csv.Error as error:
        fix = f"{error}; put a name that holds a comma into double quotes"
        raise ConversionError(path, f"line {number}", line, fix) from error
    return [columns[0], *(same_text(column).strip() for column in columns[1:])]


def _class_before_others(card: DatasetCard, text: str) -> list[str]:
    """The class that a text begins with, the longest that the card knows, and the words behind it; else the text."""
    words = same_text(text).split()
    for length in range(len(words), 0, -1):
        name = " ".join(words[:length])
        if card.class_id(name) is not None or name in card.drop:
            return [name, *words[length:]]
    return [" ".join(words)]


_TELLERS = {"folders": _by_folder, "names": _by_name, "lists": _by_list}


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
        of_class = (report.classes[class_id],) if stems[stem_of(path)] > 1 else ()
        name = same_text("-".join((*folders.get(path, of_class), path.name)))
        if name != path.name:
            report.renamed_files[path.relative_to(raw).as_posix()] = name
        check_name(path, name)
        names.append(name)
    by_stem(Path(name) for name in names)
    return names
