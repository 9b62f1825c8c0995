"""State dictionaries that ``torch.save`` wrote, read without running a line of what may be pickled in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from ..base.errors import WeightsError
from ..data.damage import damage_named
from .graph import WHOLE

OLDER = bytes.fromhex(
    "80028a0a6cfc9c46f9206aa850192e"
)  # the pickled number that the older form begins with
PLAIN = "name a file that holds a state dictionary of tensors and nothing else"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a plain state dictionary.

    Only tensors are rebuilt. A file that names any other code is refused before any of it runs.

    Args:
        path: A file of ``torch.save``, in its zip form or the older one, which has no checksums.

    Returns:
        Tensors by name, on the processor.

    Raises:
        WeightsError: It is missing, no such file, damaged, names code, or holds something else than tensors by name.
    """
    if _is_older(path):
        return _tensors(path, _older(path))
    _check_zip(path)
    with damage_named(path, WeightsError, "content", WHOLE):
        code, content = _unpickled(path)
    if code:
        fix = "it would run this code if it were unpickled, and was not; name a plain state dictionary"
        raise WeightsError(path, "pickled code", ", ".join(sorted(code)), fix)
    return _tensors(path, content)


def _is_older(path: str | Path) -> bool:
    """Whether a file is of `torch.save` before its zip form: pickles, the first of which is a number."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as handle:
        return handle.read(len(OLDER)) == OLDER


def _older(path: str | Path) -> object:
    """Content of a file in the older form; the reader knows tensors alone, and runs nothing else."""
    try:
        with damage_named(path, WeightsError, "content", WHOLE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(path, "content", "code, or no tensors", PLAIN) from error


def _unpickled(path: str | Path) -> tuple[list[str], object]:
    """Names of the code that a file would run; its content, where it would run none."""
    try:
        code = get_unsafe_globals_in_checkpoint(Path(path))
        content = None if code else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).strip().splitlines()[0]
        raise WeightsError(path, "content", first, PLAIN) from error
    return code, content


def _check_zip(path: str | Path) -> None:
    if not Path(path).is_file():
        raise WeightsError(path, "file", "nothing", "name a .pth file")
    if not zipfile.is_zipfile(path):
        with Path(path).open("rb") as handle:
            head = handle.read(16)
        fix = f"a file of torch.save is a zip archive; {WHOLE}"
        raise WeightsError(path, "content", f"a file that begins with {head!r}", fix)
    with damage_named(path, WeightsError, "content", WHOLE), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise WeightsError(path, damaged, "bytes that do not fit their checksum", WHOLE)


def _tensors(path: str | Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise WeightsError(path, "content", type(content).__name__, PLAIN)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(path, f"entry {name!r}", type(value).__name__, PLAIN)
    return dict(content)
