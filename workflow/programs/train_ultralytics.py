"""Trains a network by the `yolo` command in a process of its own and adapts its export.

ultralytics is AGPL-3.0: this file imports nothing of it. It writes a dataset folder in the program's layout, runs the
program offline and quiet, reads its results table and adapts its ONNX export to the artifact signature.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from cell import provenance, record_training, run_cell, train_images
from process import Watch
from yolo_program import (
    is_finished,
    read_history,
    run_program,
    set_table_aside,
    sound_checkpoint,
)

from defectbench.base.errors import ConfigError, ConversionError
from defectbench.base.files import atomic_directory
from defectbench.data.coco import protocol_coco, read_part
from defectbench.deploy.adapt import adapt_centre_form, weights_digest


def write_dataset(dataset_dir: Path, protocol: str, out: Path) -> Path:
    """Write train and val in the program's layout.

    Images are copied as bytes and not linked: the program rewrites those that it takes for damaged.

    Returns:
        The dataset's YAML file.

    Raises:
        ConfigError: The dataset is for another task.
        ConversionError: An image is missing.
    """
    coco, images = protocol_coco(dataset_dir, protocol)
    if coco.task != "detection":
        fix = "this method detects; give a detection dataset"
        raise ConfigError(dataset_dir, "task", coco.task, fix)
    with atomic_directory(out) as part:
        for name in ("train", "val"):
            (part / "images" / name).mkdir(parents=True)
            (part / "labels" / name).mkdir(parents=True)
            for file in read_part(dataset_dir, protocol, name):
                if not (images / file).is_file():
                    raise ConversionError(images / file, "image", "nothing", "convert again")
                shutil.copyfile(images / file, part / "images" / name / file)
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


def label_row(box: dict[str, Any], entry: dict[str, Any]) -> str:
    """One line: class, centre and sides, relative to the image."""
    x, y, w, h = box["bbox"]
    width, height = entry["width"], entry["height"]
    values = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    return f"{box['category_id']} " + " ".join(f"{value:.8f}" for value in values) + "\n"


def train(args: argparse.Namespace, work: Path) -> Path:
    """Run the training, or go on with one that was killed; returns the program's run folder."""
    data = write_dataset(args.dataset_dir, args.protocol, work / "data")
    images = train_images(args)
    run = work / "run"
    if is_finished(run, args.epochs):
        return run
    begun = sound_checkpoint(run)
    if begun is None and run.exists():
        shutil.rmtree(run)
    set_table_aside(run)
    settings = {
        "model": begun or args.network,
        "resume": begun is not None,
        "data": data.resolve(),
        "epochs": args.epochs,
        "patience": args.epochs,
        "imgsz": args.size,
        "batch": args.batch,
        "seed": args.seed,
        "pretrained": False,
        "deterministic": True,
        "device": "0" if args.device == "cuda" else "cpu",
        "workers": 0,
        "amp": False,
        "plots": False,
        "project": work.resolve(),
        "name": "run",
        "exist_ok": True,
        **args.recipe.options,
    }
    name = "/".join(args.out.parts[-4:])
    watch = Watch(lambda: read_history(run, images), name, args.epochs)
    arguments = ["detect", "train", *(f"{key}={value}" for key, value in settings.items())]
    run_program(arguments, work, args.threads, watch, gpu=args.device == "cuda")
    return run


def export(run: Path, work: Path, args: argparse.Namespace) -> None:
    """Export the best weights by the program and adapt the file to the artifact signature."""
    best = (run / "weights" / "best.pt").resolve()
    options = {
        "model": best,
        "format": "onnx",
        "dynamic": True,
        "opset": 17,
        "simplify": True,
        "imgsz": args.size,
        "device": "cpu",
    }
    run_program(
        ["export", *(f"{key}={value}" for key, value in options.items())], work, args.threads
    )
    coco, _ = protocol_coco(args.dataset_dir, args.protocol)
    exported = best.with_suffix(".onnx")
    origin = provenance(args, weights_digest(exported))
    adapt_centre_form(exported, args.out / "model.onnx", args.size, coco.classes, origin)


def record(run: Path, args: argparse.Namespace) -> None:
    """Write history.csv and train.json in the engine's terms."""
    images = train_images(args)
    history = read_history(run, images)
    chosen = yaml.safe_load((run / "args.yaml").read_text())
    # that a run was taken up again is no part of how it learnt
    chosen |= {"model": args.network, "resume": False}
    record_training(args, history, -(-images // args.batch) * len(history), chosen)


def make(args: argparse.Namespace, work: Path) -> None:
    """Train, export, record."""
    run = train(args, work)
    export(run, work, args)
    record(run, args)


if __name__ == "__main__":
    sys.exit(run_cell(__doc__, make))
