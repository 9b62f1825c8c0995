"""Trains a network of mmdetection in an environment and a process of its own and adapts its export.

The program sees the very pixels of the packs, so that its network learns from what it is later scored on. This side
writes images, annotations and settings for it, reads its history, and checks its export against its own figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cell import provenance, record_training, run_cell, write_pixels
from process import Watch, environment, first_whole, run_process

from defectbench.base.devices import settle_precision
from defectbench.base.errors import ArtifactError, ConfigError
from defectbench.base.files import atomic_directory, atomic_write_json, read_json, sha256_file
from defectbench.base.methods import Augmentation, Recipe
from defectbench.data.pack import Pack, load_pack
from defectbench.deploy.adapt import adapt_signature, weights_digest
from defectbench.deploy.free_batch import PRIMES, BoundBatchError
from defectbench.deploy.runtime import OnnxDetector

INSIDE = Path(__file__).parent.resolve() / "mmdetection" / "mmdet_program.py"
TOLERANCE = 1e-4
# oneDNN leaves the bfloat16 weight gradient of a strided convolution on one cell unwritten (seen in torch 2.13.0); the
# pyramid's last level is made from maps of stride 64
LAST_CELL = 64


def make(args: argparse.Namespace, work: Path) -> None:
    """Train, export, record."""
    packs = {"train": load_pack(args.train), "val": load_pack(args.val)}
    settings = program_settings(args, work, packs["train"].classes)
    start_anew_if_told_otherwise(work, settings)
    run_program(args, work, packs, settings)
    adapt(args, work, settings)
    record(args, settings, len(packs["train"]))


def program_settings(args: argparse.Namespace, work: Path, classes: list[str]) -> dict[str, Any]:
    """What the program is told: the recipe in its terms, and where its files lie."""
    recipe = with_precision(supported(args.recipe, args.method), args)
    return {
        "network": str(Path(args.network).resolve()),
        "network_sha256": sha256_file(args.network),
        "classes": classes,
        **{name: getattr(args, name) for name in ("seed", "size", "epochs", "batch")},
        **recipe.model_dump(
            include={"optimizer", "schedule", "grad_clip", "ema", "precision"}, mode="json"
        ),
        "flip_lr": recipe.augmentation.flip_lr,
        "flip_ud": recipe.augmentation.flip_ud,
        "validate_every": recipe.validate_every,
        "keep": recipe.keep,
        "resume": None,
        "work": str(work / "run"),
        "data": str(work / "data"),
        "history": str(work / "history.jsonl"),
        "weights": str(work / "weights.pth"),
        "exported": str(work / "exported.onnx"),
        "outputs": str(work / "outputs.npz"),
    }


def with_precision(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    """The recipe with its precision settled; ``auto`` keeps out of what is wrong in bfloat16.

    Raises:
        ConfigError: bfloat16 is asked for where a gradient would be wrong in it.
    """
    has_last_cell = args.size <= LAST_CELL
    if recipe.precision == "bfloat16" and has_last_cell:
        fix = (
            f"a gradient on a map of one cell is wrong in it; take an input of over {LAST_CELL} px"
        )
        raise ConfigError(args.method, "precision", recipe.precision, fix)
    if recipe.precision == "auto" and has_last_cell:
        return recipe.model_copy(update={"precision": "float32"})
    return settle_precision(recipe, args.device)


def start_anew_if_told_otherwise(work: Path, settings: dict[str, Any]) -> None:
    """Drop what a program that was told something else has begun here."""
    path = work / "settings.json"
    if path.is_file() and read_json(path) == settings:
        return
    shutil.rmtree(work / "run", ignore_errors=True)
    for name in ("history", "weights"):
        Path(settings[name]).unlink(missing_ok=True)
    atomic_write_json(path, settings)


def supported(recipe: Recipe, source: Path) -> Recipe:
    """The recipe, if this program can follow all of it.

    Raises:
        ConfigError: It asks for something else than flips, or has no optimiser.
    """
    flips = {"flip_lr", "flip_ud"}
    asked = recipe.augmentation.model_dump(exclude=flips)
    for name, usual in Augmentation().model_dump(exclude=flips).items():
        if asked[name] != usual:
            fix = "only flips are supported by this program"
            raise ConfigError(source, f"augmentation.{name}", asked[name], fix)
    if recipe.options:
        raise ConfigError(source, "options", recipe.options, "this program has none; leave it out")
    if recipe.optimizer is None:
        raise ConfigError(source, "optimizer", None, "name adamw or sgd and its rate")
    return recipe


def write_part(pack: Pack[Any], name: str, folder: Path) -> None:
    """One part as files: its pixels as PNG, its boxes as COCO annotations."""
    files = write_pixels(pack, folder / name)
    images, annotations = [], []
    for row, (file, key) in enumerate(zip(files, pack.image_ids.tolist(), strict=True)):
        images.append({"id": key, "file_name": file, "width": pack.size, "height": pack.size})
        truth = zip(pack.boxes[row].tolist(), pack.labels[row].tolist(), strict=True)
        for (x0, y0, x1, y1), label in truth:
            if label >= 0:
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
                ids = {"id": len(annotations) + 1, "image_id": key, "category_id": label}
                annotations.append({**ids, **box, "iscrowd": 0})
    categories = [{"id": number, "name": title} for number, title in enumerate(pack.classes)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    atomic_write_json(folder / f"{name}.json", content)


def run_program(
    args: argparse.Namespace, work: Path, packs: dict[str, Pack], settings: dict[str, Any]
) -> None:
    """Train, or go on with a training that was killed, and export: what is left to do, in one process."""
    verbs = verbs_left(settings)
    watch = None
    if "train" in verbs:
        with atomic_directory(work / "data") as folder:
            for name, pack in packs.items():
                write_part(pack, name, folder)
        begun = sound_checkpoint(work / "run")
        settings = {**settings, "resume": None if begun is None else str(begun)}
        history = Path(settings["history"])
        watch = Watch(lambda: read_history(history), "/".join(args.out.parts[-4:]), args.epochs)
    run_inside(verbs, args, work, settings, watch)
    for path in (work / "run").glob("*.pth"):
        path.unlink()  # half a gigabyte each; the weights that count lie beside the run


def verbs_left(settings: dict[str, Any]) -> list[str]:
    """The verbs that the program still has to run; its imports take longer than many an export."""
    return ["export"] if Path(settings["weights"]).is_file() else ["train", "export"]


def run_inside(
    verbs: list[str],
    args: argparse.Namespace,
    work: Path,
    settings: dict[str, Any],
    watch: Watch | None = None,
    traced: Sequence[int] = PRIMES,
) -> None:
    """Run verbs of the program in its environment, one after the other in one process.

    Args:
        verbs: ``train``, ``export`` or both.
        args: The command line and what it tells.
        work: Where the program works.
        settings: What it is told.
        watch: Told about once a second while it runs.
        traced: Numbers of images that an export can be traced for; without any it is traced with a
            symbol for it, which takes twice as long.
    """
    path = work / "told.json"
    atomic_write_json(path, {**settings, "traced": traced})
    python = args.environment.resolve().parent / "bin" / "python"
    # mmengine's checkpoints are pickles; only those that this very run has written are read
    environ = {
        **environment(args.threads, gpu="train" in verbs and args.device == "cuda"),
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
    }
    run_process([str(python), str(INSIDE), *verbs, str(path)], work, environ, watch)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows that the program has written, one an epoch."""
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.is_file()
        else []
    )


def sound_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a killed run; a kill can cut the last one short."""
    return first_whole(
        sorted(run.glob("epoch_*.pth"), key=lambda path: -int(path.stem.split("_")[1]))
    )


def adapt(args: argparse.Namespace, work: Path, settings: dict[str, Any]) -> None:
    """Give the program's export the signature of the suite and compare it with mmdetection's own figures."""
    try:
        adapted = adapt_export(args, work, settings)
    except BoundBatchError:
        run_inside(["export"], args, work, settings, traced=())
        adapted = adapt_export(args, work, settings)
    compare(adapted, Path(settings["outputs"]))
    adapted.replace(args.out / "model.onnx")
    Path(settings["exported"]).unlink()


def adapt_export(args: argparse.Namespace, work: Path, settings: dict[str, Any]) -> Path:
    """The export as a file of the suite.

    Raises:
        BoundBatchError: It was traced for a number of images that cannot be taken out of it.
    """
    source, adapted = Path(settings["exported"]), work / "adapted.onnx"
    origin = provenance(args, weights_digest(source))
    adapt_signature(source, adapted, args.size, settings["classes"], origin)
    return adapted


def compare(model: Path, outputs: Path) -> None:
    """Hold an artifact against what the framework itself gave, at batch 1 and 3.

    Raises:
        ArtifactError: Boxes differ by more than 1e-4 of the input's side, or scores by more than 1e-4.
    """
    engine = OnnxDetector(model)
    with np.load(outputs) as stored:
        images, truth = stored["images"], (stored["boxes"], stored["scores"])
    for count in (1, 3):
        for name, want, got in zip(("boxes", "scores"), truth, engine(images[:count]), strict=True):
            unit = engine.size if name == "boxes" else 1.0
            far = float(np.abs(want[:count] - got).max(initial=0.0)) / unit
            if want[:count].shape != got.shape or not far <= TOLERANCE:
                fix = f"{list(got.shape)} at batch {count}; mmdetection gives other figures"
                raise ArtifactError(model, f"{name} difference", far, fix)


def record(args: argparse.Namespace, settings: dict[str, Any], images: int) -> None:
    """Write history.csv and train.json in the engine's terms."""
    history = read_history(Path(settings["history"]))
    steps = -(-images // args.batch) * len(history)
    recorded = {k: v for k, v in settings.items() if k != "resume"}
    installed = args.environment.read_text(encoding="utf-8").split()
    versions = [line for line in installed if line.startswith(("mm", "torch"))]
    recorded |= {"network": args.network, "environment": versions}
    record_training(args, history, steps, images, recorded)


if __name__ == "__main__":
    sys.exit(run_cell(__doc__, make, ("--environment",)))
