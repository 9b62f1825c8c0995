"""Trains YOLOv8n by the `yolo` command in a process of its own and adapts its export.

ultralytics is AGPL-3.0: this file imports nothing of it. It writes a dataset folder in the program's layout, runs the
program offline and quiet, reads its results table and adapts its ONNX export to the artifact signature.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import yaml

from defectbench.base.errors import DefectBenchError, LeakageError, ProgramError
from defectbench.base.files import (
    atomic_directory,
    atomic_write_json,
    atomic_write_text,
    exclusive_lock,
    read_json,
    sha256_file,
)
from defectbench.base.methods import load_recipe, override_recipe
from defectbench.base.records import read_record, write_record
from defectbench.data.coco import protocol_coco, read_part
from defectbench.deploy.adapt import adapt_centre_form

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("yolo")
QUIET = {
    "sync": False,
    "clearml": False,
    "comet": False,
    "mlflow": False,
    "neptune": False,
    "wandb": False,
}
POLL_S = 1.0


def write_dataset(dataset_dir: Path, protocol: str, out: Path) -> Path:
    """Write train and val in the program's layout; images are linked or copied, never re-encoded.

    Returns:
        The dataset's YAML file.
    """
    coco, images = protocol_coco(dataset_dir, protocol)
    with atomic_directory(out) as part:
        for name in ("train", "val"):
            (part / "images" / name).mkdir(parents=True)
            (part / "labels" / name).mkdir(parents=True)
            for file in read_part(dataset_dir, protocol, name):
                link_or_copy(images / file, part / "images" / name / file)
                entry = coco.images[file]
                rows = [label_row(box, entry) for box in coco.boxes[entry["id"]]]
                (part / "labels" / name / f"{Path(file).stem}.txt").write_text("".join(rows))
        content = {
            "path": str(out.resolve()),
            "train": "images/train",
            "val": "images/val",
            "names": dict(enumerate(coco.classes)),
        }
        (part / "data.yaml").write_text(yaml.safe_dump(content))
    return out / "data.yaml"


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes under another name."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def label_row(box: dict, entry: dict) -> str:
    """One line: class, centre and sides, relative to the image."""
    x, y, w, h = box["bbox"]
    width, height = entry["width"], entry["height"]
    values = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    return f"{box['category_id']} " + " ".join(f"{value:.8f}" for value in values) + "\n"


def environment(work: Path, threads: int) -> dict[str, str]:
    """The program's environment: offline, quiet, its settings in our folder, its threads set before it sets them."""
    settings = work / "settings" / "Ultralytics"
    atomic_write_json(
        settings / "settings.json", {**QUIET, "runs_dir": str(work), "datasets_dir": str(work)}
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
        "MPLBACKEND": "Agg",
    }


def run_program(arguments: list[str], work: Path, threads: int, watch: Watch | None = None) -> None:
    """Run `yolo` and wait; its output goes to a log.

    Raises:
        ProgramError: It is missing or failed; the error holds its last lines.
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
            env=environment(work, threads),
            cwd=work,
        )
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                if watch is not None:
                    watch.report()
        finally:
            process.kill()
    if process.returncode:
        last = log.read_text(errors="replace").splitlines()[-6:]
        raise ProgramError(
            log, "exit status", process.returncode, "last lines: " + " | ".join(last)
        )


class Watch:
    """Prints one line for each finished epoch, from the program's results table.

    Args:
        table: The program's results.csv.
        cell: Name of the cell, for the line.
        epochs: Epochs of the run.
        images: Images an epoch.
    """

    def __init__(self, table: Path, cell: str, epochs: int, images: int) -> None:
        self.table, self.cell, self.epochs, self.images = table, cell, epochs, images
        self.seen = len(read_table(table))

    def report(self) -> None:
        """Print what is new."""
        rows = read_table(self.table)
        for row in rows[self.seen :]:
            loss = sum(value for key, value in row.items() if key.startswith("train/"))
            speed = self.images * row["epoch"] / max(row["time"], 1e-9)
            left = row["time"] / row["epoch"] * (self.epochs - row["epoch"])
            line = f"{self.cell}  epoch {row['epoch']:.0f}/{self.epochs}  loss {loss:.3f}  {speed:.1f} images/s"
            score = f"val mAP50 {row['metrics/mAP50(B)']:.3f}"
            sys.stdout.write(f"{line}  ETA {left // 60:.0f}:{left % 60:02.0f}  {score}\n")
            sys.stdout.flush()
        self.seen = len(rows)


def read_table(path: Path) -> list[dict[str, float]]:
    """Rows of the program's results.csv as floats; none while it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="") as handle:
        rows = [{k.strip(): v for k, v in row.items() if k} for row in csv.DictReader(handle)]
    return [{k: float(v) for k, v in row.items()} for row in rows if all(row.values())]


def train(args: argparse.Namespace, work: Path) -> Path:
    """Run the training, or go on with one that was killed; returns the program's run folder."""
    data = write_dataset(args.dataset_dir, args.protocol, work / "data")
    images = len(read_part(args.dataset_dir, args.protocol, "train"))
    run = work / "run"
    watch = Watch(run / "results.csv", "/".join(args.out.parts[-4:]), args.epochs, images)
    last = (run / "weights" / "last.pt").resolve()
    settings = {
        "model": str(last) if last.is_file() else "yolov8n.yaml",
        "resume": last.is_file(),
        "data": data.resolve(),
        "epochs": args.epochs,
        "patience": args.epochs,
        "imgsz": args.size,
        "batch": args.batch,
        "seed": args.seed,
        "pretrained": False,
        "deterministic": True,
        "device": "cpu",
        "workers": 0,
        "amp": False,
        "plots": False,
        "project": work.resolve(),
        "name": "run",
        "exist_ok": True,
        **args.options,
    }
    if len(watch_done(run)) < args.epochs or not (run / "weights" / "best.pt").is_file():
        arguments = ["detect", "train", *(f"{key}={value}" for key, value in settings.items())]
        run_program(arguments, work, args.threads, watch)
        watch.report()
    return run


def watch_done(run: Path) -> list[dict[str, float]]:
    """Epochs that the program has finished."""
    return read_table(run / "results.csv")


def export(run: Path, work: Path, args: argparse.Namespace) -> None:
    """Export the best weights by the program and adapt the file to the artifact signature."""
    best = (run / "weights" / "best.pt").resolve()
    options = {
        "model": best,
        "format": "onnx",
        "dynamic": True,
        "opset": 17,
        "imgsz": args.size,
        "device": "cpu",
    }
    run_program(
        ["export", *(f"{key}={value}" for key, value in options.items())], work, args.threads
    )
    coco, _ = protocol_coco(args.dataset_dir, args.protocol)
    provenance = {
        "method": "yolov8n_ultralytics",
        "dataset": args.dataset_dir.name,
        "protocol": args.protocol,
        "seed": args.seed,
        "licence": "AGPL-3.0",
        "weights_sha256": sha256_file(best),
    }
    adapt_centre_form(
        best.with_suffix(".onnx"), args.out / "model.onnx", args.size, coco.classes, provenance
    )


def record(run: Path, args: argparse.Namespace, images: int) -> None:
    """Write history.csv and train.json in the engine's terms."""
    rows = read_table(run / "results.csv")
    history = [
        {
            "epoch": int(row["epoch"]),
            "loss": sum(value for key, value in row.items() if key.startswith("train/")),
            "lr": row["lr/pg0"],
            "images_per_s": images * row["epoch"] / max(row["time"], 1e-9),
            "val_map50": row["metrics/mAP50(B)"],
            "val_map50_95": row["metrics/mAP50-95(B)"],
        }
        for row in rows
    ]
    lines = [",".join(history[0])] + [",".join(f"{v:.6g}" for v in row.values()) for row in history]
    atomic_write_text(args.out / "history.csv", "\n".join(lines) + "\n")
    best = max(history, key=lambda row: row["val_map50_95"])
    steps = -(-images // args.batch) * len(rows)
    figures = {
        "epochs": len(rows),
        "steps": steps,
        "batch": args.batch,
        "size_px": args.size,
        "train_images": images,
        "train_s": rows[-1]["time"],
        "images_per_s": history[-1]["images_per_s"],
        "final_loss": history[-1]["loss"],
        "best_epoch": best["epoch"],
        "val_map50_95": best["val_map50_95"],
        "threads": args.threads,
    }
    chosen = yaml.safe_load((run / "args.yaml").read_text())
    extra = {
        "method": "yolov8n_ultralytics",
        "seed": args.seed,
        "recipe": json.loads(json.dumps(chosen, default=str)),
        "licence": "AGPL-3.0; run as a program of its own",
    }
    certificate = args.dataset_dir / args.protocol / "certificate.json"
    write_record(
        args.out / "train.json",
        "train",
        figures,
        {"certificate": certificate},
        rows[-1]["time"],
        extra,
    )


def refuse_leak(args: argparse.Namespace) -> None:
    """Stop before a clean split whose certificate shows shared pixels.

    Raises:
        LeakageError: It is such a split.
    """
    path = args.dataset_dir / args.protocol / "certificate.json"
    shared = read_record(path, "certificate")["figures"]["shared_pixels"]
    if args.protocol == "clean" and shared:
        raise LeakageError(path, "shared_pixels", shared, "split by groups and certify again")


def start_anew_if_changed(work: Path, args: argparse.Namespace) -> None:
    """Drop what another setting, split or recipe has begun here; keep what is to be continued."""
    lists = [args.dataset_dir / args.protocol / f"{part}.txt" for part in ("train", "val")]
    begun = {
        **{key: getattr(args, key) for key in ("seed", "size", "epochs", "batch", "options")},
        "inputs": [sha256_file(path) for path in (*lists, protocol_annotations(args))],
    }
    settings = work / "begun.json"
    if not settings.is_file() or read_json(settings) != begun:
        shutil.rmtree(work)
        atomic_write_json(settings, begun)


def protocol_annotations(args: argparse.Namespace) -> Path:
    """The truth of the protocol: ``paper`` has its own."""
    folder = args.dataset_dir / "paper" if args.protocol == "paper" else args.dataset_dir
    return folder / "annotations.json"


def program_options(changes: list[str]) -> dict[str, Any]:
    """Further arguments of the program: the recipe's options, with the study's changes."""
    fields = {name: yaml.safe_load(value) for name, _, value in (c.partition("=") for c in changes)}
    return override_recipe(load_recipe(HERE), fields, "--set").options


def main() -> int:
    """Train, export, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset-dir", type=Path, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--out", type=Path, required=True)
    for option in ("--seed", "--size", "--epochs", "--batch", "--threads"):
        parser.add_argument(option, type=int, required=True)
    text = "a field of the recipe, such as options={nbs: 16}"
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    args = parser.parse_args()
    args.out = args.out.resolve()
    work = args.out / "checkpoint"
    work.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive_lock(args.out / ".train.lock"):
            args.options = program_options(args.set)
            refuse_leak(args)
            start_anew_if_changed(work, args)
            run = train(args, work)
            export(run, work, args)
            record(run, args, len(read_part(args.dataset_dir, args.protocol, "train")))
    except DefectBenchError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
