"""Runs the `yolo` program in a process of its own, offline and quiet, and reads what it writes."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import matplotlib

from defectbench.base.errors import DiskFullError, ProgramError
from defectbench.base.files import atomic_write_json

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("yolo")
# The program's reports to others, all off.
SWITCHES = (
    *("sync", "clearml", "comet", "dvc", "mlflow", "raytune"),
    *("tensorboard", "wandb", "vscode_msg", "openvino_msg"),
)
POLL_S = 1.0


def environment(work: Path, threads: int, gpu: bool = False) -> dict[str, str]:
    """The program's environment: offline, quiet, its settings in our folder, its threads set before it sets them."""
    settings = work / "settings" / "Ultralytics"
    atomic_write_json(
        settings / "settings.json",
        {**dict.fromkeys(SWITCHES, False), "runs_dir": str(work), "datasets_dir": str(work)},
    )
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    shutil.copyfile(font, settings / "Arial.ttf")
    paths = [str(HERE / "compat"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_VERBOSE": "0",
        "YOLO_CONFIG_DIR": str((work / "settings").resolve()),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
        "MPLBACKEND": "Agg",
    }


def run_program(
    arguments: list[str],
    work: Path,
    threads: int,
    watch: Watch | None = None,
    gpu: bool = False,
) -> None:
    """Run `yolo` and wait; its output goes to a log. It sees GPUs only if ``gpu`` is true.

    Raises:
        ProgramError: It is missing or failed; the error holds its last lines.
        DiskFullError: It failed because the disk is full.
    """
    if not PROGRAM.is_file():
        raise ProgramError(
            PROGRAM, "program", "nothing", "pip install ultralytics==8.4.190, or run `make all`"
        )
    log = work / "program.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            stdout=sink,
            stderr=sink,
            env=environment(work, threads, gpu),
            cwd=work,
        )
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


def failure(log: Path, status: int) -> ProgramError | DiskFullError:
    """The named error of a program that failed, from the last lines that it printed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    last = " | ".join([line for line in lines if line][-6:])
    if os.strerror(errno.ENOSPC) in last:
        fix = "make room on this disk, then run the same command again; it continues"
        return DiskFullError(log.parent, "free bytes", shutil.disk_usage(log.parent).free, fix)
    return ProgramError(log, "exit status", status, f"last lines: {last}")


class Watch:
    """Prints one line for each finished epoch, from the program's results table.

    Args:
        run: The program's run folder.
        cell: Name of the cell, for the line.
        epochs: Epochs of the run.
        images: Images an epoch.
    """

    def __init__(self, run: Path, cell: str, epochs: int, images: int) -> None:
        self.run, self.cell, self.epochs, self.images = run, cell, epochs, images
        self.seen = len(read_table(run))

    def report(self) -> None:
        """Print what is new."""
        rows = read_table(self.run)
        for row in rows[self.seen :]:
            loss = sum(value for key, value in row.items() if key.startswith("train/"))
            speed = self.images * row["epoch"] / max(row["time"], 1e-9)
            left = row["time"] / row["epoch"] * (self.epochs - row["epoch"])
            line = f"{self.cell}  epoch {row['epoch']:.0f}/{self.epochs}  loss {loss:.3f}  {speed:.1f} images/s"
            score = f"val mAP50 {row['metrics/mAP50(B)']:.3f}"
            sys.stdout.write(f"{line}  ETA {left // 60:.0f}:{left % 60:02.0f}  {score}\n")
            sys.stdout.flush()
        self.seen = len(rows)


def read_table(run: Path) -> list[dict[str, float]]:
    """Rows that the program has written of a run as floats, one an epoch.

    Its clock starts anew when a run continues, and an epoch whose checkpoint was lost is written a
    second time. Here the later row holds, and `time` is the seconds of all epochs up to this one,
    validation included.

    Raises:
        ProgramError: A figure is no number.
    """
    rows: dict[int, dict[str, float]] = {}
    for path in [*sorted(run.glob("results-*.csv")), *run.glob("results.csv")]:
        before: float | None = None
        for row in _rows(path):
            epoch = int(row["epoch"])
            if before is None:
                before = rows[epoch - 1]["time"] if epoch - 1 in rows else 0.0
            rows[epoch] = {**row, "time": before + row["time"]}
    return [rows[epoch] for epoch in sorted(rows)]


def _rows(path: Path) -> list[dict[str, float]]:
    """Whole lines of one table; the program may be writing its last one."""
    whole = path.read_text().rpartition("\n")[0]
    rows = []
    for raw in csv.DictReader(whole.splitlines()):
        try:
            rows.append({name.strip(): float(value) for name, value in raw.items()})
        except (AttributeError, TypeError, ValueError) as error:
            fix = "delete this folder and train again"
            raise ProgramError(path, "row", list(raw.values()), fix) from error
    return rows


def set_table_aside(run: Path) -> None:
    """Keep what was written so far under a name of its own, before the program continues."""
    table = run / "results.csv"
    if table.is_file():
        number = len(list(run.glob("results-*.csv")))
        table.rename(run / f"results-{number:04d}.csv")


def sound_checkpoint(run: Path) -> Path | None:
    """A whole checkpoint to go on from, the last one or else the best; None if there is none.

    The program writes them in place, so a kill can cut one short. They are pickles: nothing but
    the checksums of their archive is read here.
    """
    for name in ("last.pt", "best.pt"):
        path = (run / "weights" / name).resolve()
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is None:
                    return path
        except (OSError, zipfile.BadZipFile):
            continue
    return None


def is_finished(run: Path, epochs: int) -> bool:
    """Whether the last epoch is in the table and its checkpoint, written after it, is there."""
    table, last = run / "results.csv", run / "weights" / "last.pt"
    if len(read_table(run)) < epochs or not (run / "weights" / "best.pt").is_file():
        return False
    if not (table.is_file() and last.is_file()):
        return False
    return last.stat().st_mtime_ns >= table.stat().st_mtime_ns
