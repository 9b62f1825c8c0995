"""The parts that a publisher lists, read from files of the set itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ..base.cards import DatasetCard, Official
from ..base.errors import SplitError
from ..base.files import files_below
from ..base.texts import read_text, same_text
from .pairing import IMAGE_SUFFIXES


def listed_stems(official: Official, raw: Path) -> dict[str, list[str]]:
    """Stems of images by part, as the lists of a set name them, in small letters.

    A line begins with an image: its name or stem, with a path before it or not. What follows after a blank is not read.

    Args:
        official: Which files are lists.
        raw: Folder of the raw data, which holds them at any depth.

    Raises:
        SplitError: A list is missing, or lies there twice.
    """
    files = [path for path in files_below(raw) if official.holds(path.relative_to(raw))]
    stems: dict[str, list[str]] = {}
    for part, names in official.lists.items():
        for name in names:
            copies = [path for path in files if _ends_with(path, name)]
            if len(copies) != 1:
                told = [str(path.relative_to(raw)) for path in copies] or "nothing"
                fix = f"the publisher's list of {part} lies there once; get the whole set"
                raise SplitError(raw, name, told, fix)
            stems.setdefault(part, []).extend(_stems_in(copies[0], official.behind))
    return stems


def _ends_with(path: Path, name: str) -> bool:
    parts = PurePosixPath(name).parts
    return path.parts[-len(parts) :] == parts


def _stems_in(path: Path, behind: str) -> list[str]:
    lines = read_text(path, SplitError).splitlines()
    names = [line.split(maxsplit=1)[0].replace("\\", "/") for line in lines if line.strip()]
    return [stem_key(f"{_bare(PurePosixPath(name))}{behind}") for name in names]


def _bare(name: PurePosixPath) -> str:
    return name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name


def stem_key(stem: str) -> str:
    """A stem as it is compared: composed, in small letters."""
    return same_text(stem).lower()


def read_official(card: DatasetCard, raw: Path, images: Iterable[str]) -> dict[str, list[str]]:
    """File names of a dataset's images by the parts of its publisher; ``trainval`` is one of them.

    Args:
        card: A card with ``official``.
        raw: Folder of the raw data.
        images: File names of all images.

    Raises:
        SplitError: A list is missing, names an image twice or one that is not there, or an image is on none.
    """
    assert card.official is not None
    stems = listed_stems(card.official, raw)
    by_stem = {stem_key(Path(name).stem): name for name in images}
    parts: dict[str, str] = {}
    for part, names in stems.items():
        for stem in names:
            if stem not in by_stem:
                fix = f"the publisher's list of {part} names it, and no image bears that name; get the whole set"
                raise SplitError(raw, "listed image", stem, fix)
            if stem in parts:
                fix = f"the publisher lists it under {parts[stem]}, too; list each image once"
                raise SplitError(raw, "listed image", stem, fix)
            parts[stem] = part
    _refuse_unlisted(card, raw, by_stem, parts)
    return {part: [by_stem[stem] for stem in names] for part, names in stems.items()}


def _refuse_unlisted(
    card: DatasetCard, raw: Path, by_stem: Mapping[str, str], parts: Mapping[str, str]
) -> None:
    unlisted = sorted(by_stem.keys() - parts.keys())
    if unlisted:
        fix = (
            f"{len(unlisted)} of {len(by_stem)} images are on no list of {card.name}: write `official.only: true` in "
            "its card if they are not of the set"
        )
        raise SplitError(raw, "image on no list", by_stem[unlisted[0]], fix)
