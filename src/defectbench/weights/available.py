"""Published weights that are at hand: fetched before, or in a folder of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..base.catalogue import load_catalogue
from ..base.errors import ConfigError, DefectBenchError
from ..base.files import sha256_file
from ..base.places import weights_folder
from ..base.published import NCNN, PROGRAM, PUBLISHED, TORCH, PublishedWeights
from ..base.records import read_record
from ..base.variants import data_title
from .fetching import RECORD


def starts_at_hand(root: str | Path = ".", folder: str | Path | None = None) -> dict[str, str]:
    """Weights that trainings can start from without a network, the first of a card by method.

    Args:
        root: The checkout, in which ``models/`` and ``results/`` lie.
        folder: Folder that holds published files, under any names; None where there is none.

    Raises:
        ConfigError: There is no such folder.
    """
    home, hashes = Path(root), _hashes(folder)
    cards = load_catalogue(home / "models").cards
    return {
        method: name
        for method, card in cards.items()
        for name, weights in reversed(card.weights.items())
        if set(weights.sha256.values()) <= hashes
        or _is_fetched(home / weights_folder(method, name), weights)
    }


def told_starts(methods: Iterable[str], starts: Mapping[str, str]) -> str:
    """Which methods start from what, in a line; empty where all start from scratch.

    Example:
        >>> told_starts(["a", "b", "c"], {"a": "coco", "c": "coco"})
        'from published weights: a and c from COCO; from scratch, since no weights of theirs are at hand: b'
    """
    listed = [*methods]
    by_start: dict[str, list[str]] = {}
    for method in listed:
        if method in starts:
            by_start.setdefault(starts[method], []).append(method)
    if not by_start:
        return ""
    words = [f"{' and '.join(names)} from {data_title(start)}" for start, names in by_start.items()]
    rest = [method for method in listed if method not in starts]
    lacking = f"; from scratch, since no weights of theirs are at hand: {', '.join(rest)}"
    return f"from published weights: {', '.join(words)}{lacking if rest else ''}"


def _hashes(folder: str | Path | None) -> set[str]:
    if folder is None:
        return set()
    place = Path(folder)
    if not place.is_dir():
        fix = "name a folder that holds published files; docs/weights.md lists them by hash"
        raise ConfigError("--weights", "folder", str(folder), fix)
    files = [
        path
        for path in place.iterdir()
        if path.suffix in (*NCNN, *TORCH, *PROGRAM) and path.is_file()
    ]
    return {sha256_file(path) for path in files}


def _is_fetched(folder: Path, weights: PublishedWeights) -> bool:
    """Whether a folder holds what `fetch-weights` makes of these files."""
    try:
        record = read_record(folder / RECORD, PUBLISHED)
        files, made = record["files_sha256"], record["weights_sha256"]
        return files == weights.sha256 and sha256_file(folder / weights.file) == made
    except (DefectBenchError, OSError):
        return False
