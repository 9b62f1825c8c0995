"""What a file in a folder of a user is, told from its content: a picture, a label of some format, a list of names."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from ...base.errors import DefectBenchError
from ...base.files import files_below, is_system_file
from ...base.texts import decode_text, same_text
from ..coco import read_pixels
from ..damage import DAMAGE
from ..pairing import IMAGE_SUFFIXES

MASK_ENDS = re.compile(r"[-_ ]?(mask|masks|label|labels|gt|seg|annotation)$", re.IGNORECASE)
NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels", "names.txt")
PART_NAMES = {"train", "training", "val", "valid", "validation", "test", "testing", "all", "data"}
IMAGE_NAMES = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "pics"}
LABEL_NAMES = {
    "labels",
    "label",
    "annotations",
    "masks",
    "mask",
    "gt",
    "ground_truth",
    "ground truth",
}
GOOD_NAMES = {"good", "ok", "okay", "normal", "free", "defect free", "no defect", "without defect"}
MOST_COLOURS = 32  # of a mask
LONGEST_LABEL = 64 * 2**20  # bytes of a text that is looked into
SAMPLE = 6  # pictures of a folder that are looked at to tell masks


@dataclass
class Folder:
    """What lies in a folder.

    Attributes:
        top: The folder.
        images: Pictures.
        labels: Files of labels by format.
        masks: Pictures that are masks.
        names: Class names by the file that lists them, in its order.
        empty: Text files without content, labels of images free of defects where others are labels.
        others: Files that are none of these.
    """

    top: Path
    images: list[Path] = field(default_factory=list)
    labels: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    masks: list[Path] = field(default_factory=list)
    names: dict[Path, list[str]] = field(default_factory=dict)
    empty: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def told(self, path: Path) -> str:
        """A file as a user knows it, below the folder."""
        return path.relative_to(self.top).as_posix()


def look(top: Path) -> Folder:
    """Tell what each file of a folder is; hidden folders and files of systems are passed over.

    Raises:
        ConfigError: A link leads nowhere, or a folder may not be read.
    """
    folder = Folder(top)
    for path in files_below(top):
        if is_system_file(path.name):
            continue
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            folder.images.append(path)
        elif suffix in _TELLERS and path.stat().st_size <= LONGEST_LABEL:
            _sort(folder, path, _TELLERS[suffix](path))
        else:
            folder.others.append(path)
    _set_masks_apart(folder)
    return folder


def _sort(folder: Folder, path: Path, told: tuple[str, list[str]]) -> None:
    kind, names = told
    if kind == "names":
        folder.names[path] = names
    elif kind == "empty":
        folder.empty.append(path)
    elif kind == "other":
        folder.others.append(path)
    else:
        folder.labels[kind].append(path)


_OTHER: tuple[str, list[str]] = ("other", [])


def _tell_xml(path: Path) -> tuple[str, list[str]]:
    with path.open("rb") as handle:
        head = handle.read(4096).replace(b"\0", b"").lower()
    return ("voc", []) if b"<annotation" in head else _OTHER


def _tell_json(path: Path) -> tuple[str, list[str]]:
    content = json_of(path)
    if not isinstance(content, dict):
        return _OTHER
    if isinstance(content.get("shapes"), list):
        return "labelme", []
    if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
        return "coco", []
    return _OTHER


def json_of(path: Path) -> Any:
    """Content of a JSON file; None where it is none."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _tell_yaml(path: Path) -> tuple[str, list[str]]:
    try:
        content = yaml.safe_load(decode_text(path.read_bytes(), path))
    except (yaml.YAMLError, DefectBenchError, ValueError):
        return _OTHER
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and all(isinstance(key, int) for key in names):
        names = [names.get(n, f"class_{n}") for n in range(max(names, default=-1) + 1)]
    return ("names", [str(name) for name in names]) if isinstance(names, list) else _OTHER


def _tell_text(path: Path) -> tuple[str, list[str]]:
    try:
        text = decode_text(path.read_bytes(), path)
    except DefectBenchError:
        return _OTHER
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if path.name.lower() in NAME_FILES and lines:
        return "names", [same_text(line) for line in lines]
    if not lines:
        return "empty", []
    rows = [figures(line) for line in lines]
    if any(row is None for row in rows):
        return _OTHER
    known = [row for row in rows if row is not None]
    if all(_is_yolo(row) for row in known):
        return "yolo", []
    if all(len(row) == 5 and all(value.is_integer() for value in row) for row in known):
        return "deeppcb", []
    return _OTHER


def figures(line: str) -> list[float] | None:
    """Numbers of a line, parted by blanks or commas; None where something else stands in it."""
    try:
        return [float(word) for word in line.replace(",", " ").split()]
    except ValueError:
        return None


def _is_yolo(row: list[float]) -> bool:
    """A class and a box, with a score or not, or a class and the corners of a polygon, in shares of the sides."""
    is_box = len(row) in (5, 6)
    is_polygon = len(row) >= 7 and len(row) % 2 == 1
    inside = all(-0.5 <= value <= 1.5 for value in row[1:])
    return (is_box or is_polygon) and row[0].is_integer() and row[0] >= 0 and inside


_TELLERS = {
    ".xml": _tell_xml,
    ".json": _tell_json,
    ".yaml": _tell_yaml,
    ".yml": _tell_yaml,
    ".txt": _tell_text,
    ".names": _tell_text,
    ".labels": _tell_text,
}


# --- masks ---------------------------------------------------------------------------------------


def key_of(path: Path) -> str:
    """What a picture and its label share of their names: the stem, lower-cased, without the end that names a mask."""
    return MASK_ENDS.sub("", same_text(path.stem).lower())


def _set_masks_apart(folder: Folder) -> None:
    """Pictures that share a name with another one and hold few colours are its mask; told by folder and ending."""
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in folder.images:
        by_key[key_of(path)].append(path)
    roles: dict[tuple[str, str, bool], list[Path]] = defaultdict(list)
    for paths in by_key.values():
        for path in paths if len(paths) > 1 else []:
            roles[_role(folder.top, path)].append(path)
    if len(roles) < 2:
        return
    colours = {role: _most_colours(paths) for role, paths in roles.items()}
    masks = {role for role, count in colours.items() if 0 < count <= MOST_COLOURS}
    if masks and len(masks) < len(roles):
        folder.masks = sorted(path for role in masks for path in roles[role])
        folder.images = sorted(set(folder.images) - set(folder.masks))


def _role(top: Path, path: Path) -> tuple[str, str, bool]:
    named = bool(MASK_ENDS.search(path.stem))
    return path.parent.relative_to(top).as_posix(), path.suffix.lower(), named


def _most_colours(paths: list[Path]) -> int:
    """Largest number of colours in a few pictures; 0 where none can be read."""
    step = max(1, len(paths) // SAMPLE)
    return max((colours_of(path) for path in paths[::step][:SAMPLE]), default=0)


def colours_of(path: Path) -> int:
    """Number of colours of a picture, as far as it matters; 0 where it cannot be read."""
    try:
        pixels = read_pixels(path, cv2.IMREAD_COLOR)
    except DAMAGE:
        return 0
    if pixels is None:
        return 0
    flat = pixels.reshape(-1, 3).astype(np.int64)
    return len(np.unique(flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2]))


def told_folders(folder: Folder, paths: Iterable[Path]) -> str:
    """The folders that hold some files, the fullest first, in words."""
    counts = Counter(folder.told(path.parent) for path in paths)
    told = [f"{name if name != '.' else 'the top'} ({n})" for name, n in counts.most_common(4)]
    return ", ".join([*told, *(["..."] if len(counts) > 4 else [])])


# --- folders that say what pictures show ---------------------------------------------------------


def folded(name: str) -> str:
    """A name as it is compared: capitals, blanks, lines and ways to write a letter make no other name.

    Example:
        >>> folded("Pin_hole ") == folded("pin-Hole")
        True
    """
    return re.sub(r"[\s_\-]+", " ", same_text(name).casefold()).strip()


def kind_folder(top: Path, path: Path) -> str:
    """The innermost folder of a picture whose name is none of a part or of pictures as such; else the innermost.

    Example:
        >>> kind_folder(Path("set"), Path("set/scratch/images/7.png"))
        'scratch'
    """
    inside = [*reversed(path.relative_to(top).parts[:-1])]
    kinds = (name for name in inside if folded(name) not in PART_NAMES | IMAGE_NAMES)
    return next(kinds, inside[0])


def lies_in_labels(top: Path, path: Path) -> bool:
    """Whether a folder that a picture lies in is called as those of masks are."""
    return any(name.lower() in LABEL_NAMES for name in path.relative_to(top).parts[:-1])


def pictures_in(top: Path, paths: Iterable[Path], name: str) -> set[Path]:
    """Those among some pictures that lie in a folder.

    Args:
        top: The folder of all.
        paths: The pictures.
        name: Name of the folder, at any depth; with folders before it a path, below the top or to it. ``.`` is the top
            itself, of which pictures in folders are none.
    """
    if name == ".":
        return {path for path in paths if path.parent == top}
    wanted = [*map(folded, _parts_below(top, name))]
    return {path for path in paths if _has_run(path.relative_to(top).parts[:-1], wanted)}


def _parts_below(top: Path, name: str) -> tuple[str, ...]:
    """Names of a folder and of those that it lies in: below the top where it is a path that leads there."""
    path = Path(name)
    for whole, above in ((path.absolute(), top.absolute()), (path.resolve(), top.resolve())):
        if whole.is_dir() and whole != above and whole.is_relative_to(above):
            return whole.relative_to(above).parts
    return path.parts


def _has_run(folders: Sequence[str], wanted: list[str]) -> bool:
    """Whether some folders stand among others, one below the other."""
    names, length = [*map(folded, folders)], len(wanted)
    return any(names[n : n + length] == wanted for n in range(len(names) - length + 1))
