"""Tiny model files and a pack for races, and the answers of processes in which every time is chosen."""

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from defectbench.deploy.artifact import make_metadata, set_metadata
from defectbench.measure.race_worker import REFERENCE_CALLS, turns

PROVENANCE = {"dataset": "steel", "protocol": "clean", "seed": 0, "weights_sha256": "0" * 64}
MS = 1_000_000
QUIET = {"foreign_cores_busy": 0.0, "usable_cores": 2, "clock_mhz": [2000.0, 2000.0]}


def write_detector(path, size=16):
    """Boxes and scores straight from the pixels."""
    value = helper.make_tensor_value_info
    points = 3 * size * size // 12
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [0, points, -1])
    ends = [
        helper.make_tensor(n, TensorProto.INT64, [1], [v])
        for n, v in zip("abc", (4, 6, 2), strict=True)
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["images", "shape"], ["rows"]),
            helper.make_node("Slice", ["rows", "zero", "a", "c"], ["boxes"]),
            helper.make_node("Slice", ["rows", "a", "b", "c"], ["scores"]),
        ],
        "pixels",
        [value("images", TensorProto.FLOAT, ["N", 3, size, size])],
        [
            value("boxes", TensorProto.FLOAT, ["N", points, 4]),
            value("scores", TensorProto.FLOAT, ["N", points, 2]),
        ],
        [shape, helper.make_tensor("zero", TensorProto.INT64, [1], [0]), *ends],
    )
    _save(graph, path, size)


def write_classifier(path, size=8):
    """The mean of two colours as the probabilities of two classes."""
    value = helper.make_tensor_value_info
    indices = helper.make_tensor("two", TensorProto.INT64, [2], [0, 1])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
            helper.make_node("Gather", ["mean", "two"], ["probabilities"], axis=1),
        ],
        "colours",
        [value("images", TensorProto.FLOAT, ["N", 3, size, size])],
        [value("probabilities", TensorProto.FLOAT, ["N", 2])],
        [indices, axes],
    )
    _save(graph, path, size)


def _save(graph, path, size):
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    set_metadata(made, make_metadata(["pit", "scratch"], size, PROVENANCE | {"method": graph.name}))
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(made, str(path))


def write_pack(path):
    """Six images, 20 x 10 px each, letterboxed into 16 px: scale 0.8, 4 px above."""
    random = np.random.default_rng(0)
    images = np.full((6, 3, 16, 16), 114, np.uint8)
    images[:, :, 4:12, :] = random.integers(0, 256, (6, 3, 8, 16), dtype=np.uint8)
    tensors = {
        "images": images,
        "scale": np.full(6, 0.8, np.float32),
        "pad": np.tile(np.array([0, 4], np.float32), (6, 1)),
        "original_size": np.tile(np.array([20, 10], np.int64), (6, 1)),
    }
    save_file(tensors, str(path))


def make_answer(models=(10.0, 5.0), rounds=12, calls=4, process=0, slow=None, **evidence):
    """A process in which a call takes 1 ms before, ``models`` ms in and 0.5 ms behind the engine.

    Args:
        models: Milliseconds in the engine, by model.
        slow: Takes the moment (blocks since the start, models' and the reference's) and a name, ``"reference"`` or a
            position; returns factors of the time on the processor and on the wall.
    """
    slow = slow or (lambda moment, name: (1.0, 1.0))
    tick = iter(range(10**6))  # keeps times on the processor apart, as a fine clock does

    def reference(moment):
        busy, wall = slow(moment, "reference")
        return [[round(MS * wall), round(MS * busy) + next(tick)] for _ in range(REFERENCE_CALLS)]

    orders = [turns(len(models), process, n) for n in range(rounds)]
    blocks, moment = [reference(0)], 0
    runners = [{"calls": [], "burst": [], "scoring_post": [2 * MS] * rounds} for _ in models]
    for order in orders:
        for position in order:
            busy, wall = slow(moment + 1, position)
            total = models[position] + 1.5
            phases = [round(MS * wall * ms) for ms in (1.0, models[position], 0.5)]
            runners[position]["calls"].append([[*phases, round(MS * busy * total)]] * calls)
            moment += 2
            blocks.append(reference(moment))
    return {
        "orders": orders,
        "reference": blocks,
        "runners": runners,
        "images": [6] * len(models),
        "evidence": QUIET | evidence,
    }


def make_answers(processes=5, **settings):
    """Processes that differ in nothing but their orders."""
    return [make_answer(process=n, **settings) for n in range(processes)]
