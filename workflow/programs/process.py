"""Runs a foreign program in a process of its own, offline, and shows how far it is."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from defectbench.base.errors import DiskFullError, ProgramError

# On the path of every program: Python runs its sitecustomize.py first.
COMPAT = Path(__file__).parent / "compat"
POLL_S = 1.0


def environment(threads: int, gpu: bool = False) -> dict[str, str]:
    """What the process of a program finds: its threads, the folder above, and GPUs only if asked."""
    paths = [str(COMPAT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
        "MPLBACKEND": "Agg",
    }


def run_process(
    command: list[str], work: Path, environ: Mapping[str, str], watch: Watch | None = None
) -> None:
    """Run a program and wait; its output goes to ``program.log``.

    Args:
        command: The program and its arguments.
        work: Where it runs.
        environ: Its environment.
        watch: Told about once a second while it runs.

    Raises:
        ProgramError: It failed; the error holds its last lines.
        DiskFullError: It failed because the disk is full.
    """
    log = work / "program.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environ, cwd=work)
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                if watch is not None:
                    watch.report()
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise failure(log, process.returncode)
    if watch is not None:
        watch.report()


def first_whole(checkpoints: Iterable[Path]) -> Path | None:
    """The first checkpoint that no kill has cut short; None if there is none.

    They are pickles in a ZIP archive: nothing but the checksums of the archive is read here.
    """
    for path in checkpoints:
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is None:
                    return path
        except (OSError, zipfile.BadZipFile):
            continue
    return None


def failure(log: Path, status: int) -> ProgramError | DiskFullError:
    """The named error of a program that failed, from the last lines that it printed."""
    lines = [
        line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    last = " | ".join([line for line in lines if line][-6:])
    if os.strerror(errno.ENOSPC) in last:
        fix = "make room on this disk, then run the same command again; it continues"
        return DiskFullError(log.parent, "free bytes", shutil.disk_usage(log.parent).free, fix)
    return ProgramError(log, "exit status", status, f"last lines: {last}")


class Watch:
    """Prints one line for each finished epoch.

    Args:
        rows: Reads what is finished: rows with epoch, seconds, loss, images_per_s and, where it was
            validated, val_map50.
        cell: Name of the cell, for the line.
        epochs: Epochs of the run.
    """

    def __init__(self, rows: Callable[[], list[dict[str, float]]], cell: str, epochs: int) -> None:
        self.rows, self.cell, self.epochs = rows, cell, epochs
        self.seen = len(rows())

    def report(self) -> None:
        """Print what is new."""
        rows = self.rows()
        for row in rows[self.seen :]:
            left = row["seconds"] / row["epoch"] * (self.epochs - row["epoch"])
            line = f"{self.cell}  epoch {row['epoch']:.0f}/{self.epochs}  loss {row['loss']:.3f}"
            score = f"  val mAP50 {row['val_map50']:.3f}" if "val_map50" in row else ""
            speed = f"{row['images_per_s']:.1f} images/s"
            sys.stdout.write(f"{line}  {speed}  ETA {left // 60:.0f}:{left % 60:02.0f}{score}\n")
            sys.stdout.flush()
        self.seen = len(rows)
