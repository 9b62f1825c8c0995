"""Class lists: text files whose lines begin with a file name and a class."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import read_text, same_text
from .label import ClassedImage
from .listed import ListedImages


def classes_by_list(
    card: DatasetCard, raw: Path, files: Mapping[str, list[Path]]
) -> list[ClassedImage]:
    """The class of each image by the lists; see ``ClassReader``."""
    images = ListedImages(raw, card, files)
    classed = []
    for path in files["labels"]:
        for number, name, class_name in list_entries(card, path):
            image = images.take(path, f"line {number}", name)
            classed.append(ClassedImage(image, same_text(class_name), path))
    if images.unlisted:
        fix = f"list it with its class ({len(images.unlisted)} images are in no list)"
        raise ConversionError(images.unlisted[0], "class", "nothing", fix)
    return classed


def list_entries(card: DatasetCard, path: Path) -> list[tuple[int, str, str]]:
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
