"""Runs the `yolo` program in a process of its own, offline and quiet, and reads what it writes."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from pathlib import Path

import matplotlib
import process

from defectbench.base.errors import ProgramError
from defectbench.base.files import atomic_write_json

TAKEN = re.compile(r"Transferred (\d+)/(\d+) items from pretrained weights")
PROGRAM = Path(sys.executable).with_name("yolo")
# The program's reports to others, all off.
SWITCHES = (
    *("sync", "clearml", "comet", "dvc", "mlflow", "raytune"),
    *("tensorboard", "wandb", "vscode_msg", "openvino_msg"),
)


def environment(work: Path, threads: int, gpu: bool = False, talks: bool = False) -> dict[str, str]:
    """The program's environment: offline, its settings in our folder, its threads set before it sets them.

    It is quiet unless it ``talks``.
    """
    settings = work / "settings" / "Ultralytics"
    atomic_write_json(
        settings / "settings.json",
        {**dict.fromkeys(SWITCHES, False), "runs_dir": str(work), "datasets_dir": str(work)},
    )
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    shutil.copyfile(font, settings / "Arial.ttf")
    return {
        **process.environment(threads, gpu),
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_VERBOSE": str(int(talks)),
        "YOLO_CONFIG_DIR": str((work / "settings").resolve()),
    }


def run_program(
    arguments: list[str],
    work: Path,
    threads: int,
    watch: process.Watch | None = None,
    gpu: bool = False,
    talks: bool = False,
) -> None:
    """Run `yolo` and wait; its output goes to a log, more of it if it ``talks``. It sees GPUs only if ``gpu`` is true.

    Raises:
        ProgramError: It is missing or failed; the error holds its last lines.
        DiskFullError: It failed because the disk is full.
    """
    if not PROGRAM.is_file():
        raise ProgramError(
            PROGRAM, "program", "nothing", "pip install ultralytics==8.4.190, or run `make all`"
        )
    command = [str(PROGRAM), *arguments]
    process.run_process(command, work, environment(work, threads, gpu, talks), watch)


def read_taken(work: Path) -> dict[str, int]:
    """How much of the weights that a run started from the program took, by its log.

    Raises:
        ProgramError: It does not say so: it has not started from them.
    """
    log = work / "program.log"
    found = TAKEN.findall(log.read_text(encoding="utf-8", errors="replace"))
    if not found:
        fix = "no word of weights that it took: use ultralytics==8.4.190, or start from scratch"
        raise ProgramError(log, "start", "nothing", fix)
    loaded, own = map(
        int, found[0]
    )  # further ones are of runs that were taken up: they load their own checkpoint
    return {"n_tensors_loaded": loaded, "n_tensors": own}


def read_history(run: Path, images: int) -> list[dict[str, float]]:
    """The rows of a run in the engine's terms; ``images`` is the number of images an epoch."""
    return [
        {
            "epoch": row["epoch"],
            "seconds": row["time"],
            "loss": sum(value for key, value in row.items() if key.startswith("train/")),
            "lr": row["lr/pg0"],
            "images_per_s": images * row["epoch"] / max(row["time"], 1e-9),
            "val_map50": row["metrics/mAP50(B)"],
            "val_map50_95": row["metrics/mAP50-95(B)"],
        }
        for row in read_table(run)
    ]


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
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
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

    The program writes them in place, so a kill can cut one short.
    """
    weights = run / "weights"
    return process.first_whole((weights / name).resolve() for name in ("last.pt", "best.pt"))


def is_finished(run: Path, epochs: int) -> bool:
    """Whether the last epoch is in the table and its checkpoint, written after it, is there."""
    table, last = run / "results.csv", run / "weights" / "last.pt"
    if len(read_table(run)) < epochs or not (run / "weights" / "best.pt").is_file():
        return False
    if not (table.is_file() and last.is_file()):
        return False
    return last.stat().st_mtime_ns >= table.stat().st_mtime_ns
