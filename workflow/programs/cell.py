"""What every foreign program has around it: its options, the checks before it, the record behind it."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from defectbench.base.commandline import parse_settings
from defectbench.base.devices import device_name, resolve_device
from defectbench.base.errors import ConfigError, DefectBenchError, LeakageError
from defectbench.base.files import (
    atomic_write_json,
    atomic_write_text,
    exclusive_lock,
    read_json,
    sha256_file,
)
from defectbench.base.methods import load_card, load_recipe, override_recipe
from defectbench.base.published import ORIGIN, PUBLISHED
from defectbench.base.records import read_record, usable_cores, write_record
from defectbench.base.settings import TrainingSettings
from defectbench.base.studies import base_protocol
from defectbench.data.pack import TILES, Pack, load_arrays

STRIDE = 32
CONTINUED = ("network", "seed", "size", "epochs", "batch")


def run_cell(
    description: str | None,
    make: Callable[[argparse.Namespace, Path], None],
    options: Sequence[str] = (),
    may_start: bool = False,
) -> int:
    """Read the command line, check the split, and let the program make the cell.

    Args:
        description: What the command does.
        make: Makes the cell's files from the arguments and the folder that a killed run leaves behind.
        options: Further options that name a file or a folder.
        may_start: Whether the program can start from published weights, by ``--start``.

    Returns:
        0 when it is done, 2 when a named error stopped it (one line on stderr).
    """
    args = parse_arguments(description, options, may_start)
    work = args.out / "checkpoint"
    try:
        take_settings(args)
        refuse_size(args.train, args.size)
        work.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(args.out / ".train.lock"):
            refuse_leak(args.certificate, args.protocol)
            start_anew_if_changed(work, args)
            make(args, work)
    except DefectBenchError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


def parse_arguments(
    description: str | None, options: Sequence[str] = (), may_start: bool = False
) -> argparse.Namespace:
    """Read the command line; paths are made absolute, for the program works in a folder of its own."""
    parser = argparse.ArgumentParser(description=description)
    texts = {
        "--method": "folder of the method, models/<method>",
        "--train": "pack of the training part, beside the certificate of its split",
        "--val": "pack of the validation part",
        "--out": "folder to write to",
        **dict.fromkeys(options, ""),
    }
    for option, text in texts.items():
        parser.add_argument(option, type=Path, required=True, help=text)
    parser.set_defaults(start=None)
    if may_start:
        text = "weights to start from, with published.json beside them; from scratch by default"
        parser.add_argument("--start", type=Path, help=text)
    parser.add_argument("--network", required=True, help="the program's own name of the network")
    text = "settings of the training: a JSON object, or a JSON or YAML file of one"
    parser.add_argument("--settings", metavar="JSON|FILE", help=text)
    text = "one field of the settings, such as epochs=3 or recipe.options.nbs=16"
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.start = args.start.resolve() if args.start is not None else None
    return args


def take_settings(args: argparse.Namespace) -> None:
    """Put what a training is told beside the command line: settings, card, recipe, and what its pack says of itself.

    Raises:
        ConfigError: Settings, card or recipe are wrong, or there is no such device.
        PackError: The pack cannot be read.
    """
    settings = parse_settings(TrainingSettings, args.settings, args.set)
    pack = load_arrays(args.train, verify=False)
    args.card = load_card(args.method)
    args.recipe = override_recipe(load_recipe(args.method), settings.recipe, "recipe")
    args.seed, args.size = settings.seed, pack.size
    args.epochs = settings.epochs or args.recipe.epochs
    args.batch = settings.batch or args.recipe.batch
    args.threads = settings.threads or usable_cores() or 1
    args.device = resolve_device(settings.device)
    args.tiles = pack.whole.tiling if pack.whole is not None else None
    args.dataset, args.protocol = pack.metadata["dataset"], pack.metadata["protocol"]
    args.certificate = args.train.with_name("certificate.json")
    args.started = started_from(args.start, args.card.name) if args.start is not None else None


def started_from(weights: Path, method: str) -> dict[str, str]:
    """What the record beside published weights says of them.

    Args:
        weights: The file, which the program alone opens.
        method: Name of the method that is to start from it.

    Raises:
        ConfigError: There is no record, or it is of other weights or of another method.
    """
    path = weights.with_name(f"{PUBLISHED}.json")
    fix = f"fetch weights of {method}: `defectbench fetch-weights`"
    if not path.is_file():
        raise ConfigError(path, "file", "nothing", fix)
    record, digest = read_record(path, PUBLISHED), sha256_file(weights)
    for name, wanted in (("method", method), ("weights_sha256", digest)):
        if record[name] != wanted:
            raise ConfigError(path, name, record[name], fix)
    return {**{name: record[name] for name in ORIGIN if name in record}, "sha256": digest}


def refuse_size(pack: Path, size: int) -> None:
    """Stop before a size that a program would round up by itself.

    Raises:
        ConfigError: It is no multiple of 32.
    """
    if size % STRIDE or size <= 0:
        fix = f"pack the parts at a multiple of {STRIDE}"
        raise ConfigError(pack, "size in pixels", size, fix)


def refuse_leak(path: Path, protocol: str) -> None:
    """Stop before a clean split whose certificate shows shared pixels or is of other lists.

    Args:
        path: The certificate, which lies beside the lists.
        protocol: How the parts were made.

    Raises:
        LeakageError: It is such a split.
    """
    certificate = read_record(path, "certificate")
    shared = certificate["figures"]["shared_pixels"]
    clean = base_protocol(protocol) == "clean"
    if clean and shared:
        raise LeakageError(path, "shared_pixels", shared, "split by groups and certify again")
    for name, listed in certificate["inputs"].items():
        if name.endswith(".txt"):
            digest = sha256_file(path.with_name(name))
            if clean and digest != listed["sha256"]:
                raise LeakageError(path.with_name(name), "sha256", digest, "certify again")


def start_anew_if_changed(work: Path, args: argparse.Namespace) -> None:
    """Drop what another setting, split or recipe has begun here; keep what is to be continued."""
    begun = {
        **{key: getattr(args, key) for key in CONTINUED},
        "recipe": args.recipe.model_dump(mode="json"),
        "inputs": [sha256_file(path) for path in (args.train, args.val)],
        **({"start": args.started["sha256"]} if args.started is not None else {}),
    }
    settings = work / "begun.json"
    if not settings.is_file() or read_json(settings) != begun:
        shutil.rmtree(work)
        atomic_write_json(settings, begun)


def write_pixels(pack: Pack[Any], folder: Path) -> list[str]:
    """Write the pixels of a part as PNG; returns the files' names by row."""
    folder.mkdir(parents=True)
    names = [f"{row:06d}.png" for row in range(len(pack))]
    for name, pixels in zip(names, pack.images, strict=True):
        picture = cv2.cvtColor(pixels.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / name), picture)
    return names


def provenance(args: argparse.Namespace, weights_sha256: str) -> dict[str, str | int]:
    """What the metadata of a cell's model file say of its origin."""
    return {
        "method": args.card.name,
        "dataset": args.dataset,
        "protocol": args.protocol,
        "seed": args.seed,
        "licence": args.card.licence.split()[0],
        "weights_sha256": weights_sha256,
        **({TILES: json.dumps(args.tiles)} if args.tiles is not None else {}),
    }


def record_training(
    args: argparse.Namespace,
    history: list[dict[str, float]],
    steps: int,
    images: int,
    settings: dict[str, Any],
    taken: dict[str, int] | None = None,
) -> None:
    """Write ``history.csv`` and ``train.json`` in the engine's terms.

    Args:
        args: The command line and what it tells.
        history: A row an epoch: epoch, loss, lr, images_per_s, where validated val_map50 and
            val_map50_95, and seconds, the wall time up to its end, validations included.
        steps: Updates of the weights.
        images: Images of the training part.
        settings: What the program says that it was set to. Paths are left out: where a run lay is no
            part of how it learnt.
        taken: How much of the weights that it started from the program took; None for a start from scratch.
    """
    seconds = history[-1]["seconds"]
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in history]
    settings = {key: value for key, value in settings.items() if not str(value).startswith("/")}
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)
    atomic_write_text(args.out / "history.csv", text.getvalue())
    last = args.recipe.keep == "last"
    kept = rows[-1] if last else max(rows, key=lambda row: row.get("val_map50_95", -1.0))
    figures = {
        "epochs": len(rows),
        "steps": steps,
        "batch": args.batch,
        "size_px": args.size,
        "train_images": images,
        "train_s": seconds,
        "images_per_s": rows[-1]["images_per_s"],
        "final_loss": rows[-1]["loss"],
        "best_epoch": int(kept["epoch"]),
        "val_map50_95": kept.get("val_map50_95"),
        "threads": args.threads,
    }
    extra = {
        "method": args.card.name,
        "seed": args.seed,
        "device": device_name(args.device),
        "recipe": json.loads(json.dumps(settings, default=str)),
        "licence": f"{args.card.licence.split()[0]}; run as a program of its own",
        **({"start": {**args.started, **taken}} if taken is not None else {}),
        **({TILES: args.tiles} if args.tiles is not None else {}),
    }
    inputs = {"certificate": args.certificate, "pack": args.train}
    if taken is not None:
        inputs |= {"start": args.start, "start_record": args.start.with_name("published.json")}
    write_record(args.out / "train.json", "train", figures, inputs, seconds, extra)
