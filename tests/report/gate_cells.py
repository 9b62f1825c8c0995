"""Studies for the gate: hand-made records, and small model files that are really counted and really timed."""

import hashlib
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from shelf import Shelf
from tests.small_models import SIDE, write_images

from defectbench.base.records import write_record
from defectbench.deploy.artifact import make_metadata, set_metadata
from defectbench.measure.complexity import count_params, declared_macs

OPERATORS = 60  # whose time is nearly all of a call's


def write_chain(path, operators=OPERATORS, weight=0.5, one_more=False):
    """A detector that is a chain of equal operators without multiply-adds, and a product of a single number.

    Args:
        path: File to write.
        operators: How many; time grows with their number.
        weight: The trained weight.
        one_more: Whether there is a second product, of one multiply-add.
    """
    nodes, name = [], "images"
    for n in range(operators):
        nodes.append(helper.make_node("Softmax", [name], [f"s{n}"], axis=3))
        name = f"s{n}"
    points = 3 * SIDE * SIDE // 12
    ends = {"shape": [0, points, -1], "zero": [0], "a": [4], "b": [6], "axis": [2], "axes": [1, 2]}
    stored = [numpy_helper.from_array(np.array(values), key) for key, values in ends.items()]
    stored.append(numpy_helper.from_array(np.array([[weight]], np.float32), "w"))
    nodes += [
        helper.make_node("Reshape", [name, "shape"], ["rows"]),
        helper.make_node("ReduceMean", ["rows", "axes"], ["mean"], keepdims=1),
        helper.make_node("MatMul", ["mean", "w"], ["product"]),
        *([helper.make_node("MatMul", ["product", "w"], ["more"])] if one_more else []),
        helper.make_node("Mul", ["rows", "more" if one_more else "product"], ["scaled"]),
        helper.make_node("Slice", ["scaled", "zero", "a", "axis"], ["boxes"]),
        helper.make_node("Slice", ["scaled", "a", "b", "axis"], ["scores"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "chain",
        [value("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [
            value("boxes", TensorProto.FLOAT, ["N", points, 4]),
            value("scores", TensorProto.FLOAT, ["N", points, 2]),
        ],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    provenance = {"method": "chain", "dataset": "steel", "protocol": "clean", "seed": 0}
    provenance["weights_sha256"] = hashlib.sha256(str(weight).encode()).hexdigest()
    set_metadata(model, make_metadata(["pit", "scratch"], SIDE, provenance))
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


class GateStudy:
    """A study of which every part of a cell can be chosen.

    Args:
        root: Its folder.
        images: Number of test images.
    """

    def __init__(self, root, images=6):
        self.shelf = Shelf(root, images=images)
        self.shelf.split("clean")
        self.pack = write_images(root / "test.safetensors", "test")

    @property
    def runs(self):
        """The folder of its cells."""
        return self.shelf.runs

    def add(self, method="alpha", seed=0, score=0.4, weight=0.5, recipe=None, **model):
        """A trained cell, its mAP50-95 as chosen; equal weights predict equally.

        Args:
            method: Name of the method.
            seed: Seed of the training.
            score: mAP50-95, 0..1.
            weight: The weight that was trained.
            recipe: Fields of the recipe.
            model: More of ``write_chain``.
        """
        results = [{"image_id": 1, "category_id": 0, "bbox": [0, 0, 1, 1], "score": abs(weight)}]
        folder = self.shelf.method(method, seed=seed, map50=2 * score, results=results)
        write_chain(folder / "model.onnx", weight=weight, **model)
        self.count(folder)
        inputs = {"model": folder / "model.onnx", "pack": self.pack}
        write_record(folder / "predictions.record.json", "predictions", {"n_images": 6}, inputs)
        timed = json.loads((folder / "latency" / "onnxruntime.json").read_text())["figures"]
        inputs = {"model": folder / "model.onnx"}
        ratio = {"ratio_to_reference": 2.0, "ratio_to_reference_low": 1.9}
        ratio |= {"ratio_to_reference_high": 2.1}
        settings = {"settings": {"reference_sha256": "r"}}
        path = folder / "latency" / "onnxruntime.json"
        write_record(path, "latency", timed | ratio, inputs, None, settings)
        digest = hashlib.sha256(str((weight, seed)).encode()).hexdigest()
        self.edit(folder, "train", weights_sha256=digest, recipe=recipe or {"loss": {"box": 2.0}})
        return folder

    def count(self, folder):
        """Count a model file as `count` does, without the processes in which that measures memory."""
        model = onnx.load(str(folder / "model.onnx"))
        figures = {"size_px": SIDE, "params": count_params(model)}
        figures["macs"] = declared_macs(model, SIDE).total
        figures |= {"params_m": figures["params"] / 1e6, "macs_g": figures["macs"] / 1e9}
        inputs = {"model": folder / "model.onnx"}
        write_record(folder / "complexity.json", "complexity", figures, inputs)

    def edit(self, folder, kind, **fields):
        """Change fields of a record in place; those within a field stay."""
        path = folder / f"{kind}.json"
        record = json.loads(path.read_text())
        for name, value in fields.items():
            record[name] = {**record[name], **value} if name in ("software", "hardware") else value
        path.write_text(json.dumps(record))

    def elsewhere(self):
        """Let all cells have been made on another make of processor."""
        for path in self.runs.rglob("seed*"):
            for kind in ("train", "accuracy"):
                if (path / f"{kind}.json").is_file():
                    self.edit(path, kind, hardware={"cpu": "Another"})
