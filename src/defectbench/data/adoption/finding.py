"""Which label belongs to which picture of a user's folder, and what both say; what is ambiguous is asked for."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...base.errors import ConfigError, ConversionError, DefectBenchError
from ...base.files import sha256_file
from ...base.label_formats import LABEL_FORMATS
from ...base.tasks import ANOMALY, CLASSIFICATION, DETECTION, Task
from ...base.texts import same_text
from ..formats.coco_json import label_of, listed_in
from ..formats.label import Label, LabelledBox
from ..pairing import IMAGE_SUFFIXES, Decoded, decode, natural, told_kinds
from .kinds import (
    GOOD_NAMES,
    IMAGE_NAMES,
    LABEL_NAMES,
    PART_NAMES,
    Folder,
    folded,
    key_of,
    kind_folder,
    lies_in_labels,
    look,
    pictures_in,
    told_folders,
)
from .reading import DEEPPCB, READERS

FORMATS = ("voc", "yolo", "coco", "labelme", "masks", "deeppcb", "folders", "names")
_WITH_IDS = ("yolo", "deeppcb", "masks")  # formats that number their classes


@dataclass(frozen=True)
class Said:
    """What a user says of a folder, where its files leave it open.

    Attributes:
        format: Format of the labels.
        images: Names of folders that hold pictures.
        labels: Names of folders that hold labels.
        classes: Class names; of labels that number their classes in the order of the numbers.
        unlabelled_are_empty: Whether pictures without a label show no defect; otherwise they are left out.
        good: Names of folders whose pictures show no defect; methods then learn from these alone, and other folders
            name kinds of defects.
    """

    format: str | None = None
    images: Sequence[str] = ()
    labels: Sequence[str] = ()
    classes: Sequence[str] = ()
    unlabelled_are_empty: bool = False
    good: Sequence[str] = ()


@dataclass(frozen=True)
class LabelledPicture:
    """A picture that was read.

    Attributes:
        path: The file.
        size: What the decoder found.
        boxes: Its labelled objects as they stand; where folders tell its class one without corners that count, none
            where they tell that it shows no defect.
        format: Format of its label; empty where it has none.
        label: The file of its label; None where it has none, and where a folder tells its class.
    """

    path: Path
    size: Decoded
    boxes: list[LabelledBox]
    format: str
    label: Path | None = None


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        folder: Its files by kind.
        task: What its labels are for.
        pictures: Pictures that were read, in natural order of their paths.
        unlabelled: Pictures without a label.
        alone: Labels without a picture.
        templates: Pictures that labels of DeepPCB compare with, which are no data.
        faults: Pictures and labels that cannot be used, and why; they are left out.
        classes: Class names in their order.
        spellings: Class by other spellings that labels use.
        notes: What a user should know of how the folder was read.
        numbered: Lists of names by which numbers of classes were read.
        other_sizes: Pictures whose labels say another size than they have, with both in words.
        sized: Number of labels that say a size.
    """

    folder: Folder
    task: Task
    pictures: list[LabelledPicture] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    alone: list[Path] = field(default_factory=list)
    templates: int = 0
    faults: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    spellings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    numbered: set[tuple[str, ...]] = field(default_factory=set)
    other_sizes: dict[Path, str] = field(default_factory=dict)
    sized: int = 0

    @property
    def formats(self) -> Counter[str]:
        """Number of pictures by the format of their labels."""
        return Counter(picture.format for picture in self.pictures if picture.format)


def find(top: str | Path, said: Said | None = None) -> Found:
    """Tell what a folder holds, and read its pictures and labels.

    Args:
        top: The folder.
        said: What the user says of it.

    Raises:
        ConfigError: It is no folder, holds no picture or no label, or it is ambiguous what belongs together; says how
            to say it.
        ConversionError: Most pictures or labels cannot be read; names the first.
    """
    said = said or Said()
    folder = _folder(Path(top), said)
    form = LABEL_FORMATS.get(said.format or "")
    by_folders = said.format is None or (form is not None and form.folder_is_class)
    if said.good and not by_folders:
        fix = "good parts are told by their folder: leave one of the two out"
        raise ConfigError(
            "--good", "folder", f"{', '.join(said.good)}, and --format {said.format}", fix
        )
    if said.good or _is_told_by_pictures(said) or not _has_labels(folder, said):
        found = _classified(folder, said)
    else:
        found = _labelled(folder, said)
    _refuse_ruins(found)
    _name_classes(found, said)
    return found


def _folder(top: Path, said: Said) -> Folder:
    if not top.is_dir():
        seen = "a file" if top.exists() else "nothing"
        fix = "name a folder that holds pictures and their labels; unpack an archive first"
        raise ConfigError(top, "folder", seen, fix)
    folder = look(top)
    everything = [*folder.images, *folder.masks]
    if said.images:
        folder.images = _within(top, everything, said.images, "--images")
        kept = set(folder.images)
        folder.masks = [path for path in folder.masks if path not in kept]
    if said.labels:
        files = [path for paths in folder.labels.values() for path in paths]
        files += [*folder.empty, *everything]
        inside = set(_within(top, files, said.labels, "--labels"))
        for kind, paths in folder.labels.items():
            folder.labels[kind] = [path for path in paths if path in inside]
        folder.empty = [path for path in folder.empty if path in inside]
        pictures = [path for path in folder.images if path in inside]
        if not any(folder.labels.values()) and not folder.empty and pictures:
            folder.masks = sorted({*folder.masks, *pictures})
            folder.images = [path for path in folder.images if path not in inside]
        folder.masks = [path for path in folder.masks if path in inside]
    if not folder.images:
        others = [*folder.others, *folder.masks, *folder.empty]
        others += [path for paths in folder.labels.values() for path in paths]
        fix = f"put pictures there, of a kind that is read: {', '.join(sorted(IMAGE_SUFFIXES))}"
        raise ConfigError(top, "pictures", told_kinds(map(str, others)) or "no file", fix)
    return folder


def _within(top: Path, paths: Iterable[Path], names: Sequence[str], option: str) -> list[Path]:
    """Files with one of some folders among those that they lie in; ``.`` is the top itself."""
    wanted = {name.strip("/").split("/")[-1].lower() for name in names}
    files = list(paths)
    kept = [path for path in files if wanted & _folders_of(top, path)]
    if not kept:
        there = sorted({name for path in files for name in _folders_of(top, path)})
        fix = f"no file of that kind lies in such a folder; there are {', '.join(there)}"
        raise ConfigError(option, "folder", ", ".join(names), fix)
    return kept


def _folders_of(top: Path, path: Path) -> set[str]:
    parts = path.relative_to(top).parts[:-1]
    return {part.lower() for part in parts} or {"."}


def _is_told_by_pictures(said: Said) -> bool:
    """Whether the user says that no label tells the classes, but folders or names of pictures."""
    form = LABEL_FORMATS.get(said.format or "")
    return form is not None and not form.read_suffixes


def _has_labels(folder: Folder, said: Said) -> bool:
    if said.format is not None:
        if said.format not in FORMATS:
            fix = f"name one of {', '.join(FORMATS)}"
            raise ConfigError("--format", "name", said.format, fix)
        are_pictures = not LABEL_FORMATS[said.format].suffix_tells
        there = folder.masks if are_pictures else folder.labels.get(said.format, [])
        if not there:
            seen = {kind: len(paths) for kind, paths in folder.labels.items() if paths}
            told = ", ".join(f"{count} of {kind}" for kind, count in seen.items())
            fix = "no label of that format lies there; leave --format out, or name another one"
            raise ConfigError(folder.top, f"labels of {said.format}", told or "nothing", fix)
        return True
    return bool(any(folder.labels.values()) or folder.masks)


# --- detection -----------------------------------------------------------------------------------


def _labelled(folder: Folder, said: Said) -> Found:
    found = Found(folder, DETECTION)
    labels = {kind: list(paths) for kind, paths in folder.labels.items() if paths}
    if folder.masks:
        labels["masks"] = list(folder.masks)
    if said.format is not None:
        labels = {said.format: labels[said.format]}
    for kind in ("yolo", "deeppcb"):
        if kind in labels:
            labels[kind] += folder.empty
            break
    images = _without_templates(found, folder.images, labels)
    of_image: dict[Path, list[tuple[str, Path]]] = defaultdict(list)
    listed: dict[Path, Label] = {}
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_key[_key(path, labels)].append(path)
    for kind, paths in labels.items():
        for path in paths:
            if kind == "coco":
                _pair_entries(found, path, images, of_image, listed)
                continue
            candidates = by_key.get(key_of(path), [])
            image = _nearest(folder, path, candidates, "label", "--images")
            if image is None:
                found.alone.append(path)
            else:
                of_image[image].append((kind, path))
    for image in sorted(images, key=lambda path: natural(folder.told(path).lower())):
        _add(found, image, of_image.get(image, []), listed, said)
    _note_good_parts(found)
    return found


def _note_good_parts(found: Found) -> None:
    """Note pictures without a label in a folder of good parts, which another task could learn from alone."""
    good = [path for path in found.unlabelled if folded(path.parent.name) in GOOD_NAMES]
    if good:
        found.notes.append(
            f"{len(good)} pictures without a label lie in {told_folders(found.folder, good)}; if methods are to learn "
            f"from good parts alone, and to be scored on the others, say --good {shlex.quote(good[0].parent.name)}"
        )


def _key(path: Path, labels: dict[str, list[Path]]) -> str:
    key = key_of(path)
    return key.removesuffix("_test") if "deeppcb" in labels else key


def _without_templates(
    found: Found, images: Sequence[Path], labels: dict[str, list[Path]]
) -> list[Path]:
    """DeepPCB has beside each tested picture its template, free of defects and no data."""
    if "deeppcb" not in labels:
        return list(images)
    kept = [path for path in images if not path.stem.lower().endswith("_temp")]
    found.templates = len(images) - len(kept)
    return kept


def _nearest(
    folder: Folder, path: Path, candidates: Sequence[Path], kind: str, option: str
) -> Path | None:
    """The candidate that lies nearest to a file: beside it, or in the folders of most of the same names.

    Raises:
        ConfigError: Several lie as near.
    """
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    ranked = sorted(((_nearness(folder, path, other), other) for other in candidates), reverse=True)
    if ranked[0][0] == ranked[1][0]:
        a, b = sorted(folder.told(other) for _, other in ranked[:2])
        fix = f"it may be of {a} or of {b}: name the folder of the right ones with {option}"
        raise ConfigError(folder.told(path), kind, "ambiguous", fix)
    return ranked[0][1]


def _nearness(folder: Folder, path: Path, other: Path) -> tuple[bool, int]:
    a, b = (
        Counter(p.relative_to(folder.top).as_posix().lower().split("/")[:-1]) for p in (path, other)
    )
    return path.parent == other.parent, (a & b).total()


def _pair_entries(
    found: Found,
    path: Path,
    images: Sequence[Path],
    of_image: dict[Path, list[tuple[str, Path]]],
    listed: dict[Path, Label],
) -> None:
    """Join the entries of a COCO file with pictures: by path where the entry tells one, else by name."""
    try:
        entries = {entry.name: label_of(entry) for entry in listed_in(path)}
    except ConversionError as error:
        found.faults.append(str(error))
        return
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[same_text(image.name).lower()].append(image)
    for name, label in entries.items():
        wanted = name.replace("\\", "/").lower()
        candidates = by_name.get(wanted.rpartition("/")[2], [])
        whole = [p for p in candidates if f"/{found.folder.told(p)}".lower().endswith(f"/{wanted}")]
        image = _nearest(found.folder, path, whole or candidates, "label", "--images")
        if image is None:
            found.faults.append(f"{found.folder.told(path)}: image {name}: there is no such file")
            continue
        of_image[image].append(("coco", path))
        listed[image] = label


def _add(
    found: Found,
    image: Path,
    labels: Sequence[tuple[str, Path]],
    listed: dict[Path, Label],
    said: Said,
) -> None:
    """Read a picture and its label; what is wrong with either is noted, and both are left out."""
    folder = found.folder
    if len(labels) > 1:
        told = " and ".join(f"{folder.told(path)} ({kind})" for kind, path in labels[:3])
        option = "--format" if len({kind for kind, _ in labels}) > 1 else "--labels"
        fix = f"name the one that counts with {option}"
        raise ConfigError(folder.told(image), "labels", told, fix)
    try:
        size = decode(image)
        if not labels:
            found.unlabelled.append(image)
            if said.unlabelled_are_empty:
                found.pictures.append(LabelledPicture(image, size, [], ""))
            return
        ((kind, path),) = labels
        names = _names_for(folder, path, kind, said)
        if kind in _WITH_IDS:
            found.numbered.add(tuple(names))
        label = listed[image] if kind == "coco" else READERS[kind](path, size, names)
    except DefectBenchError as error:
        found.faults.append(str(error).replace(f"{folder.top}/", ""))
        return
    _note_size(found, image, size, label)
    found.pictures.append(LabelledPicture(image, size, label.boxes, kind, path))


def _note_size(found: Found, image: Path, size: Decoded, label: Label) -> None:
    """Note a label that was made for another size of its picture."""
    width, height = (*label.size[:2], None, None)[:2]
    if not width or not height:
        return
    found.sized += 1
    if (width, height) != (size.width, size.height):
        found.other_sizes[image] = (
            f"its label says {width} x {height}, it has {size.width} x {size.height}"
        )


def _names_for(folder: Folder, path: Path, kind: str, said: Said) -> Sequence[str]:
    """Class names by number: those that the user says, else the list that lies nearest above the label."""
    if said.classes and kind in _WITH_IDS:
        return [*said.classes]
    if kind != "yolo":
        return []
    above = [*path.parents]
    lists = [file for file in folder.names if file.parent in above]
    ranked = sorted(lists or folder.names, key=lambda file: (-len(file.parts), file.name))
    return folder.names[ranked[0]] if ranked else []


# --- classification ------------------------------------------------------------------------------


def _classified(folder: Folder, said: Said) -> Found:
    """Pictures without any label: the folder that each lies in names its class, or its own name does."""
    found = Found(folder, CLASSIFICATION)
    inner = {path: path.parent.name for path in folder.images if path.parent != folder.top}
    names = {path: kind_folder(folder.top, path) for path in inner}
    if said.format is not None and not LABEL_FORMATS[said.format].folder_is_class:
        names = {path: re.sub(r"[_-]?\d*$", "", path.stem) for path in folder.images}
        inner = names
    folders = {name.lower() for name in inner.values()}
    good = _good(found, names, said)
    if not good:
        _refuse_pictures_as_labels(folder, said)
    plain = (
        folders <= PART_NAMES | IMAGE_NAMES or len(folders) < 2 or len(names) < len(folder.images)
    )
    if said.format is None and plain and not good:
        there = told_kinds(map(str, folder.others)) or "no other file"
        fix = (
            "put a label of each picture beside it (Pascal VOC, YOLO, COCO, labelme or a mask), sort the pictures "
            "into a folder a class, or say --format names where their names begin with the class; where they are good "
            "parts, say --good FOLDER, or --unlabelled-are-empty of those outside of any folder, and give defective "
            "ones in folders by kind"
        )
        told = (
            f"{len(folder.images)} pictures in {told_folders(folder, folder.images)}, and {there}"
        )
        raise ConfigError(folder.top, "labels", told, fix)
    for path in sorted(folder.images, key=lambda path: natural(folder.told(path).lower())):
        try:
            size = decode(path)
        except DefectBenchError as error:
            found.faults.append(str(error).replace(f"{folder.top}/", ""))
            continue
        if path in good:
            found.pictures.append(LabelledPicture(path, size, [], "folders"))
            continue
        name = same_text(names.get(path, "")).strip()
        if not name:
            found.unlabelled.append(path)
            continue
        box = LabelledBox(name, (0.0, 0.0, float(size.width), float(size.height)))
        found.pictures.append(LabelledPicture(path, size, [box], said.format or "folders"))
    _note_contradictions(found)
    return found


def _good(found: Found, names: dict[Path, str], said: Said) -> set[Path]:
    """Pictures that show no defect, as the user says; the task is then to learn from these alone.

    Raises:
        ConfigError: No folder is called as the user says, or there are good parts alone.
    """
    folder = found.folder
    good = {path for name in said.good for path in _said_good(folder, name)}
    outside = {path for path in folder.images if path not in names}
    sorted_in = {name.lower() for name in names.values()} - PART_NAMES - IMAGE_NAMES
    if said.unlabelled_are_empty and outside and (good or (said.format is None and sorted_in)):
        good |= outside
    elif said.unlabelled_are_empty:
        found.notes.append(
            "--unlabelled-are-empty is of no effect: the folder or the name of each picture tells its class; say "
            "--good FOLDER of folders with good parts"
        )
    usual = sorted({name for name in names.values() if folded(name) in GOOD_NAMES})
    if not good:
        if usual:
            found.notes.append(
                f"{', '.join(usual)} is taken as a class beside the others; if methods are to learn from good parts "
                f"alone, and to be scored on the others, say --good {shlex.quote(usual[0])}"
            )
        return good
    masks = {path for path in folder.images if lies_in_labels(folder.top, path)} - good
    if masks and not said.images:
        found.notes.append(
            f"{len(masks)} pictures in {told_folders(folder, masks)} are taken as masks by the names of their folders"
        )
        folder.masks = sorted({*folder.masks, *masks})
        folder.images = [path for path in folder.images if path not in masks]
    kinds = {names[path] for path in folder.images if path in names and path not in good}
    if not kinds:
        fix = (
            "methods learn from good parts alone and are scored on defective ones, too: put some of these in folders "
            "by kind, or in one folder `defective`"
        )
        others = "" if good >= set(folder.images) else ", and none in a folder of a kind of defect"
        raise ConfigError(folder.top, "pictures", f"{len(good)}, all of good parts{others}", fix)
    found.task = ANOMALY
    found.notes += [
        f"{name} is taken as a kind of defect; if it holds good parts, say --good {shlex.quote(name)}, too"
        for name in usual
        if name in kinds
    ]
    labels = sum(map(len, folder.labels.values())) + len(folder.masks)
    if labels:
        found.notes.append(
            f"{labels} labels of defects are not used: methods learn from good parts"
        )
    return good


def _said_good(folder: Folder, name: str) -> set[Path]:
    """Pictures in a folder that a user says holds good parts.

    Raises:
        ConfigError: No picture lies in such a folder.
    """
    good = pictures_in(folder.top, folder.images, name)
    if not good:
        there = sorted({path.parent.name for path in folder.images if path.parent != folder.top})
        fix = f"no picture lies in such a folder; there are {', '.join(there) or 'none'}"
        raise ConfigError("--good", "folder", name, fix)
    return good


def _note_contradictions(found: Found) -> None:
    """Note pictures that are the same bytes and lie in folders of different classes: one of both is wrong."""
    first: dict[str, LabelledPicture] = {}
    pairs: list[tuple[LabelledPicture, LabelledPicture]] = []
    for picture in found.pictures:
        other = first.setdefault(sha256_file(picture.path), picture)
        if [folded(box.name) for box in other.boxes] != [folded(box.name) for box in picture.boxes]:
            pairs.append((other, picture))
    if pairs:
        a, b = (found.folder.told(picture.path) for picture in pairs[0])
        found.notes.append(
            f"{len(pairs)} pictures are the same bytes as one of another class, the first are {a} and {b}: "
            "take the wrong ones out"
        )


def _refuse_pictures_as_labels(folder: Folder, said: Said) -> None:
    """Two folders of pictures of the same names are pictures and their labels, and no two classes."""
    places: dict[str, set[Path]] = defaultdict(set)
    for path in folder.images:
        places[key_of(path)].add(path.parent)
    doubled = [key for key, parents in places.items() if len(parents) > 1]
    names = {path.parent.name.lower() for path in folder.images}
    if said.format is None and names & LABEL_NAMES and len(doubled) > len(places) / 2:
        a, b = sorted(folder.told(path) for path in list(places[doubled[0]])[:2])
        fix = (
            f"pictures of the same names lie in {a} and in {b}, and neither are masks, which hold few colours: put "
            "a label of each picture beside it, or say --format folders where folders are classes"
        )
        raise ConfigError(folder.top, "labels", "pictures in their place", fix)


# --- what was read -------------------------------------------------------------------------------


def _refuse_ruins(found: Found) -> None:
    """Where most cannot be read, the folder was misread: the first fault says more than a small rest."""
    read = len(found.pictures)
    others = found.other_sizes
    if len(others) >= 2 and 2 * len(others) >= found.sized:
        first = next(iter(others))
        fix = (
            f"{len(others)} of {found.sized} labels were made for another size of their pictures, and the boxes "
            "would lie beside the defects: give the pictures that were labelled, or scale the boxes"
        )
        raise ConversionError(found.folder.told(first), "size", others[first], fix)
    found.notes += [f"{found.folder.told(path)}: {words}" for path, words in others.items()]
    if found.faults and len(found.faults) >= max(1, read):
        fix = f"{len(found.faults)} pictures or labels are like that, {read} are right; the first is told"
        raise ConversionError(found.folder.top, "pictures and labels", found.faults[0], fix)
    if not read:
        alone = [found.folder.told(path) for path in found.alone[:1]]
        pictures = [found.folder.told(path) for path in found.unlabelled[:1]]
        fix = (
            f"no label has the name of a picture: the first picture is {', '.join(pictures) or 'none'}; give both "
            "one name, or name their folders with --images and --labels"
        )
        raise ConfigError(found.folder.top, "pairs", ", ".join(alone) or "nothing", fix)


def _name_classes(found: Found, said: Said) -> None:
    """Classes in their order; spellings that differ in capitals, blanks and lines alone are one class."""
    counts = Counter(box.name for picture in found.pictures for box in picture.boxes)
    if not counts:
        fix = "no picture has a labelled object, and there is nothing to learn; give labels of defects"
        raise ConfigError(found.folder.top, "objects", 0, fix)
    by_fold: dict[str, list[str]] = defaultdict(list)
    for name, _ in counts.most_common():
        by_fold[folded(name)].append(name)
    if said.classes:
        classes = [same_text(name).strip() for name in said.classes]
    else:
        first = {fold: names[0] for fold, names in by_fold.items()}
        classes = [first[fold] for fold in _order(found, list(first))]
    canonical = {folded(name): name for name in classes}
    strange = [names[0] for fold, names in by_fold.items() if fold not in canonical]
    if strange:
        fix = f"labels name it too: say all of them with --classes, now {', '.join(classes)}"
        raise ConfigError("--classes", "class", strange[0], fix)
    found.classes = classes
    found.spellings = {name: canonical[folded(name)] for name in counts if name not in classes}
    used_ids = set(found.formats) & {"yolo"}
    if used_ids and not found.folder.names and not said.classes:
        found.notes.append(
            "the labels number their classes and no list names them: say --classes NAME,NAME,... in their order"
        )


def _order(found: Found, folds: list[str]) -> list[str]:
    """Classes in the order of the list that names most of them, the others behind it by name."""
    lists = [*found.folder.names.values(), list(DEEPPCB) if "deeppcb" in found.formats else []]
    best = max(lists, key=lambda names: len({*map(folded, names)} & {*folds}), default=[])
    listed = [folded(name) for name in best if folded(name) in folds]
    rest = sorted((fold for fold in folds if fold not in listed), key=natural)
    return [*dict.fromkeys(listed), *rest]
