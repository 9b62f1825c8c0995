"""A user's folder in one form that the suite reads: links to the pictures, and a label each as Pascal VOC."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from ...base.errors import ConversionError
from ...base.files import LONGEST_NAME, atomic_directory
from ...base.texts import same_text
from ..coco import Corners
from .finding import Found, LabelledPicture
from .kinds import folded
from .survey import Cleaned

IMAGES, LABELS = "images", "labels"  # folders of an adopted set
GOOD = "defect_free"  # the same of good parts, where the others lie in a folder a class


def write_adopted(found: Found, cleaned: Cleaned, out: str | Path) -> None:
    """Make a folder of links to the pictures, with a label each, or in a folder a class where folders tell it.

    Args:
        found: What a user's folder holds.
        cleaned: Its boxes as they can be used.
        out: Folder to make; it is replaced as a whole.

    Raises:
        ConversionError: A name is none that a file can have.
    """
    names = names_of(found)
    with atomic_directory(out) as part:
        for picture in found.pictures:
            boxes = cleaned.boxes[picture.path]
            name = names[picture.path]
            if found.task.finds_boxes:
                label = part / LABELS / f"{Path(name).stem}.xml"
                label.parent.mkdir(exist_ok=True)
                label.write_text(voc_text(name, picture, boxes), encoding="utf-8")
                place = part / IMAGES / name
            else:
                place = part / (_folder_name(boxes[0][0]) if boxes else good_folder(found)) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(picture.path.resolve())


def good_folder(found: Found) -> str:
    """Name of the folder of good parts, which no class of the set has."""
    taken, name = {*map(folded, found.classes)}, GOOD
    while folded(name) in taken:
        name += "_1"
    return name


def names_of(found: Found) -> dict[Path, str]:
    """A name for each picture that no other has: its own, with its folders before it where stems repeat.

    Raises:
        ConversionError: A name is too long or unprintable.
    """
    stems = Counter(_stem(picture.path) for picture in found.pictures)
    names: dict[Path, str] = {}
    taken: dict[str, Path] = {}
    for picture in found.pictures:
        path = picture.path
        parts = path.relative_to(found.folder.top).parts if stems[_stem(path)] > 1 else (path.name,)
        name = same_text("-".join(parts))
        if Path(name).stem.lower() in taken:
            name = f"{Path(name).stem}-{path.suffix[1:].lower()}{path.suffix}"
        other = taken.setdefault(Path(name).stem.lower(), path)
        if other is not path or len(os.fsencode(name)) > LONGEST_NAME or not name.isprintable():
            fix = "rename it: a short name of printable letters that no other picture has"
            raise ConversionError(found.folder.told(path), "file name", name, fix)
        names[path] = name
    return names


def _stem(path: Path) -> str:
    return same_text(path.stem).lower()


def _folder_name(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_")


def voc_text(name: str, picture: LabelledPicture, boxes: Sequence[tuple[str, Corners]]) -> str:
    """A Pascal VOC label, whose corners count from 1 and hold their last pixel."""
    objects = "".join(_object(class_name, corners) for class_name, corners in boxes)
    size = picture.size
    sides = (
        f"<width>{size.width}</width><height>{size.height}</height><depth>{size.channels}</depth>"
    )
    head = f"<filename>{escape(name)}</filename><size>{sides}</size>"
    return f"<annotation>{head}{objects}</annotation>\n"


def _object(name: str, corners: Corners) -> str:
    x0, y0, x1, y1 = corners
    values = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
    box = "".join(f"<{key}>{value:.10g}</{key}>" for key, value in values.items())
    return f"<object><name>{escape(name)}</name><bndbox>{box}</bndbox></object>"
