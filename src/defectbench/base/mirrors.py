"""What a user's mirror of a dataset holds. It is an input of the workflow: a label that is corrected there is seen."""

from __future__ import annotations

from pathlib import Path

from .cards import DatasetCard
from .files import files_below


def is_address(mirror: str) -> bool:
    """Whether a mirror is an address; otherwise it is an archive or a folder of this machine."""
    return mirror.startswith(("http://", "https://"))


def local_mirror(mirror: str) -> Path:
    """Path of a mirror of this machine; ``~`` is the user's home."""
    return Path(mirror).expanduser()


def mirror_files(card: DatasetCard, mirror: str | None) -> list[Path]:
    """Files of a local mirror that a dataset is made of: the archive, or what the card's layout holds of a folder.

    Args:
        card: The dataset.
        mirror: Archive, folder or address; None where a study names none.

    Returns:
        Files, sorted; none for an address, and none where nothing lies, which ``acquire`` names.
    """
    if not mirror or is_address(mirror):
        return []
    path = local_mirror(mirror)
    if path.is_file():
        return [path]
    return folder_files(card, path)


def folder_files(card: DatasetCard, folder: Path) -> list[Path]:
    """Images and labels in a folder, as the card's layout names them, sorted; links are followed.

    Raises:
        ConfigError: A link leads nowhere, or a folder may not be read.
    """
    named = folder.resolve().name
    return [
        path
        for path in (files_below(folder) if folder.is_dir() else [])
        if card.layout.holds(Path(named) / path.relative_to(folder))
    ]
