"""Trains a network by the `yolo` command in a process of its own and adapts its export.

ultralytics is AGPL-3.0: this file imports nothing of it. The program sees the very pixels of the packs, so that its
network learns from what it is later scored on. This side writes them in the program's layout, runs it offline and
quiet, reads its results table and adapts its ONNX export to the artifact signature.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from cell import provenance, record_training, run_cell, write_pixels
from process import Watch
from yolo_program import (
    is_finished,
    read_history,
    read_taken,
    run_program,
    set_table_aside,
    sound_checkpoint,
)

from defectbench.base.errors import ConfigError
from defectbench.base.files import atomic_directory
from defectbench.data.pack import Pack, load_pack
from defectbench.deploy.adapt import adapt_centre_form, adapt_end_to_end, weights_digest

# of a network with two heads, the one that says each object once: it is validated and exported
ONCE = {"nms": False}


def write_dataset(packs: dict[str, Pack], out: Path) -> Path:
    """Write train and val in the program's layout.

    Returns:
        The dataset's YAML file.
    """
    with atomic_directory(out) as part:
        for name, pack in packs.items():
            labels = part / "labels" / name
            labels.mkdir(parents=True)
            files = write_pixels(pack, part / "images" / name)
            for file, boxes, classes in zip(files, pack.boxes, pack.labels, strict=True):
                truth = zip(boxes.tolist(), classes.tolist(), strict=True)
                rows = [label_row(box, label, pack.size) for box, label in truth if label >= 0]
                (labels / f"{Path(file).stem}.txt").write_text("".join(rows), encoding="utf-8")
        content = {
            "path": str(out.resolve()),
            "train": "images/train",
            "val": "images/val",
            "names": dict(enumerate(packs["train"].classes)),
        }
        (part / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return out / "data.yaml"


def label_row(box: list[float], label: int, size: int) -> str:
    """One line: class, centre and sides, relative to the square."""
    x0, y0, x1, y1 = (value / size for value in box)
    values = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
    return f"{label} " + " ".join(f"{value:.8f}" for value in values) + "\n"


def train(args: argparse.Namespace, work: Path, packs: dict[str, Pack]) -> Path:
    """Run the training, or go on with one that was killed; returns the program's run folder."""
    if args.recipe.precision == "bfloat16":
        fix = "the program trains in float32 here; take float32 or auto"
        raise ConfigError(args.method, "precision", args.recipe.precision, fix)
    data = write_dataset(packs, work / "data")
    images = len(packs["train"])
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
        "pretrained": args.start or False,
        "deterministic": True,
        "device": "0" if args.device == "cuda" else "cpu",
        "workers": 0,
        "amp": False,
        "plots": False,
        **ONCE,
        "project": work.resolve(),
        "name": "run",
        "exist_ok": True,
        **args.recipe.options,
    }
    name = "/".join(args.out.parts[-4:])
    watch = Watch(lambda: read_history(run, images), name, args.epochs)
    arguments = ["detect", "train", *(f"{key}={value}" for key, value in settings.items())]
    # of a start it says in its log how much it took
    talks = args.start is not None
    run_program(arguments, work, args.threads, watch, gpu=args.device == "cuda", talks=talks)
    return run


def export(run: Path, work: Path, args: argparse.Namespace, classes: list[str]) -> None:
    """Export the weights that the recipe keeps by the program and adapt the file to the artifact signature."""
    kept = (run / "weights" / f"{args.recipe.keep}.pt").resolve()
    options = {
        "model": kept,
        "format": "onnx",
        "dynamic": True,
        "opset": 17,
        "simplify": True,
        "imgsz": args.size,
        "device": "cpu",
        "nms": args.recipe.options.get("nms", ONCE["nms"]),
    }
    run_program(
        ["export", *(f"{key}={value}" for key, value in options.items())], work, args.threads
    )
    exported = kept.with_suffix(".onnx")
    origin = provenance(args, weights_digest(exported))
    adapt = adapt_end_to_end if is_end_to_end(exported) else adapt_centre_form
    adapt(exported, args.out / "model.onnx", args.size, classes, origin)


def is_end_to_end(exported: Path) -> bool:
    """Whether the program says of its export that it chooses its best boxes itself."""
    return {e.key: e.value for e in onnx.load(exported).metadata_props}.get("end2end") == "True"


def record(run: Path, args: argparse.Namespace, images: int) -> None:
    """Write history.csv and train.json in the engine's terms."""
    history = read_history(run, images)
    chosen = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))
    # that a run was taken up again is no part of how it learnt
    chosen |= {"model": args.network, "resume": False}
    taken = None if args.start is None else read_taken(run.parent)
    updates = updates_of(chosen, images, len(history))
    record_training(args, history, updates, images, chosen, taken)


def updates_of(chosen: dict[str, Any], images: int, epochs: int) -> int:
    """How often the program moved its weights.

    It gathers the gradients of as many batches as come nearest to ``nbs`` images before each update; over the warm-up
    their number grows linearly from one (facts of ultralytics 8.4.190).

    Args:
        chosen: The settings that it says it ran with: ``batch``, ``nbs``, ``warmup_epochs``, ``epochs``.
        images: Images of the training part.
        epochs: Epochs that it ran.
    """
    batches = -(-images // chosen["batch"])
    gathered = max(round(chosen["nbs"] / chosen["batch"]), 1)
    gathered = min(gathered, batches * chosen["epochs"])
    warmup = round(min(chosen["warmup_epochs"], max(chosen["epochs"] - 1, 0)) * batches)
    updates, last = 0, -1
    for step in range(batches * epochs):
        wanted = gathered
        if warmup and step <= warmup:
            wanted = max(1, int(np.interp(step, (0, warmup), (1, gathered)).round()))
        if step - last >= wanted:
            updates, last = updates + 1, step
    return updates


def make(args: argparse.Namespace, work: Path) -> None:
    """Train, export, record."""
    packs = {"train": load_pack(args.train), "val": load_pack(args.val)}
    run = train(args, work, packs)
    export(run, work, args, packs["train"].classes)
    record(run, args, len(packs["train"]))


if __name__ == "__main__":
    sys.exit(run_cell(__doc__, make, may_start=True))
