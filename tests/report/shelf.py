"""Hand-made results folders: a tiny dataset, its truth, and records of cells with chosen figures."""

import json
from pathlib import Path

import cv2
import numpy as np

from defectbench.base.files import read_json
from defectbench.base.records import write_record
from defectbench.measure.accuracy import evaluate

CLASSES = ("scratches", "rolled-in_scale")
SIDE = 40
COUNTS = {"params_m": 0.5, "macs_g": 0.1, "gflops": 0.2, "size_mib": 2.0, "size_px": 64}


class Shelf:
    """A ``results`` folder made by hand.

    Args:
        root: Folder that holds ``results/`` and ``models/``.
        images: Number of test images; each shows one scratch, every second a patch of scale too,
            the last one nothing.
    """

    def __init__(self, root, dataset="steel", images=6):
        self.root, self.dataset, self.images = Path(root), dataset, images
        self.data = self.root / "results" / "data" / dataset
        self.runs = self.root / "results" / "runs" / dataset
        self.out = self.root / "results" / "report"
        self.truth = self._write_truth()

    def _write_truth(self):
        random = np.random.default_rng(0)
        images, boxes = [], []
        (self.data / "images").mkdir(parents=True)
        for n in range(1, self.images + 1):
            name = f"plate_{n}.png"
            images.append({"id": n, "file_name": name, "width": SIDE, "height": SIDE})
            pixels = random.integers(90, 160, (SIDE, SIDE), dtype=np.uint8)
            cv2.imwrite(str(self.data / "images" / name), pixels)
            if n == self.images:
                continue
            boxes.append((n, 0, [4, 4, 12, 8]))
            if n % 2:
                boxes.append((n, 1, [20, 20, 15, 15]))
        annotations = [
            {"id": k, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
            for k, (i, c, b) in enumerate(boxes, start=1)
        ]
        categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES)]
        truth = {"images": images, "annotations": annotations, "categories": categories}
        (self.data / "annotations.json").write_text(json.dumps(truth))
        names = [image["file_name"] for image in images]
        rows = [f"{n},{name},g{n}" for n, name in enumerate(names, start=1)]
        (self.data / "groups.csv").write_text("image_id,file_name,group\n" + "\n".join(rows) + "\n")
        return truth

    def split(self, protocol, seen_in_training=0, test=10, train=70):
        """List the test part and certify what it shares."""
        folder = self.data / protocol
        folder.mkdir(exist_ok=True)
        names = [image["file_name"] for image in self.truth["images"]]
        (folder / "test.txt").write_text("\n".join(names) + "\n")
        figures = {
            "shared_images": {"train-val": 0, "train-test": seen_in_training, "val-test": 0},
            "images": {"train": train, "val": 10, "test": test},
        }
        inputs = {"test.txt": folder / "test.txt"}
        write_record(folder / "certificate.json", "certificate", figures, inputs)

    def folder(self, method, protocol="clean", seed=0):
        return self.runs / protocol / method / f"seed{seed}"

    def score(self, folder, map50=0.5, reach=0.05, results=None, **figures):
        """Write predictions and an accuracy record; figures are chosen, not computed."""
        folder.mkdir(parents=True, exist_ok=True)
        protocol = folder.parts[-3]
        (folder / "predictions.json").write_text(json.dumps(results or []))
        scores = {}
        for name, value in (("map50", map50), ("map50_95", map50 / 2), ("map75", map50 / 4)):
            scores |= {name: value, f"{name}_low": value - reach, f"{name}_high": value + reach}
        class_scores = {"ap50": map50, "ap75": None, "ap50_95": map50 / 2, "n_boxes": 5}
        scores |= {
            "n_images": self.images,
            "n_boxes": 8,
            "n_groups": 4,
            "per_class": dict.fromkeys(CLASSES, class_scores),
            "escape": {"escape_rate_images": 0.25},
            **figures,
        }
        inputs = {
            "annotations": self.data / "annotations.json",
            "predictions": folder / "predictions.json",
            "images": self.data / protocol / "test.txt",
            "groups": self.data / "groups.csv",
        }
        write_record(folder / "accuracy.json", "accuracy", scores, inputs)

    def rescore(self, folder, results):
        """Replace a cell's predictions and score them for real."""
        (folder / "predictions.json").write_text(json.dumps(results))
        lists = self.data / folder.parts[-3] / "test.txt"
        files = (self.data / "annotations.json", folder / "predictions.json", lists)
        evaluate(*files, self.data / "groups.csv", folder / "accuracy.json")

    def method(self, name, protocol="clean", seed=0, map50=0.5, reach=0.05, p50=4.0, **more):
        """A trained method's cell with all its records."""
        folder = self.folder(name, protocol, seed)
        self.score(folder, map50, reach, more.pop("results", None))
        (folder / "model.onnx").write_bytes(more.pop("model", name.encode()))
        trained = {"epochs": 30, "train_s": 100.0, "images_per_s": 20.0, "threads": 2}
        trained |= {"size_px": COUNTS["size_px"]} | more.pop("trained", {})
        write_record(folder / "train.json", "train", trained, {})
        counts = COUNTS | {key: more.pop(key) for key in list(more) if key in COUNTS}
        model = {"model": folder / "model.onnx"}
        write_record(folder / "complexity.json", "complexity", counts, model)
        reasons = more.pop("invalid_because", [])
        timed = {
            "latency_ms_p50": p50,
            "latency_ms_p50_low": p50 - 0.1,
            "latency_ms_p50_high": p50 + 0.1,
            "latency_ms_p90": p50 + 1,
            "latency_ms_p99": p50 + 2,
            "fps": 1000 / p50,
            "threads": 1,
            "valid": not reasons,
            "invalid_because": reasons,
        }
        write_record(folder / "latency" / "onnxruntime.json", "latency", timed, model)
        lines = ["epoch,loss,lr,images_per_s,val_map50_95", "1,2.0,0.1,20,", "2,1.0,0.1,20,0.25"]
        (folder / "history.csv").write_text("\n".join(lines) + "\n")
        assert not more, f"unknown figures {sorted(more)}"
        return folder

    def foreign(self, name, map50=0.5, p50=9.0):
        """A method that has no model file: predictions, and a latency of its own runner."""
        folder = self.method(name, map50=map50, p50=p50)
        for file in ("model.onnx", "complexity.json"):
            (folder / file).unlink()
        timed = folder / "latency" / "onnxruntime.json"
        timed.rename(timed.with_name("own.json"))
        return folder

    def control(self, kind, map50, protocol="clean"):
        """A control's cell."""
        folder = self.folder(f"control_{kind}", protocol)
        self.score(folder, map50)
        return folder

    def oracle(self, images=None, score=0.9):
        """The truth of some images as results."""
        return [
            {
                "image_id": b["image_id"],
                "category_id": b["category_id"],
                "bbox": b["bbox"],
                "score": score,
            }
            for b in self.truth["annotations"]
            if images is None or b["image_id"] in images
        ]

    def change(self, path, **figures):
        """Change figures of a record in place."""
        record = read_json(path)
        record["figures"] |= figures
        path.write_text(json.dumps(record))


def fill(shelf):
    """Two methods, one with two seeds and one with an invalid timing, controls, a leaked protocol."""
    truth = shelf.oracle()
    half = shelf.oracle(images={2})
    shelf.method("alpha", seed=0, map50=0.6, p50=4.0, results=truth)
    shelf.method("alpha", seed=1, map50=0.7, p50=4.2, results=truth)
    shelf.method(
        "beta_net", map50=0.5, p50=8.0, params_m=2.5, results=half, invalid_because=["drift"]
    )
    shelf.control("memoriser", 0.0)
    shelf.control("oracle", 1.0)
    shelf.split("paper", seen_in_training=9)
    shelf.method("beta_net", "paper", map50=0.9, p50=8.0, params_m=2.5, results=truth)
    return shelf
