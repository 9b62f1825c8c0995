"""Training images per second, side by side in one run: engine, plain loader, `yolo train`.

Three arms take turns, each in a process of its own, on the same part, size, batch and threads:

- ``engine``: a method of the engine as the suite trains it. Also timed: the share of data and augmentation.
- ``loader``: the same network, losses, optimiser, average and allocator, fed by a
  ``torch.utils.data.DataLoader`` that decodes files and augments by OpenCV, one image at a time.
- ``yolo``: the ``ultralytics`` program, which trains its own YOLOv8n (three times LIDD-Net's MACs or
  more, so that its figure compares programs of different networks).

    python benchmarks/training_throughput.py --dataset-dir results/data/neu-det --pack \
        results/data/neu-det/clean/split0/train@192.safetensors --out results/benchmarks/training.json
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from defectbench.base.devices import fix_arithmetic
from defectbench.base.files import atomic_write_json, read_json
from defectbench.base.methods import load_method
from defectbench.base.records import hardware_card
from defectbench.base.settings import TrainingSettings
from defectbench.data.coco import protocol_coco, read_part
from defectbench.data.pack import load_pack
from defectbench.training import loop
from defectbench.training.allocator import keep_freed_memory
from defectbench.training.augment import augment
from defectbench.training.batches import Batch
from defectbench.training.preparation import prepare
from defectbench.training.sources import Sources

ROOT = Path(__file__).parents[1]
ARMS = ("engine", "loader", "yolo")


# --- arms -----------------------------------------------------------------------------------------


def engine_run(args, folder):
    """A run of the engine that has done nothing yet."""
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    fix_arithmetic("cpu")
    method = load_method(args.method, ROOT / "models")
    settings = TrainingSettings(epochs=10**6, batch=args.batch, device="cpu")
    sources = Sources(Path(args.pack))
    return prepare(load_pack(args.pack), method, settings, sources, folder)


def time_engine(args, folder):
    run = engine_run(args, folder)
    order = run.batches.order(0).repeat(1 + args.steps * args.batch // run.batches.count)
    step = iter(range(args.steps))

    def one():
        position = next(step)
        loop.train_step(run, order, position, 0)
        run.progress.step += 1

    seconds = clock(one, args.steps)
    images = run.batches.count / run.batches.steps_per_epoch  # of a step; batches differ by one
    return {"images_per_s": images / seconds, "data_share": time_data(run, order) / seconds}


def time_data(run, order):
    """Seconds that the engine spends on one batch before the network sees it."""
    settings, done = run.recipe.augmentation, iter(range(10**6))

    def one():
        taken = run.batches.take(order, 0)
        images, _, _ = augment(taken, settings, run.seed, next(done), run.batches)
        images.contiguous(memory_format=torch.channels_last)

    return clock(one, 20)


def time_loader(args, folder):
    run = engine_run(args, folder)
    files = Files(args, run.recipe.augmentation)
    loader = torch.utils.data.DataLoader(
        files,
        args.batch,
        shuffle=True,
        drop_last=True,
        collate_fn=collate,
        num_workers=args.threads,
        persistent_workers=True,
    )
    feed = endless(loader)
    still = still_settings(run.recipe)

    def one():
        run.batches = Fed(next(feed), run.batches)  # type: ignore[assignment]
        run.recipe = still
        loop.train_step(run, torch.zeros(0), 0, 0)
        run.progress.step += 1

    return {"images_per_s": args.batch / clock(one, args.steps)}


def time_yolo(args, folder):
    """Images per second of the program's second epoch."""
    sys.path.insert(0, str(ROOT / "workflow" / "programs"))
    from train_ultralytics import write_dataset
    from yolo_program import read_table, run_program

    pack = load_pack(args.pack)
    data = write_dataset({"train": pack, "val": pack}, folder / "data")
    images = len(pack)
    used = min(images, args.steps * args.batch)
    settings = {
        "model": "yolov8n.yaml",
        "data": data.resolve(),
        "epochs": 3,  # the first warms up, the last is validated
        "fraction": used / images,
        "imgsz": -(-args.size // 32) * 32,
        "batch": args.batch,
        "pretrained": False,
        "val": False,
        "amp": False,
        "plots": False,
        "device": "cpu",
        "close_mosaic": 0,
        "project": folder.resolve(),
        "name": "run",
    }
    arguments = ["detect", "train", *(f"{k}={v}" for k, v in settings.items())]
    run_program(arguments, folder, args.threads)
    first, second, _ = read_table(folder / "run")
    return {"images_per_s": round(used) / (second["time"] - first["time"])}


# --- the plain loader -----------------------------------------------------------------------------


class Files(torch.utils.data.Dataset):
    """Images from files, augmented by OpenCV as the recipe says; one image a call."""

    def __init__(self, args, settings):
        self.coco, self.folder = protocol_coco(args.dataset_dir, args.protocol)
        self.names = read_part(args.pack.parent, "train")
        self.size, self.settings = args.size, settings

    def __len__(self):
        return len(self.names)

    def __getitem__(self, row):
        cv2.setNumThreads(1)
        name, size, s = self.names[row], self.size, self.settings
        read = cv2.imread(str(self.folder / name))
        assert read is not None, name
        image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        entries = self.coco.boxes[self.coco.images[name]["id"]]
        boxes = np.array([b["bbox"] for b in entries], np.float32).reshape(-1, 4)
        labels = np.array([b["category_id"] for b in entries], np.int64)
        boxes[:, 2:] += boxes[:, :2]
        boxes *= np.tile([size / image.shape[1], size / image.shape[0]], 2).astype(np.float32)
        image = cv2.resize(image, (size, size)).astype(np.float32) / 255
        matrix = self.matrix()
        image = cv2.warpAffine(image, matrix, (size, size))
        corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
        moved = corners @ matrix[:, :2].T + matrix[:, 2]
        boxes = np.concatenate((moved.min(1), moved.max(1)), 1).clip(0, size)
        if random.random() < s.probability:
            image += random.uniform(-s.brightness, s.brightness)
        if random.random() < s.probability:
            image *= random.uniform(*s.contrast)
        if random.random() < s.probability:
            hsv = cv2.cvtColor(image.clip(0, 1), cv2.COLOR_RGB2HSV)
            hsv[..., 1] *= random.uniform(*s.saturation)
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        alive = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        pixels = (image.clip(0, 1) * 255).astype(np.uint8).transpose(2, 0, 1).copy()
        return torch.from_numpy(pixels), torch.from_numpy(boxes[alive]).float(), labels[alive]

    def matrix(self):
        s, half = self.settings, self.size / 2
        zoom = random.uniform(*s.scale)
        sx, sy = zoom * random.uniform(*s.stretch), zoom * random.uniform(*s.stretch)
        sx = -sx if random.random() < s.flip_lr else sx
        dx, dy = (random.uniform(-s.translate, s.translate) * self.size for _ in range(2))
        return np.array([[sx, 0, half - sx * half + dx], [0, sy, half - sy * half + dy]])


def collate(items):
    rows = max(1, *(len(labels) for _, _, labels in items))
    boxes, classes = torch.zeros(len(items), rows, 4), torch.full((len(items), rows), -1)
    for n, (_, found, labels) in enumerate(items):
        boxes[n, : len(labels)] = found
        classes[n, : len(labels)] = torch.from_numpy(labels)
    return torch.stack([image for image, _, _ in items]), boxes, classes


class Fed:
    """Stands in for the pack's batches: hands out the batch that the loader made."""

    def __init__(self, made, batches):
        self.made, self.steps_per_epoch = made, batches.steps_per_epoch

    def take(self, _order, _position):
        images, boxes, labels = self.made
        return Batch(images, boxes, labels, torch.zeros(len(images), dtype=torch.int64))


def still_settings(recipe):
    """The recipe without augmentation, which the loader has done."""
    still = {"scale": (1.0, 1.0), "stretch": (1.0, 1.0), "contrast": (1.0, 1.0)}
    still |= {"saturation": (1.0, 1.0), "translate": 0.0, "flip_lr": 0.0, "brightness": 0.0}
    settings = recipe.augmentation.model_copy(update=still)
    return recipe.model_copy(update={"augmentation": settings})


def endless(loader):
    while True:
        yield from loader


# --- run ------------------------------------------------------------------------------------------


def clock(one, steps):
    """Median seconds of a step, the first quarter left out."""
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        one()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[steps // 4 :])


def measure(args):
    """All arms in turn, ``rounds`` times; ratios are medians over the rounds."""
    rounds = []
    for number in range(args.rounds):
        found = {arm: one_arm(args, arm) for arm in args.arms}
        rounds.append(found)
        print(f"round {number + 1}:", json.dumps(found), flush=True)
    names = [(arm, key) for arm in args.arms for key in rounds[0][arm]]
    figures = {
        f"{arm}_{key}": statistics.median(found[arm][key] for found in rounds) for arm, key in names
    }
    for arm in args.arms:
        if arm != "engine" and "engine" in args.arms:
            ratios = [f["engine"]["images_per_s"] / f[arm]["images_per_s"] for f in rounds]
            figures[f"engine_over_{arm}"] = statistics.median(ratios)
    figures = {name: round(value, 4) for name, value in figures.items()}
    settings = ("method", "size", "batch", "threads", "steps", "protocol")
    asked = {name: getattr(args, name) for name in settings}
    return {"figures": figures, "rounds": rounds, **asked, "hardware": hardware_card()}


def one_arm(args, arm):
    """One arm in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arm.json"
        command = [sys.executable, __file__, *sys.argv[1:], "--one", arm, "--arm-out", str(out)]
        subprocess.run(command, check=True)
        return read_json(out)


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", default="lidd_net")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--dataset-dir", type=Path, required=True)
    parser.add_argument("--protocol", default="clean")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--one", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--arm-out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        timers = {"engine": time_engine, "loader": time_loader, "yolo": time_yolo}
        with tempfile.TemporaryDirectory() as folder:
            atomic_write_json(args.arm_out, timers[args.one](args, Path(folder)))
        return
    found = measure(args)
    atomic_write_json(args.out, found)
    print(json.dumps(found["figures"], indent=1))


if __name__ == "__main__":
    main()
