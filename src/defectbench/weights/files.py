"""Which files are meant: those with the hashes on the card, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..base.errors import WeightsError
from ..base.files import sha256_file


def find_files(hashes: Mapping[str, str], place: str | Path) -> dict[str, Path]:
    """Files with these hashes.

    Args:
        hashes: SHA-256 by suffix.
        place: A folder; or one of the files, the others beside it under the same name.

    Returns:
        The file of each suffix.

    Raises:
        WeightsError: A file is not there; what was seen instead stands in the error.
    """
    home = Path(place)
    if not home.exists():
        raise WeightsError(place, "folder", "nothing", "name a folder or file of published weights")
    return {suffix: _find(home, suffix, sha256) for suffix, sha256 in hashes.items()}


def _find(home: Path, suffix: str, sha256: str) -> Path:
    if home.is_dir():
        candidates = sorted(path for path in home.iterdir() if path.suffix == suffix)
    else:
        candidates = [path for path in [home.with_suffix(suffix)] if path.is_file()]
    seen = {path: sha256_file(path) for path in candidates}
    for path, digest in seen.items():
        if digest == sha256:
            return path
    told = ", ".join(f"{path.name} ({digest[:8]})" for path, digest in seen.items())
    fix = f"put the file there whose SHA-256 begins with {sha256[:8]}; the card says where it comes from"
    raise WeightsError(home, f"{suffix} file", told or f"no file that ends in {suffix}", fix)
