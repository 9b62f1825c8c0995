"""Processes of measurements: started in one way; what one said before it failed, as an error that leads to the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

from ..base.errors import ProgramError

NO_MEMORY = "the machine may have no memory left for it: free some, or measure fewer models at once"
KILLED = 9  # by the kernel, as a rule, where memory runs out


def run_worker(module: str, arguments: Sequence[str], threads: int) -> CompletedProcess[str]:
    """Run a module of this package in a fresh process.

    Args:
        module: Its name within ``defectbench.measure``.
        arguments: What it is told.
        threads: Threads of the libraries that it computes with.
    """
    count = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=environment,
    )


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
    hint = f"{NO_MEMORY}; {hint}" if run.returncode == -KILLED else hint
    lines = run.stderr.strip().splitlines()
    if not lines:
        return ProgramError(where, worker, signal, hint)
    handle, log = tempfile.mkstemp(prefix=f"defectbench-{worker.replace(' ', '-')}-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(run.stderr)
    return ProgramError(where, worker, lines[-1], f"all that it said stands in {log}; {hint}")
