"""What a method is made of: its own files and every module of the suite that they import.

Imports are read from the source, not from a running program: wherever an import stands in a file, within a function
or for type checkers alone, it counts. A module comes with the ``__init__.py`` of each package that it lies in.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from .files import sha256_file

SUITE = Path(__file__).parents[1]  # the folder of the package `defectbench`
CONVERTING = (
    "published.py",
    "starting.py",
)  # of `weights/`: files into our network, and that into one that trains


def source_files(method_folder: str | Path, suite: Path = SUITE) -> list[Path]:
    """Python files that decide what a method's network computes.

    Args:
        method_folder: ``models/<name>``; all Python files in it count.
        suite: Folder of the package ``defectbench``.

    Returns:
        The method's files, sorted, then those of the suite, sorted; none for a method without Python files.
    """
    folder, suite = Path(method_folder).resolve(), suite.resolve()
    method_files = sorted(folder.rglob("*.py"))
    return [*method_files, *sorted(_reached(method_files, suite) - set(method_files))]


def conversion_files(suite: Path = SUITE) -> list[Path]:
    """Python files that decide what a network gets from published files: what reads, converts and unfolds them, sorted.

    Args:
        suite: Folder of the package ``defectbench``.
    """
    suite = suite.resolve()
    weights = suite / "weights"
    first = [weights / name for name in CONVERTING]
    return sorted(f for f in {*first, *_reached(first, suite)} if f.is_relative_to(weights))


def conversion_sha256(suite: Path = SUITE) -> str:
    """Hash over names and bytes of ``conversion_files``.

    Args:
        suite: Folder of the package ``defectbench``.
    """
    return _digest(conversion_files(suite), suite.resolve().parent)


def code_sha256(method_folder: str | Path, suite: Path = SUITE) -> str:
    """Hash over names and bytes of ``source_files``; where they lie on the disk does not enter.

    Args:
        method_folder: ``models/<name>``.
        suite: Folder of the package ``defectbench``.
    """
    folder, suite = Path(method_folder).resolve(), suite.resolve()
    return _digest(source_files(folder, suite), suite.parent, folder.parent)


def _digest(files: Iterable[Path], *roots: Path) -> str:
    """Hash over bytes of files and their names below the first of the roots that they lie in."""
    digest = hashlib.sha256()
    for file in files:
        root = next(root for root in roots if file.is_relative_to(root))
        digest.update(f"{file.relative_to(root).as_posix()} {_hash(file, _stamp(file))}\n".encode())
    return digest.hexdigest()


def _reached(files: Iterable[Path], suite: Path) -> set[Path]:
    """Files of the suite that some files import, by themselves or through others."""
    reached: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        new = set(_imported_files(file, _stamp(file), suite)) - reached
        reached |= new
        waiting += sorted(new)
    return reached


def _stamp(file: Path) -> tuple[int, int]:
    """Changes with the file, so that what was read of it can be kept."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@cache
def _hash(file: Path, _stamp: tuple[int, int]) -> str:
    return sha256_file(file)


@cache
def _imported_files(file: Path, _stamp: tuple[int, int], suite: Path) -> tuple[Path, ...]:
    """Files of the suite that one file imports itself."""
    files: dict[Path, None] = {}
    for module in _imported_modules(file, suite):
        files |= dict.fromkeys(_files_of(module, suite))
    return tuple(files)


def _imported_modules(file: Path, suite: Path) -> Iterator[str]:
    """Dotted names that a file imports; of ``from a import b`` both ``a`` and ``a.b``, which may be no module."""
    inside = file.is_relative_to(suite)
    packages = file.relative_to(suite.parent).parts[:-1] if inside else ()
    for node in ast.walk(ast.parse(file.read_bytes(), file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not inside:
                continue  # a neighbour in the method's folder, which counts anyway
            above = packages[: len(packages) - node.level + 1] if node.level else ()
            head = ".".join([*above, *filter(None, [node.module])])
            yield head
            yield from (f"{head}.{alias.name}" for alias in node.names)


def _files_of(module: str, suite: Path) -> Iterator[Path]:
    """The file of a module of the suite and the ``__init__.py`` of all packages on the way to it."""
    package, *rest = module.split(".")
    if package != suite.name:
        return
    folder = suite
    candidates = [folder / "__init__.py"]
    for part in rest:
        candidates.append(folder / f"{part}.py")
        folder /= part
        candidates.append(folder / "__init__.py")
    yield from (file for file in candidates if file.is_file())
