"""Parts of the suite that a user waits for, each as a call of some hundredths of a second.

`pytest benchmarks/test_parts.py` holds their time against a record; `benchmarks/record_parts.py` makes the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

import fixed_work
from defectbench.base.devices import fix_arithmetic
from defectbench.base.methods import load_method
from defectbench.base.planning import plan_study
from defectbench.base.settings import TrainingSettings
from defectbench.base.studies import parse_study
from defectbench.data.overlap import find_overlaps
from defectbench.data.pack import load_pack, write_pack
from defectbench.deploy.nms import SCORING_THRESHOLD, nms
from defectbench.measure.evaluator import score
from defectbench.training import loop
from defectbench.training.augment import augment
from defectbench.training.preparation import prepare
from defectbench.training.sources import Sources

ROOT = Path(__file__).parents[1]
CLASSES = ["pit", "scratch", "stain"]
Call = Callable[[], object]


@dataclass(frozen=True)
class Part:
    """A part of the suite.

    Attributes:
        prepare: Makes the call, with a folder for its files.
        work: The fixed piece of work that it is held against.
        calls: How often it is called.
        pieces: Pieces of fixed work between two calls, so that both see the machine for about as long.
    """

    prepare: Callable[[Path], Call]
    work: Callable[[], None]
    calls: int
    pieces: int


def ratio_of(part: Part, folder: Path) -> float:
    """Time of a part over that of its fixed piece of work."""
    return fixed_work.ratio_to(part.work, part.prepare(folder), part.calls, part.pieces)


def small_pack(folder: Path, side: int, count: int) -> Path:
    """A pack of random images with two boxes each."""
    random = np.random.default_rng(0)
    corner = random.random((count, 2, 2)).astype(np.float32) * side / 2
    tensors = {
        "images": random.integers(0, 256, (count, 3, side, side), dtype=np.uint8),
        "boxes": np.concatenate([corner, corner + side / 4], 2),
        "labels": random.integers(0, len(CLASSES), (count, 2)),
        "image_ids": np.arange(1, count + 1),
        "scale": np.ones(count, np.float32),
        "pad": np.zeros((count, 2), np.float32),
        "original_size": np.full((count, 2), side),
    }
    said = {"dataset": "random", "protocol": "clean", "part": "train", "size": str(side)}
    said |= {"classes": json.dumps(CLASSES), "certificate_sha256": "0" * 64, "shared_pixels": "0"}
    path = folder / f"train@{side}.safetensors"
    write_pack(path, tensors, said)
    return path


def training_run(folder: Path, side: int, batch: int) -> loop.Run:
    """A run of the engine that has done nothing yet, of the smallest detector."""
    torch.set_num_threads(1)
    fix_arithmetic("cpu")
    method = load_method("yolo_fastestv2", ROOT / "models")
    settings = TrainingSettings(epochs=10**6, batch=batch, device="cpu")
    pack = small_pack(folder, side, 2 * batch)
    return prepare(load_pack(pack), method, settings, Sources(pack), folder)


def training_step(folder: Path) -> Call:
    """A step of the engine: batch, augmentation, network, losses, update."""
    run = training_run(folder, 64, 4)
    order = run.batches.order(0)

    def step() -> None:
        loop.train_step(run, order, 0, 0)
        run.progress.step += 1

    return step


def augmentation(folder: Path) -> Call:
    """Warps, mosaic and colours of a batch."""
    run = training_run(folder, 128, 8)
    taken, settings = run.batches.take(run.batches.order(0), 0), run.recipe.augmentation
    settings = settings.model_copy(update={"mosaic": 1.0, "scale": (0.5, 1.5), "translate": 0.1})
    return lambda: augment(taken, settings, run.seed, 0, run.batches)


def suppression(folder: Path) -> Call:
    """NMS of ten images at the scoring threshold, where most points are candidates."""
    random = np.random.default_rng(0)
    corner = random.random((765, 2)) * 150
    boxes = np.concatenate([corner, corner + random.random((765, 2)) * 60], 1).astype(np.float32)
    scores = (random.random((765, 6)) ** 20 * 0.3).astype(np.float32)
    return lambda: [nms(boxes, scores, SCORING_THRESHOLD) for _ in range(10)]


def evaluation(folder: Path) -> Call:
    """COCO average precision of 30 images with 50 predicted boxes each."""
    random = np.random.default_rng(0)
    images = [{"id": n, "width": 200, "height": 200, "file_name": f"{n}.png"} for n in range(1, 31)]

    def box(image: int) -> dict:
        x, y, width, height = (float(v) for v in random.integers(1, 100, 4))
        place = {"image_id": image, "category_id": int(random.integers(1, 4))}
        return {**place, "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}

    truth = {
        "images": images,
        "annotations": [box(image["id"]) for image in images for _ in range(5)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)],
    }
    results = [box(i["id"]) | {"score": float(random.random())} for i in images for _ in range(50)]
    return lambda: score(truth, results)


def overlaps(folder: Path) -> Call:
    """The overlap finder on eight crops of one surface, neighbours sharing half."""
    surface = np.random.default_rng(0).normal(128, 40, (96, 480))
    surface = cv2.GaussianBlur(surface, (0, 0), 1.0) * 4 - 3 * 128
    names = [f"{n:02d}.png" for n in range(8)]
    (folder / "images").mkdir()
    for n, name in enumerate(names):
        crop = surface[:, 48 * n : 48 * n + 96].clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / name), crop)
    images = [
        {"id": n, "file_name": name, "width": 96, "height": 96}
        for n, name in enumerate(names, start=1)
    ]
    content = {"images": images, "annotations": [], "categories": [{"id": 0, "name": "pit"}]}
    (folder / "annotations.json").write_text(json.dumps(content))
    return partial(find_overlaps, folder)


def planning(folder: Path) -> Call:
    """The plan of a study of all light detectors with three seeds."""
    block = {"datasets": ["demo-steel"], "methods": "all", "seeds": [0, 1, 2]}
    study = parse_study("parts", {"study": "parts", "blocks": [block]})
    return lambda: plan_study(study, "parts", ROOT / "models", ROOT / "datasets")


PARTS = {
    "training_step": Part(training_step, fixed_work.arithmetic, calls=10, pieces=5),
    "augmentation": Part(augmentation, fixed_work.arithmetic, calls=20, pieces=2),
    "suppression": Part(suppression, fixed_work.objects, calls=30, pieces=2),
    "evaluation": Part(evaluation, fixed_work.objects, calls=20, pieces=3),
    "overlaps": Part(overlaps, fixed_work.arithmetic, calls=4, pieces=15),
    "planning": Part(planning, fixed_work.objects, calls=5, pieces=15),
}
