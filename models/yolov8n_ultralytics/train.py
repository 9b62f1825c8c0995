"""Trains YOLOv8n by the `yolo` command in a process of its own and adapts its export.

ultralytics is AGPL-3.0: this file imports nothing of it. It writes a dataset folder in the program's layout, runs the
program offline and quiet, reads its results table and adapts its ONNX export to the artifact signature.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from yolo_program import (
    Watch,
    is_finished,
    read_table,
    run_program,
    set_table_aside,
    sound_checkpoint,
)

from defectbench.base.devices import device_name, resolve_device
from defectbench.base.errors import (
    ConfigError,
    ConversionError,
    DefectBenchError,
    LeakageError,
)
from defectbench.base.files import (
    atomic_directory,
    atomic_write_json,
    atomic_write_text,
    exclusive_lock,
    read_json,
    sha256_file,
)
from defectbench.base.methods import changed_recipe, load_recipe
from defectbench.base.records import read_record, write_record
from defectbench.data.coco import protocol_coco, read_part
from defectbench.deploy.adapt import adapt_centre_form, weights_digest

HERE = Path(__file__).parent
STRIDE = 32


def write_dataset(dataset_dir: Path, protocol: str, out: Path) -> Path:
    """Write train and val in the program's layout.

    Images are copied as bytes and not linked: the program rewrites those that it takes for damaged.

    Returns:
        The dataset's YAML file.
    """
    coco, images = protocol_coco(dataset_dir, protocol)
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
    images = len(read_part(args.dataset_dir, args.protocol, "train"))
    run = work / "run"
    if is_finished(run, args.epochs):
        return run
    begun = sound_checkpoint(run)
    if begun is None and run.exists():
        shutil.rmtree(run)
    set_table_aside(run)
    settings = {
        "model": begun or "yolov8n.yaml",
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
        **args.options,
    }
    watch = Watch(run, "/".join(args.out.parts[-4:]), args.epochs, images)
    arguments = ["detect", "train", *(f"{key}={value}" for key, value in settings.items())]
    run_program(arguments, work, args.threads, watch, gpu=args.device == "cuda")
    watch.report()
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
    provenance = {
        "method": "yolov8n_ultralytics",
        "dataset": args.dataset_dir.name,
        "protocol": args.protocol,
        "seed": args.seed,
        "licence": "AGPL-3.0",
        "weights_sha256": weights_digest(exported),
    }
    adapt_centre_form(exported, args.out / "model.onnx", args.size, coco.classes, provenance)


def record(run: Path, args: argparse.Namespace, images: int) -> None:
    """Write history.csv and train.json in the engine's terms."""
    rows = read_table(run)
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
    # what says where the run lay, or that it was taken up again, is no part of how it learnt
    chosen = {k: v for k, v in chosen.items() if not str(v).startswith("/")}
    chosen |= {"model": "yolov8n.yaml", "resume": False}
    extra = {
        "method": "yolov8n_ultralytics",
        "seed": args.seed,
        "device": device_name(args.device),
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


def refuse_size(size: int) -> None:
    """Stop before a size that the program would round up by itself.

    Raises:
        ConfigError: It is no multiple of 32.
    """
    if size % STRIDE or size <= 0:
        raise ConfigError("--size", "pixels", size, f"give a multiple of {STRIDE}")


def refuse_leak(args: argparse.Namespace) -> None:
    """Stop before a clean split whose certificate shows shared pixels or is of other lists.

    Raises:
        LeakageError: It is such a split.
    """
    path = args.dataset_dir / args.protocol / "certificate.json"
    certificate = read_record(path, "certificate")
    shared = certificate["figures"]["shared_pixels"]
    if args.protocol == "clean" and shared:
        raise LeakageError(path, "shared_pixels", shared, "split by groups and certify again")
    for name, known in certificate["inputs"].items():
        if name.endswith(".txt"):
            digest = sha256_file(path.with_name(name))
            if args.protocol == "clean" and digest != known["sha256"]:
                raise LeakageError(path.with_name(name), "sha256", digest, "certify again")


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


def main() -> int:
    """Train, export, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset-dir", type=Path, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--out", type=Path, required=True)
    for option in ("--seed", "--size", "--epochs", "--batch", "--threads"):
        parser.add_argument(option, type=int, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    text = "a field of the recipe, such as options={nbs: 16}"
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    args = parser.parse_args()
    args.out = args.out.resolve()
    work = args.out / "checkpoint"
    work.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive_lock(args.out / ".train.lock"):
            args.options = changed_recipe(load_recipe(HERE), args.set).options
            args.device = resolve_device(args.device)
            refuse_size(args.size)
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
