"""A tiny dataset, certified, and the modules that stand around the foreign programs."""

import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.scripts import run_script

from defectbench.base.records import write_record
from defectbench.data.pack import pack

FOLDER = Path(__file__).parents[2] / "workflow" / "programs"


@pytest.fixture(scope="package")
def programs():
    """Import one of the modules that stand around the programs, as their own folder does."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="package")
def run(programs):
    """Run a command of our side; a process of its own has the program alone."""
    return run_script


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, certify):
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
    (folder / "clean" / "split0").mkdir(parents=True)
    for part, some in (("train", names[:16]), ("val", names[16:20]), ("test", names[20:])):
        (folder / "clean" / "split0" / f"{part}.txt").write_text(
            "".join(f"{name}\n" for name in some)
        )
    certify(folder)
    for part in ("train", "val"):
        pack(folder, "clean", part, 64, folder / "clean" / "split0" / f"{part}@64.safetensors")
    return folder


@pytest.fixture(scope="package")
def certify():
    """Write the certificate of a dataset: its lists as they are, and how many pixels they share."""

    def write(folder, shared=0):
        lists = {
            f"{p}.txt": folder / "clean" / "split0" / f"{p}.txt" for p in ("train", "val", "test")
        }
        path = folder / "clean" / "split0" / "certificate.json"
        write_record(path, "certificate", {"shared_pixels": shared}, lists)

    return write


@pytest.fixture(scope="package")
def crowd():
    """Rewrite the truth of the tiny dataset: no box on its first image, 51 on its second."""

    def write(folder):
        path = folder / "annotations.json"
        content = json.loads(path.read_text())
        second, *rest = (box for box in content["annotations"] if 1 < box["id"] < 100)
        many = [{**second, "bbox": [n, n // 2, 12, 9 + n // 4], "id": 100 + n} for n in range(50)]
        path.write_text(json.dumps({**content, "annotations": [second, *many, *rest]}))

    return write
