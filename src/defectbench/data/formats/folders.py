"""Class folders: the folder that an image lies in is its class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.texts import same_text
from .label import ClassedImage


def classes_by_folder(
    card: DatasetCard, raw: Path, files: Mapping[str, list[Path]]
) -> list[ClassedImage]:
    """The class of each image by its folder; see ``ClassReader``."""
    return [ClassedImage(path, same_text(path.parent.name), path) for path in files["images"]]
