"""What was made under a clock that was ahead: files of the future, brought back to the present in their order.

After a clock was set back, all that was made before is newer than all that is made from it, and Snakemake refuses every
job whose output is older than its input.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .files import MADE_BY_WORKFLOW

SLACK_S = 60.0  # two machines that share a disk may differ by as much
_NS = 1_000_000_000


def bring_back(folder: str | Path, *left_alone: str) -> str | None:
    """Give files of the future times up to now; what is later than another stays later.

    Within a folder that is one output of the workflow only the file counts that stands for its time.

    Args:
        folder: Where results lie.
        left_alone: Names in it that are left as they are.

    Returns:
        What was done, in a line; None where nothing was to be done.
    """
    now = time.time_ns()
    tops = (path for path in Path(folder).glob("*") if path.name not in left_alone)
    times: list[tuple[Path, int]] = []
    for path in (path for top in tops for path in _timed(top)):
        with suppress(FileNotFoundError):  # a part of a file, which has its name by now
            times.append((path, path.lstat().st_mtime_ns))
    ahead = max((stamp for _, stamp in times), default=now) - now
    if ahead <= SLACK_S * _NS:
        return None
    later = [(path, stamp) for path, stamp in times if stamp > now]
    minutes = f"{ahead / _NS / 60:,.0f} minutes"
    told = f"{folder}: {len(later)} files are from the future, by up to {minutes}: was the clock set back?"
    try:
        for path, stamp in later:
            os.utime(path, ns=(stamp - ahead, stamp - ahead), follow_symlinks=False)
    except OSError as error:
        return f"{told} Their times cannot be changed: {error}"
    return f"{told} They are taken as made before now"


def _timed(path: Path) -> Iterator[Path]:
    """The files whose times count, of a file or a folder."""
    if path.is_symlink() or not path.is_dir():
        yield path
    elif (path / MADE_BY_WORKFLOW).is_file():
        yield path / MADE_BY_WORKFLOW
    else:
        for part in path.iterdir():
            yield from _timed(part)
