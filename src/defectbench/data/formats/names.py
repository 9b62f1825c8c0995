"""Class names: the stem of an image up to its last underscore is its class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import same_text
from ..pairing import images_by_key
from .label import ClassedImage


def classes_by_name(
    card: DatasetCard, raw: Path, files: Mapping[str, list[Path]]
) -> list[ClassedImage]:
    """The class of each image by its name; see ``ClassReader``."""
    images = []
    for path in images_by_key(raw, card, files).values():
        name, _, _ = path.stem.rpartition("_")
        if not name:
            fix = "the class stands before the last underscore of a name; rename it, such as pit_1"
            raise ConversionError(path, "class", "nothing", fix)
        images.append(ClassedImage(path, same_text(name), path))
    return images
