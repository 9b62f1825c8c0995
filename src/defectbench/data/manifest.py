"""Checking files against a registered list of hashes."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..base.errors import ConfigError, HashMismatchError
from ..base.files import files_below, is_system_file, sha256_file

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def read_manifest(path: Path) -> dict[str, str]:
    """SHA-256 by path, from gzip text in the form of ``sha256sum``.

    Raises:
        ConfigError: It is missing, no such list, or names a file twice.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as handle:
            lines = handle.read().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(path, "manifest", str(error), "give a gzip list of hashes") from error
    digests: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in digests:
            raise ConfigError(path, f"line {number}", line, "write `<sha256>  <path>`, each once")
        digests[match[2]] = match[1]
    return digests


def verify(
    manifest: Path,
    raw: Path,
    wanted: Callable[[PurePosixPath], bool] | None = None,
    listed_only: bool = False,
) -> dict[str, int]:
    """Check every registered file.

    Copies of a set lie in different folders, so a file is known by its name alone, or by its name
    and folder where the list holds a name twice.

    Args:
        manifest: The list.
        raw: Folder of the files.
        wanted: Says of a registered path whether it is asked for. Default: each is.
        listed_only: Whether a file that is not registered is an error.

    Returns:
        ``verified_files`` and ``unlisted_files``.

    Raises:
        HashMismatchError: A file is missing, its bytes differ, or it is not listed and has to be.
        ConfigError: The list is damaged.
    """
    listed = read_manifest(manifest)
    expected = {
        path: digest
        for path, digest in listed.items()
        if wanted is None or wanted(PurePosixPath(path))
    }
    names = {PurePosixPath(path).name for path in expected}
    depth = 1 if len(names) == len(expected) else 2
    present: dict[tuple[str, ...], list[Path]] = {}
    files = files_below(raw)
    for path in files:
        present.setdefault(path.relative_to(raw).parts[-depth:], []).append(path)
    verified = 0
    for name, digest in expected.items():
        copies = present.get(PurePosixPath(name).parts[-depth:], [])
        if not copies:
            fix = f"{manifest.name} lists it; get the whole set"
            raise HashMismatchError(name, "file", "nothing", fix)
        for path in copies:
            _check(path, raw, digest)
        verified += len(copies)
    listed_names = {PurePosixPath(name).parts[-depth:] for name in expected}
    for name, paths in present.items() if listed_only else ():
        if name not in listed_names and not is_system_file(name[-1]):
            fix = (
                f"{manifest.name} does not list it, and only its files are of the set; take it out"
            )
            raise HashMismatchError(paths[0].relative_to(raw), "file", "not listed", fix)
    return {"verified_files": verified, "unlisted_files": len(files) - verified}


def _check(path: Path, raw: Path, expected: str) -> None:
    digest = sha256_file(path)
    if digest != expected:
        fix = f"{expected} is registered; get an unchanged copy"
        raise HashMismatchError(path.relative_to(raw), "sha256", digest, fix)
