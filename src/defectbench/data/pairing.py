"""Which image belongs to which label, and what an image file really is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..base.cards import DatasetCard
from ..base.errors import ConversionError
from .damage import damage_named

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
LABEL_SUFFIXES = {"voc": {".xml"}, "lists": {".txt", ".csv"}}
_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class LabelledImage:
    """One image and its label."""

    image: Path
    label: Path


@dataclass(frozen=True)
class Decoded:
    """What the decoder found: width, height (pixels) and channels."""

    width: int
    height: int
    channels: int


def pair_by_stem(raw: Path, card: DatasetCard) -> tuple[list[LabelledImage], list[str]]:
    """Join images and labels by lower-cased stem, in natural order: ``pit_2`` before ``pit_10``.

    Args:
        raw: Raw data.
        card: Its layout says which folders hold images and labels.

    Returns:
        The pairs, and the files in those folders that are neither.

    Raises:
        ConversionError: One side lacks the other, a stem occurs twice or there is no file.
    """
    files, ignored = raw_files(raw, card)
    images, labels = by_stem(files["images"]), by_stem(files["labels"])
    _check_all_paired(images, labels)
    return [
        LabelledImage(images[stem], labels[stem]) for stem in sorted(images, key=natural)
    ], ignored


def raw_files(raw: Path, card: DatasetCard) -> tuple[dict[str, list[Path]], list[str]]:
    """The files of a set, as ``images`` and ``labels``, and those in its folders that are neither.

    Raises:
        ConversionError: There is no file of a kind that the layout names.
    """
    files: dict[str, list[Path]] = {"images": [], "labels": []}
    labels = LABEL_SUFFIXES.get(card.layout.format, set())
    suffixes = {"images": IMAGE_SUFFIXES, "labels": labels}
    ignored: list[str] = []
    for path in sorted(path for path in raw.rglob("*") if path.is_file()):
        inside = path.relative_to(raw)
        kind = card.layout.holds(inside)
        if kind is None:
            continue
        if path.suffix.lower() not in suffixes[kind] or path.name.startswith("."):
            ignored.append(inside.as_posix())
        else:
            files[kind].append(path)
    for kind, names in (("images", card.layout.images), ("labels", card.layout.labels)):
        if names and not files[kind]:
            fix = f"{card.name} needs {kind} in a folder {' or '.join(names)}"
            raise ConversionError(raw, kind, "no file", fix)
    return files, ignored


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by lower-cased stem.

    Raises:
        ConversionError: A stem occurs twice, or a name holds an unprintable character.
    """
    files: dict[str, Path] = {}
    for path in paths:
        _add(files, path)
    return files


def _add(files: dict[str, Path], path: Path) -> None:
    stem = path.stem.lower()
    if stem in files:
        raise ConversionError(path, "stem", path.stem, f"{files[stem]} has it already; keep one")
    if not path.name.isprintable():
        raise ConversionError(path, "file name", path.name, "rename it in printable characters")
    files[stem] = path


def _check_all_paired(images: dict[str, Path], labels: dict[str, Path]) -> None:
    unpaired = sorted(images.keys() ^ labels.keys())
    if unpaired:
        path = images.get(unpaired[0]) or labels[unpaired[0]]
        other = "label" if unpaired[0] in images else "image"
        fix = f"each image needs a label; get the {other} of {unpaired[0]} ({len(unpaired)} stems are alone)"
        raise ConversionError(path, other, "nothing", fix)


def natural(stem: str) -> list[tuple[bool, int, str]]:
    """Key of natural order: ``pit_2`` comes before ``pit_10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", stem)
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def decode(path: Path) -> Decoded:
    """Decode an image as a whole.

    A JPEG decoder conceals flipped bits inside the picture; only hashes find them.

    Raises:
        ConversionError: It cannot be decoded, or carries a rotation that decoders may or may not
            apply.
    """
    whole = damage_named(path, ConversionError, "image", "get a whole copy")
    with whole, Image.open(path) as image:
        image.load()
        turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
        decoded = Decoded(image.width, image.height, len(image.getbands()))
    if turned:
        fix = "turn the pixels and remove the tag, so that boxes and pixels agree"
        raise ConversionError(path, "EXIF orientation", "a rotation", fix)
    return decoded
