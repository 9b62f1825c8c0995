"""The reference model: a fixed network that is timed between the calls of every model.

It never changes, so the ratio to it travels between machines and shows when one drifts. It has to be slowed by what
slows a detector. The first one, four convolutions whose weights fit into a core's own cache, was not: where neighbours
of a shared machine took the caches, small detectors slowed by up to 36 %, it by a sixth. This one is the trunk of a
small detector itself: ShuffleNetV2 (Ma et al., 2018) at its full width, as NanoDet-m has it, without batch norm.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..base.files import atomic_write_bytes
from ..base.reference_models import OUTPUT_WIDTH, SIDE

STEM = 24
STAGES = (
    (116, 4),
    (232, 8),
    (464, 4),
)  # channels and units; the first unit of a stage halves the map


def write_reference(path: str | Path, batch: int = 1) -> None:
    """Write the reference model: 0.76 M weights, 62 M multiply-adds an image.

    It has the same bytes always.

    Args:
        path: The file to make: input ``images`` [batch, 3, 160, 160], output ``out`` [batch, 464, 1, 1].
        batch: Images a call.
    """
    value = helper.make_tensor_value_info
    trunk = _Trunk(batch)
    last = trunk.build("images")
    trunk.nodes.append(helper.make_node("GlobalAveragePool", [last], ["out"]))
    graph = helper.make_graph(
        trunk.nodes,
        "reference",
        [value("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [value("out", TensorProto.FLOAT, [batch, OUTPUT_WIDTH, 1, 1])],
        trunk.values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "defectbench"
    onnx.checker.check_model(model, full_check=True)
    atomic_write_bytes(path, model.SerializeToString(deterministic=True))


class _Trunk:
    """Nodes and constants of the network, in the order in which it runs.

    Args:
        batch: Images a call.

    Attributes:
        nodes: The nodes.
        values: Their weights and shapes.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.values: list[onnx.TensorProto] = []

    def build(self, images: str) -> str:
        """Append all nodes; the name of the last map."""
        stem = self.convolve(images, 3, STEM, 3, stride=2)
        pooled = self.append(
            "MaxPool", [stem], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )
        name, channels, side = pooled, STEM, SIDE // 4
        for width, units in STAGES:
            side //= 2
            name = self.halve(name, channels, width, side)
            for _ in range(units - 1):
                name = self.keep(name, width, side)
            channels = width
        return name

    def halve(self, name: str, channels: int, width: int, side: int) -> str:
        """A unit that halves the map; both of its branches see all channels."""
        half = width // 2
        short = self.convolve(name, channels, channels, 3, 2, channels, activated=False)
        short = self.convolve(short, channels, half, 1)
        return self.shuffle(short, self.branch(name, channels, half, 2), width, side)

    def keep(self, name: str, width: int, side: int) -> str:
        """A unit that passes one half of the channels on and convolves the other."""
        half = width // 2
        sizes = self.constant(np.array([half, half], np.int64))
        passed, other = (f"{name}_{end}" for end in ("passed", "other"))
        self.nodes.append(helper.make_node("Split", [name, sizes], [passed, other], axis=1))
        return self.shuffle(passed, self.branch(other, half, half, 1), width, side)

    def branch(self, name: str, channels: int, half: int, stride: int) -> str:
        """Pointwise, depthwise, pointwise."""
        name = self.convolve(name, channels, half, 1)
        name = self.convolve(name, half, half, 3, stride, half, activated=False)
        return self.convolve(name, half, half, 1)

    def shuffle(self, first: str, second: str, width: int, side: int) -> str:
        """Join two halves and let their channels alternate."""
        joined = self.append("Concat", [first, second], axis=1)
        apart = self.constant(np.array([self.batch, 2, width // 2, side, side], np.int64))
        together = self.constant(np.array([self.batch, width, side, side], np.int64))
        turned = self.append(
            "Transpose", [self.append("Reshape", [joined, apart])], perm=[0, 2, 1, 3, 4]
        )
        return self.append("Reshape", [turned, together])

    def convolve(
        self,
        name: str,
        into: int,
        out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        activated: bool = True,
    ) -> str:
        """A convolution, and a ReLU after it."""
        weights = self.constant(_weights(out, into // groups, kernel))
        made = self.append(
            "Conv",
            [name, weights],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=groups,
        )
        return self.append("Relu", [made]) if activated else made

    def append(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node of one output; its name."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        """Keep an array; its name."""
        name = f"k{len(self.values)}"
        self.values.append(numpy_helper.from_array(values, name))
        return name


def _weights(out: int, into: int, kernel: int) -> np.ndarray:
    """Weights from whole numbers, so that they are the same on every machine; maps keep their size from layer to layer.

    The bound of their uniform values is that of He et al. (2015) before a ReLU.
    """
    count = out * into * kernel * kernel
    steps = (np.arange(count, dtype=np.int64) * 7919 + 104729) % 2001
    bound = math.sqrt(6 / (into * kernel * kernel))
    scaled = (steps - 1000) / 1000 * bound
    return scaled.astype(np.float32).reshape(out, into, kernel, kernel)
