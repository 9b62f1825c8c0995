"""What a process of a measurement said before it ended, as one error that leads to the rest of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

from ..base.errors import ProgramError


def worker_failure(
    run: CompletedProcess[str], where: str | Path, worker: str, hint: str
) -> ProgramError:
    """The failure of a process.

    Args:
        run: The process that ended, with its texts.
        where: The model file at hand.
        worker: What the process measured.
        hint: What the user can do about it.
    """
    signal = f"ended by signal {-run.returncode}" if run.returncode < 0 else "no message"
    lines = run.stderr.strip().splitlines()
    if not lines:
        return ProgramError(where, worker, signal, hint)
    handle, log = tempfile.mkstemp(prefix=f"defectbench-{worker.replace(' ', '-')}-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(run.stderr)
    return ProgramError(where, worker, lines[-1], f"all that it said stands in {log}; {hint}")
