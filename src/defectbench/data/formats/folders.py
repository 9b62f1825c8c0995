"""Class folders: a folder that an image lies in is its class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.texts import same_text
from .label import ClassedImage


def classes_by_folder(
    card: DatasetCard, raw: Path, files: Mapping[str, list[Path]]
) -> list[ClassedImage]:
    """The class of each image by the innermost of its folders whose name the card knows; see ``ClassReader``.

    Where the card knows none it is the folder that the image lies in, which the conversion then refuses by name.
    """
    return [ClassedImage(path, _class_folder(card, raw, path), path) for path in files["images"]]


def _class_folder(card: DatasetCard, raw: Path, path: Path) -> str:
    folders = [same_text(name) for name in reversed(path.relative_to(raw).parts[:-1])]
    known = (name for name in folders if card.knows(name))
    return next(known, same_text(path.parent.name))
