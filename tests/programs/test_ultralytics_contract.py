"""The contract of the methods that `yolo` trains: any number of classes, two sizes, every kind of truth.

The program is not imported, so what it does inside is seen from what it writes: its table, its exports, its detections.
"""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from onnx.numpy_helper import to_array

from defectbench.base.methods import load_card
from defectbench.data.pack import pack
from defectbench.deploy.artifact import load_model, validate_artifact
from defectbench.measure.complexity import count_params

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "workflow" / "programs" / "train_ultralytics.py"
METHODS = ("yolov5n_ultralytics", "yolov8n_ultralytics")
CASES = [(1, 96), (6, 64), (10, 96), (20, 64)]
PER_CLASS = 3 * (64 + 1)  # at each level a kernel of 1x1 over 64 features, and a bias
RAMP = 16  # fixed weights of the box decoding that the program counts and we do not
# one batch, the same pixels and boxes each time
PLAIN = {"nbs": 16, "warmup_epochs": 0, "optimizer": "AdamW", "lr0": 0.002}
PLAIN |= dict.fromkeys(("mosaic", "scale", "translate", "fliplr"), 0.0)


def train(dataset, out, method, count, size, *more):
    """Losses of a training in ``count`` classes; the first image holds no box, the second is full of them."""
    path = dataset / "annotations.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": n, "name": f"class {n}"} for n in range(count)]
    plain = [box for box in content["annotations"] if 1 < box["id"] < 100]
    full = [{**plain[0], "bbox": [n, n // 2, 12, 9 + n // 4], "id": 100 + n} for n in range(50)]
    boxes = [{**box, "category_id": box["id"] % count} for box in (*plain, *full)]
    path.write_text(json.dumps({**content, "annotations": boxes}))
    command = [sys.executable, PROGRAM, "--dataset-dir", dataset, "--protocol=clean", "--out", out]
    command += [f"--method=models/{method}", f"--network={method.split('_')[0]}.yaml"]
    command += [f"--size={size}", "--batch=16", "--threads=1", "--seed=0"]
    for part in ("train", "val"):
        file = dataset / "clean" / f"{part}@{size}.safetensors"
        pack(dataset, "clean", part, size, file)
        command += [f"--{part}", file]
    made = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with (out / "history.csv").open() as rows:
        return [float(row["loss"]) for row in csv.DictReader(rows)]


@pytest.fixture(scope="module", params=[(method, *case) for method in METHODS for case in CASES])
def cell(request, dataset, tmp_path_factory):
    """Method, number of classes, size, folder and losses of a training of two epochs."""
    method, count, size = request.param
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / method / "seed0"
    return (*request.param, out, train(dataset, out, method, count, size, "--epochs=2"))


def test_builds_for_any_number_of_classes_at_two_sizes(cell):
    method, count, size, out, _ = cell
    info = validate_artifact(out / "model.onnx")
    assert (info.classes, info.size) == ([f"class {n}" for n in range(count)], size)
    assert info.points == sum((size // stride) ** 2 for stride in (8, 16, 32))
    golden = load_card(ROOT / "models" / method).golden
    expected = golden.params + (count - golden.nc) * PER_CLASS - RAMP
    assert count_params(load_model(out / "model.onnx")) == expected


def test_losses_and_what_steps_made_of_the_weights_are_finite(cell):
    """Gradients are inside the program; one that is not finite would leave its mark on a weight."""
    *_, out, losses = cell
    assert all(0 < loss < 100 for loss in losses)
    weights = [to_array(one) for one in load_model(out / "model.onnx").graph.initializer]
    assert all(np.isfinite(some).all() for some in weights if some.dtype == np.float32)


def test_artifact_gives_the_detections_of_the_programs_own_weights(cell, programs):
    """Every box that `yolo predict` finds by its checkpoint is one of the artifact's, at batch 1 and at batch 3."""
    *_, size, out, _ = cell
    work = out / "checkpoint"
    images = sorted((work / "data" / "images" / "val").iterdir())[:3]
    told = {"model": work / "run" / "weights" / "best.pt", "source": images[0].parent}
    told |= {"imgsz": size, "conf": 1e-4, "save_txt": True, "save_conf": True, "device": "cpu"}
    told |= {"project": work.resolve(), "name": "found", "exist_ok": True}
    programs("yolo_program").run_program(
        ["detect", "predict", *(f"{key}={value}" for key, value in told.items())], work, 1
    )
    session = onnxruntime.InferenceSession(out / "model.onnx")
    pixels = np.stack([cv2.imread(str(image))[..., ::-1] for image in images])
    batch = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    together = session.run(["boxes", "scores"], {"images": batch})
    for row, image in enumerate(images):
        alone = session.run(["boxes", "scores"], {"images": batch[row : row + 1]})
        lines = (work / "found" / "labels" / f"{image.stem}.txt").read_text().splitlines()
        assert lines
        for boxes, scores in (alone, (together[0][row : row + 1], together[1][row : row + 1])):
            assert_among(lines, boxes[0], scores[0], size)


def assert_among(lines, boxes, scores, size):
    for line in lines:
        label, x, y, w, h, score = (float(value) for value in line.split())
        box = size * np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        gap = np.abs(boxes.clip(0, size) - box).max(1)
        same = np.abs(scores[:, int(label)] - score) < 1e-4
        assert gap[same].min(initial=math.inf) < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_loss_falls_on_one_batch(method, dataset, tmp_path):
    """From its peak: as long as no box aligns with its truth, the sum of the targets that it is divided by is 1."""
    changes = [f"--set=options.{key}={value}" for key, value in PLAIN.items()]
    out = tmp_path / "tiny" / "clean" / method / "seed0"
    losses = train(dataset, out, method, 6, 64, "--epochs=25", *changes)
    assert min(losses[-5:]) < 0.6 * max(losses[:20])
