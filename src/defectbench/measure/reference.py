"""The reference model: a small fixed network that is timed between the calls of every model.

It never changes, so the ratio to it travels between machines and shows when one drifts.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..base.files import atomic_write_bytes

SIDE = 160
WIDTHS = (3, 24, 48, 48, 96)


def write_reference(path: str | Path, batch: int = 1) -> None:
    """Write the reference model: four 3x3 stride-2 convolutions and a mean, 33 M multiply-adds an image.

    It has the same bytes always.

    Args:
        path: The file to make: input ``images`` [batch, 3, 160, 160], output ``out`` [batch, 96, 1, 1].
        batch: Images a call.
    """
    nodes, weights, name = [], [], "images"
    for layer, (into, out) in enumerate(itertools.pairwise(WIDTHS)):
        values = _weights(out, into)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(
            helper.make_node(
                "Conv",
                [name, f"w{layer}"],
                [f"c{layer}"],
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 1, 1, 1],
            )
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name = f"r{layer}"
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["out"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "reference",
        [value("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [value("out", TensorProto.FLOAT, [batch, WIDTHS[-1], 1, 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "defectbench"
    onnx.checker.check_model(model, full_check=True)
    atomic_write_bytes(path, model.SerializeToString(deterministic=True))


def _weights(out: int, into: int) -> np.ndarray:
    """Weights from whole numbers, so that they are the same on every machine."""
    count = out * into * 9
    steps = (np.arange(count, dtype=np.int64) * 7919 + 104729) % 2001
    scaled = (steps - 1000) / np.float64(1000 * into)
    return scaled.astype(np.float32).reshape(out, into, 3, 3)
