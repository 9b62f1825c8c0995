"""Images that a list names: by their stem, and by their folders where several folders hold that stem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.texts import same_text
from ..pairing import images_by_key, stem_of


class ListedImages:
    """The images of a set, to be found by what a list calls them.

    Attributes:
        by_key: Images by what tells them apart: their stem, with their folders before it where several hold it.
    """

    def __init__(self, raw: Path, card: DatasetCard, files: Mapping[str, list[Path]]) -> None:
        """Take the images among a set's files.

        Raises:
            ConversionError: A folder holds a stem twice.
        """
        self._raw, self._layout = raw, card.layout
        self.by_key = images_by_key(raw, card, files)
        of_stem: dict[str, list[Path]] = defaultdict(list)
        for image in self.by_key.values():
            of_stem[stem_of(image)].append(image)
        self._of_stem = of_stem
        self._told_by: dict[Path, Path] = {}

    @property
    def unlisted(self) -> list[Path]:
        """Images that no list has named yet."""
        of_stem = self._of_stem
        images = [image for stem in sorted(of_stem) for image in of_stem[stem]]
        return [image for image in images if image not in self._told_by]

    def take(self, path: Path, field: str, name: str) -> Path:
        """The image that a list means.

        Args:
            path: The list; where several folders hold a name, it means the one in its own folders.
            field: Where in the list the name stands.
            name: The name, with or without folders.

        Raises:
            ConversionError: There is no such image, there are several, or it was taken before.
        """
        images = self._named(name)
        if len(images) > 1:
            around = self._layout.around(path.relative_to(self._raw))
            images = [
                image
                for image in images
                if self._layout.around(image.relative_to(self._raw)) == around
            ] or images
        if len(images) != 1:
            fix = self._which(images) if images else self._nearest(name)
            raise ConversionError(path, field, name, fix)
        (image,) = images
        if image in self._told_by:
            fix = f"{self._told_by[image].name} has it already; list each image once"
            raise ConversionError(path, field, name, fix)
        self._told_by[image] = path
        return image

    def _named(self, name: str) -> list[Path]:
        """Images of that stem; where several folders hold it, of the folders that the name tells."""
        of_stem = self._of_stem
        path = Path(name) if stem_of(Path(name)) in of_stem else Path(name.strip())
        images = of_stem.get(stem_of(path), [])
        if len(images) < 2:
            return images
        folders = [same_text(part).lower() for part in path.parts[:-1]]
        tails = {
            image: [same_text(part).lower() for part in image.parent.parts][-len(folders) :]
            for image in images
        }
        return [image for image in images if not folders or tails[image] == folders]

    def _which(self, images: list[Path]) -> str:
        first, second = (image.relative_to(self._raw).as_posix() for image in images[:2])
        return f"several folders hold it: write its path, such as {first} or {second}"

    def _nearest(self, name: str) -> str:
        near = get_close_matches(stem_of(Path(name)), self._of_stem, 1)
        nearest = (
            f"; the nearest is {self._of_stem[near[0]][0].name}" if near else "; get the whole set"
        )
        return f"it is not among the images{nearest}"
