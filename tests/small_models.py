"""A small detector of real convolutions and packs for it, written without torch's exporter."""

from itertools import pairwise

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from defectbench.data.pack import write_pack
from defectbench.deploy.artifact import make_metadata, set_metadata

SIDE = 32
PROVENANCE = {
    "method": "four",
    "dataset": "steel",
    "protocol": "clean",
    "seed": 0,
    "weights_sha256": "0" * 64,
}


def write_model(path, depth=4):
    """A detector of some convolutions, the last of which predicts."""
    random = np.random.default_rng(0)
    widths = [3, *[8] * (depth - 1), 6]
    nodes, stored, name = [], [], "images"
    for n, (into, out) in enumerate(pairwise(widths)):
        weights = (random.normal(size=(out, into, 3, 3)) / np.sqrt(9 * into)).astype(np.float32)
        stored.append(numpy_helper.from_array(weights, f"w{n}"))
        more = {"strides": [2, 2] if n < 2 else [1, 1], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [name, f"w{n}"], [f"c{n}"], name=f"conv{n}", **more))
        name = f"c{n}"
        if n < depth - 1:
            nodes.append(helper.make_node("Relu", [name], [f"r{n}"]))
            name = f"r{n}"
    ends = {"shape": [0, 6, -1], "zero": [0], "four": [4], "six": [6], "axis": [2]}
    stored += [numpy_helper.from_array(np.array(values), key) for key, values in ends.items()]
    stored.append(numpy_helper.from_array(np.float32(SIDE), "side"))
    nodes += [
        helper.make_node("Reshape", [name, "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["rows"], ["shares"]),
        helper.make_node("Slice", ["shares", "zero", "four", "axis"], ["corners"]),
        helper.make_node("Mul", ["corners", "side"], ["boxes"]),
        helper.make_node("Slice", ["shares", "four", "six", "axis"], ["scores"]),
    ]
    return _saved(path, "four", nodes, stored, (SIDE // 4) ** 2, PROVENANCE)


def write_steady(path, more=None):
    """A detector of four convolutions whose boxes hardly move and never suppress each other; with more metadata.

    A grey level more or less changes no more than the third digit of a score, as in a trained network.
    """
    random = np.random.default_rng(0)
    nodes, stored, name = [], [], "images"
    for n, (into, out) in enumerate(pairwise([3, 8, 8, 8, 2])):
        weights = (random.normal(size=(out, into, 3, 3)) / np.sqrt(2 * into)).astype(np.float32)
        stored.append(numpy_helper.from_array(weights, f"w{n}"))
        more_of = {"strides": [2, 2] if n < 3 else [1, 1], "pads": [1, 1, 1, 1]}
        nodes.append(
            helper.make_node("Conv", [name, f"w{n}"], [f"c{n}"], name=f"conv{n}", **more_of)
        )
        if n < 3:
            nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
            name = f"r{n}"
    side = SIDE // 8
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.arange(side) * 8 + 4] * 2))
    grid = np.stack([x - 6, y - 6, x + 6, y + 6], -1)[None].astype(np.float32)
    ends = {"shape": [0, 2, -1], "zero": [0], "one": [1], "axis": [2]}
    stored += [numpy_helper.from_array(np.array(values), key) for key, values in ends.items()]
    stored += [numpy_helper.from_array(grid, "grid")]
    nodes += [
        helper.make_node("Reshape", ["c3", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["rows"], ["scores"]),
        helper.make_node("Slice", ["scores", "zero", "one", "axis"], ["first"]),
        helper.make_node("Add", ["first", "grid"], ["boxes"]),
    ]
    return _saved(path, "steady", nodes, stored, side**2, {**PROVENANCE, **(more or {})})


def _saved(path, name, nodes, stored, points, provenance):
    """Write a graph as a detector of two classes with so many points."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [value("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [
            value("boxes", TensorProto.FLOAT, ["N", points, 4]),
            value("scores", TensorProto.FLOAT, ["N", points, 2]),
        ],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    set_metadata(model, make_metadata(["pit", "scratch"], SIDE, provenance))
    onnx.save(model, str(path))
    return path


def write_images(path, part="train", images=6):
    """A pack of noise; half of it in the left, so that images differ."""
    pixels = np.random.default_rng(1).integers(0, 256, (images, 3, SIDE, SIDE), np.uint8)
    tensors = {
        "images": torch.from_numpy(pixels),
        "boxes": torch.zeros(images, 1, 4),
        "labels": torch.full((images, 1), -1),
        "image_ids": torch.arange(images),
        "scale": torch.ones(images),
        "pad": torch.zeros(images, 2),
        "original_size": torch.full((images, 2), SIDE),
    }
    write_pack(path, tensors, {"classes": '["pit", "scratch"]', "part": part})
    return path
