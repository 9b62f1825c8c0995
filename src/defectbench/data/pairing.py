"""Which image belongs to which label, and what an image file really is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from ..base.files import (
    LONGEST_NAME,
    files_below,
    is_system_file,
    is_system_folder,
    sha256_file,
)
from ..base.texts import same_text
from .damage import damage_named
from .foreign_images import refuse_foreign_image

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_ORIENTATION = 0x0112  # EXIF tag
_BITS_PER_SAMPLE = 258  # TIFF tag
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # modes of Pillow
_FORMATS = {"BMP", "DIB", "JPEG", "MPO", "PNG", "TIFF", "WEBP"}  # that Pillow and OpenCV read alike
_DARKENED = {"TIFF"}  # OpenCV multiplies its pixels by alpha, and Pillow does not
_NO_LABEL = "no label"
_ONE_PICTURE = {"MPO"}  # a JPEG of a phone, with a preview behind the picture


@dataclass(frozen=True)
class LabelledImage:
    """One image, the name that it gets, and its label; None where an image without one is free of defects."""

    image: Path
    name: str
    label: Path | None


@dataclass(frozen=True)
class Paired:
    """The images of a set with their labels.

    Attributes:
        pairs: Images in natural order: ``pit_2`` before ``pit_10``.
        ignored: Files in the folders of the set that are neither images nor labels.
        dropped: Images and labels that the card leaves out, each with the reason.
    """

    pairs: list[LabelledImage]
    ignored: list[str]
    dropped: list[dict[str, str]]


@dataclass(frozen=True)
class Decoded:
    """What the decoder found: width, height (pixels) and channels."""

    width: int
    height: int
    channels: int


def pair_by_stem(raw: Path, card: DatasetCard) -> Paired:
    """Join images and labels by lower-cased stem.

    Where several folders hold a stem, its images and labels are joined by folder, too.

    Args:
        raw: Raw data.
        card: Its layout says which folders hold images and labels.

    Raises:
        ConversionError: One side lacks the other, a stem occurs twice or there is no file.
    """
    files, ignored = raw_files(raw, card)
    if card.unlabelled_are_empty:
        there = files_below(raw, lambda path: card.holds(path.relative_to(raw)) is not None)
        check_no_label_elsewhere(card, raw, [path.relative_to(raw) for path in there])
    dropped = drop_by_stem(raw, card, files)
    keys = _keys(raw, card, {kind: files[kind] for kind in ("images", "labels")})
    images, labels = _by_key(files["images"], keys), _by_key(files["labels"], keys)
    if "unlabelled" in card.layout.drop_images:
        dropped += drop_unlabelled(raw, images, labels)
    _check_all_paired(raw, card, images, labels, ignored)
    return Paired(named_pairs(raw, card, images, labels), ignored, dropped)


def named_pairs(
    raw: Path, card: DatasetCard, images: Mapping[str, Path], labels: Mapping[str, Path]
) -> list[LabelledImage]:
    """Images with the names that they get, in natural order, and their labels; both come by key.

    Raises:
        ConversionError: Images of one stem are the same bytes, or a name with folders is too long or there already.
    """
    names = _names(raw, card, images)
    return [
        LabelledImage(images[key], names[key], labels.get(key))
        for key in sorted(images, key=lambda key: natural(names[key].lower()))
    ]


def drop_by_stem(
    raw: Path, card: DatasetCard, files: dict[str, list[Path]]
) -> list[dict[str, str]]:
    """Take images out of a set that its card leaves out by their stem.

    Args:
        raw: Raw data.
        card: Its layout says which images are left out.
        files: ``images`` and ``labels``, from which they are taken.

    Returns:
        Each file that is left out, with the reason.
    """
    rules, dropped = card.layout.drop_images, []
    stems = {kind: _by_their_stem(card, kind, files[kind]) for kind in ("images", "labels")}
    for stem, images in stems["images"].items() if rules else ():
        labels = stems["labels"].get(stem, [])
        if not labels and "unlabelled" in rules:
            why = _NO_LABEL
        elif len(images) > 1 and len(labels) == 1 and "repeated" in rules:
            why = f"{len(images)} images of this stem and one label"
        else:
            continue
        for kind, paths in (("images", images), ("labels", labels)):
            dropped += [_drop(raw, path, why) for path in paths]
            files[kind] = [path for path in files[kind] if path not in paths]
    return dropped


def drop_unlabelled(
    raw: Path, images: dict[str, Path], labelled: Iterable[str]
) -> list[dict[str, str]]:
    """Take images out of a set that have no label.

    Args:
        raw: Raw data.
        images: Images by key, from which they are taken.
        labelled: Keys of those with a label.

    Returns:
        Each file that is left out, with the reason.
    """
    alone = sorted(images.keys() - set(labelled), key=natural)
    return [_drop(raw, images.pop(key), _NO_LABEL) for key in alone]


def _by_their_stem(card: DatasetCard, kind: str, paths: Iterable[Path]) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        stems[card.layout.stem(path, kind)].append(path)
    return stems


def _drop(raw: Path, path: Path, why: str) -> dict[str, str]:
    return {"file": path.relative_to(raw).as_posix(), "why": why}


def raw_files(raw: Path, card: DatasetCard) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of a set, as ``images``, ``labels`` and ``names``, and those in its folders that are none.

    Raises:
        ConversionError: There is no file of a kind that the layout names.
    """
    files: dict[str, list[Path]] = {"images": [], "labels": [], "names": []}
    suffixes = {"images": IMAGE_SUFFIXES, "labels": card.layout.label_format.read_suffixes}
    ignored: list[str] = []
    for path in files_below(raw, lambda path: card.layout.holds(path.relative_to(raw)) is not None):
        inside = path.relative_to(raw)
        kind = card.layout.holds(inside)
        if kind is None or card.holds(inside) == "lists":
            continue
        if path.suffix.lower() not in suffixes.get(kind, path.suffix.lower()) or is_system_file(
            path.name
        ):
            ignored.append(inside.as_posix())
        else:
            files[kind].append(path)
    for kind, names in (("images", card.layout.images), ("labels", card.layout.labels)):
        if names and not files[kind]:
            fix = f"{card.name} needs {kind} in a folder {' or '.join(names)}, of a kind that is read: "
            fix += ", ".join(sorted(suffixes[kind]))
            raise ConversionError(raw, kind, told_kinds(ignored) or "no file", fix)
    return files, ignored


def check_no_label_elsewhere(card: DatasetCard, source: Path, there: Iterable[PurePath]) -> None:
    """Check that no image without a label has one in a folder that the card does not name: it shows a defect.

    Args:
        card: A card of which images without a label are free of defects.
        source: Archive or folder.
        there: All files in it.

    Raises:
        ConversionError: Such a label lies there.
    """
    paths = list(there)
    layout, form = card.layout, card.layout.label_format
    if not form.suffix_tells:
        return
    kinds = {path: layout.holds(path) for path in paths}
    labels = [
        path for path in paths if path.suffix.lower() in form.suffixes and not of_system(path)
    ]
    labelled = {layout.stem(path, "labels") for path in labels if kinds[path] == "labels"}
    images = {
        layout.stem(path, "images")
        for path in paths
        if kinds[path] == "images" and path not in labels
    }
    for path in labels:
        if kinds[path] in (None, "images") and layout.stem(path, "labels") in images - labelled:
            fix = "its image would count as free of defects: name that folder under `labels` in the card, "
            fix += "or move the label into one of them"
            raise ConversionError(source, f"label {path.name} in folder", str(path.parent), fix)


def of_system(path: PurePath) -> bool:
    """Whether a file, or a folder that it lies in, is hidden or of a system, and no data."""
    return is_system_file(path.name) or any(map(is_system_folder, path.parts[:-1]))


def told_kinds(paths: Iterable[str | Path]) -> str:
    """How many files of which suffix there are, in words.

    Example:
        >>> told_kinds(["a.gif", "b.GIF", "c"])
        '2 .gif, 1 without suffix'
    """
    kinds = Counter(Path(path).suffix.lower() or "without suffix" for path in paths)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))


def stem_of(path: PurePath) -> str:
    """Stem of a file as it is compared: lower-cased and composed."""
    return same_text(path.stem).lower()


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by lower-cased stem.

    Raises:
        ConversionError: A stem occurs twice, or a name holds an unprintable character.
    """
    files = list(paths)
    return _by_key(files, {path: stem_of(path) for path in files})


def images_by_key(raw: Path, card: DatasetCard, files: Mapping[str, list[Path]]) -> dict[str, Path]:
    """Images by their stem, with their folders before it where several folders hold that stem.

    Raises:
        ConversionError: A folder holds a stem twice, or a name holds an unprintable character.
    """
    images = {"images": files["images"]}
    return _by_key(files["images"], _keys(raw, card, images))


def _by_key(paths: Iterable[Path], keys: Mapping[Path, str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in paths:
        key = keys[path]
        if key in files:
            fix = f"{files[key]} has it already; keep one, or rename one"
            raise ConversionError(path, "stem", path.stem, fix)
        if not path.name.isprintable():
            raise ConversionError(path, "file name", path.name, "rename it in printable characters")
        files[key] = path
    return files


def _keys(raw: Path, card: DatasetCard, files: Mapping[str, list[Path]]) -> dict[Path, str]:
    """What a file is joined by: its stem, with its folders before it where several folders hold that stem."""
    stems = {kind: _by_their_stem(card, kind, paths) for kind, paths in files.items()}
    repeated = {
        stem for of_kind in stems.values() for stem, paths in of_kind.items() if len(paths) > 1
    }
    keys = {}
    for of_kind in stems.values():
        for stem, paths in of_kind.items():
            for path in paths:
                folders = card.layout.around(path.relative_to(raw)) if stem in repeated else ()
                keys[path] = "/".join((*folders, stem))
    return keys


def _names(raw: Path, card: DatasetCard, images: Mapping[str, Path]) -> dict[str, str]:
    """Name of each image by key: its own, with its folders before it where several folders hold the stem.

    Raises:
        ConversionError: Images of one stem are the same bytes, or a name with folders is too long or there already.
    """
    stems = Counter(stem_of(path) for path in images.values())
    shared = [path for path in images.values() if stems[stem_of(path)] > 1]
    folders = folders_before(shared, card, raw)
    names = {}
    for key, path in images.items():
        names[key] = same_text("-".join((*folders.get(path, ()), path.name)))
        check_name(path, names[key])
    by_stem(Path(name) for name in names.values())
    return names


def check_name(path: Path, name: str) -> None:
    """Check that a name which several folders or classes made longer is one of a file.

    Raises:
        ConversionError: It is too long, or the name of a class leads out of the folder.
    """
    if "/" in name or len(name.encode()) > LONGEST_NAME:
        fix = f"several folders hold {path.name}: give each image a name of its own"
        raise ConversionError(path, "file name", name, fix)


def folders_before(paths: list[Path], card: DatasetCard, raw: Path) -> dict[Path, tuple[str, ...]]:
    """What tells files of one stem apart: their folders, but the first ones that all share.

    Raises:
        ConversionError: Two of one stem are the same bytes: one picture, not two.
    """
    first: dict[tuple[str, str], Path] = {}
    for path in paths:
        other = first.setdefault((stem_of(path), sha256_file(path)), path)
        if other is not path:
            fix = f"{other} is the same image; keep one of them"
            raise ConversionError(path, "stem", path.stem, fix)
    folders = {path: card.layout.around(path.relative_to(raw)) for path in paths}
    common = _common_length(list(folders.values()))
    return {path: names[common:] for path, names in folders.items()}


def _common_length(paths: list[tuple[str, ...]]) -> int:
    """How many first folders all paths share."""
    length = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        length += 1
    return length


def _check_all_paired(
    raw: Path,
    card: DatasetCard,
    images: dict[str, Path],
    labels: dict[str, Path],
    ignored: list[str],
) -> None:
    without_image = sorted(labels.keys() - images.keys(), key=natural)
    without_label = sorted(images.keys() - labels.keys(), key=natural)
    aside = [name for name in ignored if not is_system_file(Path(name).name)]
    unread = {
        kind: {card.layout.stem(Path(name), f"{kind}s"): name for name in aside}
        for kind in ("image", "label")
    }
    read = {
        "image": sorted(IMAGE_SUFFIXES),
        "label": sorted(card.layout.label_format.read_suffixes),
    }
    for kind, keys, side in (("image", without_image, labels), ("label", without_label, images)):
        for key in keys:
            path, stem = side[key], PurePath(key).name
            if stem in unread[kind]:
                lost = raw / unread[kind][stem]
                fix = f"it is of a kind that is not read; save it as one of {', '.join(read[kind])}"
                raise ConversionError(lost, kind, lost.name, fix)
            if kind == "label" and card.unlabelled_are_empty:
                continue
            alone = len(without_image) + len(without_label)
            fix = f"each image needs a label; get the {kind} of {stem} ({alone} stems are alone)"
            namesakes = [images[other] for other in images if PurePath(other).name == stem]
            near = get_close_matches(key, without_label, 1) if kind == "image" else []
            if kind == "image" and len(namesakes) > 1:
                fix = f"several folders hold an image of it, such as {namesakes[0].relative_to(raw)}: keep the one "
                fix += "that it is of, or write `drop_images: [repeated]` in the card's layout"
            elif near:
                fix += f"; the nearest image without a label is {images[near[0]].name}"
            elif kind == "label":
                fix += ways_without_label(card)
            raise ConversionError(path, kind, "nothing", fix)


def ways_without_label(card: DatasetCard) -> str:
    """What a card can say of images without a label."""
    if card.allow_empty:
        return ", or write `unlabelled_are_empty: true` in the card if such images show no defect"
    return ""


def natural(stem: str) -> list[tuple[bool, int, str]]:
    """Key of natural order: ``pit_2`` comes before ``pit_10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", stem)
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def decode(path: Path) -> Decoded:
    """Decode an image as a whole.

    A JPEG decoder conceals flipped bits inside the picture; only hashes find them.

    Raises:
        ConversionError: It cannot be decoded, is of a kind that is not read, has more than 8 bits a channel or
            several pages, is a TIFF that is not opaque, or carries a rotation that decoders may or may not apply.
    """
    refuse_foreign_image(path)
    whole = damage_named(path, ConversionError, "image", "get a whole copy")
    with whole, Image.open(path) as image:
        form = image.format or "nothing"
        pages = 1 if image.format in _ONE_PICTURE else getattr(image, "n_frames", 1)
        depth = _depth(path, image)
        image.load()
        clear = form in _DARKENED and _is_transparent(image)
        turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
        decoded = Decoded(image.width, image.height, len(image.getbands()))
    if form not in _FORMATS:
        fix = "save it as PNG, TIFF, BMP, WebP or JPEG"
        raise ConversionError(path, "kind of image", form, fix)
    if depth:
        fix = "save it with 8 bits, its grey levels scaled by the range of the camera; packs hold 8 bits"
        raise ConversionError(path, "depth of pixels", depth, fix)
    if pages > 1:
        raise ConversionError(path, "pages", pages, "one picture a file; save each page by itself")
    if clear:
        fix = "save it without alpha, or as PNG: decoders darken the pixels of such a TIFF"
        raise ConversionError(path, "alpha", "not opaque everywhere", fix)
    if turned:
        fix = "turn the pixels and remove the tag, so that boxes and pixels agree"
        raise ConversionError(path, "EXIF orientation", "a rotation", fix)
    return decoded


def _is_transparent(image: Any) -> bool:
    """Whether alpha is below its full value anywhere."""
    bands = image.getbands()
    return "A" in bands and image.getchannel("A").getextrema()[0] < 255


def _depth(path: Path, image: Any) -> str | None:
    """The depth of pixels in words where it is not one of 8 bits a channel at most; Pillow hides that of colours."""
    if image.format == "PNG":
        with path.open("rb") as handle:
            bits = handle.read(25)[-1]  # of the header, which stands first
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    else:
        bits = 8
    if bits > 8:
        return f"{bits} bits"
    return None if image.mode in _EIGHT_BITS else f"mode {image.mode}"
