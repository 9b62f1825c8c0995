"""The comparison of training speeds, really run on a tiny part; its figures are not judged here."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectbench.base.records import write_record
from defectbench.data.pack import pack
from tests.scripts import run_script

ROOT = Path(__file__).parents[2]


@pytest.fixture
def dataset(tmp_path):
    """Eight images of 64 px with one bright square each."""
    folder = tmp_path / "tiny"
    (folder / "images").mkdir(parents=True)
    (folder / "clean" / "split0").mkdir(parents=True)
    images, annotations = [], []
    for n in range(1, 9):
        picture = np.full((64, 64), 40, np.uint8)
        picture[n : n + 20, n : n + 20] = 220
        cv2.imwrite(str(folder / "images" / f"im_{n}.png"), picture)
        images.append({"id": n, "file_name": f"im_{n}.png", "width": 64, "height": 64})
        box = {"id": n, "image_id": n, "category_id": 0, "bbox": [n, n, 20, 20]}
        annotations.append({**box, "area": 400, "iscrowd": 0})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 0, "name": "square"}]
    (folder / "annotations.json").write_text(json.dumps(content))
    names = "".join(f"im_{n}.png\n" for n in range(1, 9))
    lists = {
        f"{part}.txt": folder / "clean" / "split0" / f"{part}.txt"
        for part in ("train", "val", "test")
    }
    for path in lists.values():
        path.write_text(names)
    write_record(
        folder / "clean" / "split0" / "certificate.json", "certificate", {"shared_pixels": 0}, lists
    )
    pack(folder, "clean", "train", 64, folder / "clean" / "split0" / "train@64.safetensors")
    return folder


def test_all_arms_are_timed_side_by_side(dataset, tmp_path):
    out = tmp_path / "found" / "training.json"
    options = {
        "--dataset-dir": dataset,
        "--pack": dataset / "clean" / "split0" / "train@64.safetensors",
        "--size": 64,
        "--batch": 2,
        "--threads": 1,
        "--steps": 4,
        "--rounds": 1,
        "--out": out,
    }
    command = [sys.executable, ROOT / "benchmarks" / "training_throughput.py"]
    command += [part for pair in options.items() for part in pair]
    made = run_script(command)
    assert made.returncode == 0, made.stderr
    found = json.loads(out.read_text())
    figures = found["figures"]
    (seen,) = found["rounds"]
    for arm in ("loader", "yolo"):
        ratio = seen["engine"]["images_per_s"] / seen[arm]["images_per_s"]
        assert figures[f"engine_over_{arm}"] == pytest.approx(ratio, rel=1e-2)
    assert figures["engine_images_per_s"] > 0
    assert 0 < figures["engine_data_share"] < 1
    assert (found["size"], found["batch"], found["threads"]) == (64, 2, 1)
