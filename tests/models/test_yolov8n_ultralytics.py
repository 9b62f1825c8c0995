"""The foreign program, really run: tiny, offline, from parts to artifact and record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectbench.base.records import read_record, write_record
from defectbench.deploy.artifact import validate_artifact

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "models" / "yolov8n_ultralytics" / "train.py"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """24 images of 64 px with one bright rectangle each, two classes by shape."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for n in range(1, 25):
        w, h = ((24, 10), (10, 24))[n % 2]
        x, y = (int(v) for v in rng.integers(2, 36, 2))
        picture = rng.integers(0, 60, (64, 64), dtype=np.uint8)
        picture[y : y + h, x : x + w] = 220
        cv2.imwrite(str(folder / "images" / f"im_{n}.png"), picture)
        images.append({"id": n, "file_name": f"im_{n}.png", "width": 64, "height": 64})
        box = {"id": n, "image_id": n, "category_id": n % 2, "bbox": [x, y, w, h]}
        annotations.append({**box, "area": w * h, "iscrowd": 0})
    categories = [{"id": 0, "name": "wide"}, {"id": 1, "name": "tall"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    names = [image["file_name"] for image in images]
    certify(folder, shared=0)
    for part, some in (("train", names[:16]), ("val", names[16:20]), ("test", names[20:])):
        (folder / "clean" / f"{part}.txt").write_text("".join(f"{name}\n" for name in some))
    return folder


def certify(folder, shared):
    path = folder / "clean" / "certificate.json"
    write_record(path, "certificate", {"shared_pixels": shared}, {})


def run(dataset, out, epochs=1, **environment):
    options = {"size": 64, "epochs": epochs, "batch": 8, "threads": 1, "seed": 0}
    command = [sys.executable, str(PROGRAM), "--dataset-dir", str(dataset), "--protocol", "clean"]
    command += [f"--{key}={value}" for key, value in options.items()]
    command += ["--out", str(out)]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def cell(dataset, tmp_path_factory):
    """One epoch of training, with every attempt at the network written down."""
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / "yolov8n_ultralytics" / "seed0"
    log = out.parent / "refused"
    made = run(dataset, out, REFUSED_CONNECTIONS=str(log))
    assert made.returncode == 0, made.stderr
    return out, made.stdout, log


def test_makes_an_artifact_of_our_signature(cell):
    out, _, _ = cell
    info = validate_artifact(out / "model.onnx")
    assert info.classes == ["wide", "tall"]
    assert info.size == 64
    assert info.points == (64 // 8) ** 2 + (64 // 16) ** 2 + (64 // 32) ** 2


def test_record_and_history_are_in_the_engines_terms(cell):
    out, _, _ = cell
    record = read_record(out / "train.json", "train")
    figures = record["figures"]
    assert (figures["epochs"], figures["steps"], figures["size_px"]) == (1, 2, 64)
    assert figures["train_s"] > 0
    assert record["recipe"]["pretrained"] is False
    assert "AGPL-3.0" in record["licence"]
    header = (out / "history.csv").read_text().splitlines()[0]
    assert header.startswith("epoch,loss,")


def test_progress_is_visible(cell):
    _, output, _ = cell
    lines = [line for line in output.splitlines() if "epoch 1/1" in line]
    assert len(lines) == 1
    assert "images/s" in lines[0]
    assert "ETA" in lines[0]


def test_no_connection_was_tried(cell):
    _, _, log = cell
    assert not log.exists(), log.read_text()


def test_a_finished_run_is_not_trained_again(cell, dataset):
    out, _, _ = cell
    again = run(dataset, out)
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stdout


def test_leak_is_refused(dataset, tmp_path):
    certify(dataset, shared=2)
    refused = run(dataset, tmp_path / "run")
    certify(dataset, shared=0)
    assert refused.returncode == 2
    assert refused.stderr.startswith("LeakageError")
    assert not (tmp_path / "run" / "model.onnx").exists()


def test_failure_is_one_named_error(dataset, tmp_path):
    broken = run(dataset, tmp_path / "run", YOLO_AUTOINSTALL="0", OMP_NUM_THREADS="1", epochs=0)
    assert broken.returncode == 2
    assert broken.stderr.startswith("ProgramError")
    assert len(broken.stderr.strip().splitlines()) == 1
