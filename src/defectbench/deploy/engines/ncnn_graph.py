"""A model's graph without what pnnx cannot carry over to ncnn, though both could say it otherwise.

pnnx reads the axes of a reduction as an attribute alone, which they are not since opset 13, and ncnn has no strided
slice. Both are written as products with ones and zeros here, which change no value. ncnn divides the last window of a
mean by its whole area though part of it lies beyond an odd side: it is told to leave out what is no pixel, which is the
same where there is no border. It norms maps and no rows, as which norms of groups are written. The batch is one image:
ncnn knows no other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.shape_inference import infer_shapes

Array = NDArray[np.generic]


def fit_for_ncnn(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an artifact for one image, in operators that pnnx and ncnn share as far as that goes.

    Args:
        model: The artifact; it stays as it is.

    Returns:
        A graph with the same inputs and outputs and equal values.
    """
    fitted = onnx.ModelProto()
    fitted.CopyFrom(model)
    for value in (*fitted.graph.input, *fitted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del fitted.graph.value_info[:]
    fitted = infer_shapes(fitted, data_prop=True)
    graph = _Graph(fitted.graph)
    graph.replace(graph.focus)
    graph.replace(graph.sum_over_rows)
    graph.replace(graph.mean_of_pixels)
    graph.replace(graph.norm_of_rows)
    return fitted


class _Graph:
    """A graph whose nodes are replaced by others with the same output."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.makers = {name: node for node in graph.node for name in node.output}
        values = (*graph.input, *graph.output, *graph.value_info)
        self.shapes = {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values
        }

    def replace(self, rule: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]) -> None:
        """Put what a rule makes of a node in its place; then drop what nothing reads any more."""
        nodes = [made for node in self.graph.node for made in rule(node) or [node]]
        wanted = {value.name for value in self.graph.output}
        kept: list[onnx.NodeProto] = []
        for node in reversed(nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        del self.graph.node[:]
        self.graph.node.extend(reversed(kept))
        used = [tensor for tensor in self.graph.initializer if tensor.name in wanted]
        del self.graph.initializer[:]
        self.graph.initializer.extend(used)

    def constant(self, name: str, values: Array) -> str:
        """Store values beside the graph; return their name."""
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def focus(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """Pixels of each 2x2 as channels: a convolution whose weights are ones and zeros."""
        if node.op_type != "Concat":
            return None
        corners = [self.corner(name) for name in node.input]
        sources = {corner[0] for corner in corners if corner}
        if None in corners or len(sources) != 1:
            return None
        (source,) = sources
        channels = self.shapes.get(source, [0, 0])[1]
        if len(self.shapes.get(source, [])) != 4 or not channels:
            return None
        weights = np.zeros((channels * len(corners), channels, 2, 2), np.float32)
        for part, corner in enumerate(filter(None, corners)):
            for channel in range(channels):
                weights[part * channels + channel, channel, corner[1], corner[2]] = 1
        name = self.constant(f"{node.output[0]}_pixels", weights)
        return [
            helper.make_node(
                "Conv", [source, name], list(node.output), kernel_shape=[2, 2], strides=[2, 2]
            )
        ]

    def corner(self, name: str) -> tuple[str, int, int] | None:
        """Tensor, row and column that every second pixel of a tensor [1, C, H, W] was taken from."""
        starts: dict[int, int] = {}
        while (step := self.strided(name)) is not None and step[1] not in starts:
            name, axis, starts[axis] = step
        return (name, starts[2], starts[3]) if sorted(starts) == [2, 3] else None

    def strided(self, name: str) -> tuple[str, int, int] | None:
        """Source, axis and start of a slice that takes every second element of one axis to its end."""
        node = self.makers.get(name)
        if node is None or node.op_type != "Slice" or len(node.input) != 5:
            return None
        values = [self.constants.get(argument) for argument in node.input[1:]]
        if any(value is None or value.size != 1 for value in values):
            return None
        start, end, axis, step = (int(value.item()) for value in values if value is not None)
        length = self.shapes.get(node.input[0], [])
        whole = 0 <= axis < len(length) and end >= length[axis] and length[axis] % 2 == 0
        return (node.input[0], axis, start) if whole and step == 2 and start in (0, 1) else None

    def sum_over_rows(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A sum along the axis before the last: a product with a row of ones."""
        if node.op_type != "ReduceSum" or len(node.input) != 2:
            return None
        shape, axes = self.shapes.get(node.input[0]), self.constants.get(node.input[1])
        out = self.shapes.get(node.output[0])
        if not shape or not out or axes is None or axes.size != 1:
            return None
        if int(axes.item()) % len(shape) != len(shape) - 2 or not all((*shape, *out)):
            return None
        name = node.output[0]
        ones = np.ones((*(1 for _ in shape[:-1]), shape[-2]), np.float32)
        row = self.constant(f"{name}_ones", ones)
        target = self.constant(f"{name}_shape", np.array(out, np.int64))
        return [
            helper.make_node("MatMul", [row, node.input[0]], [f"{name}_product"]),
            helper.make_node("Reshape", [f"{name}_product", target], [name]),
        ]

    def mean_of_pixels(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """Means whose last windows may reach beyond the map, without a border: of pixels alone."""
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        is_wide = node.op_type == "AveragePool" and values.get("ceil_mode")
        if not is_wide or not values.get("count_include_pad") or any(values.get("pads", ())):
            return None
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for attribute in made.attribute:
            if attribute.name == "count_include_pad":
                attribute.i = 0
        return [made]

    def norm_of_rows(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """A norm over rows [1, C, L], as one of groups has it: over maps [1, C, L, 1], which ncnn knows."""
        shape = self.shapes.get(node.input[0], [])
        if node.op_type != "InstanceNormalization" or len(shape) != 3 or not all(shape):
            return None
        name = node.output[0]
        map_shape = self.constant(f"{name}_map_shape", np.array([*shape, 1], np.int64))
        row_shape = self.constant(f"{name}_row_shape", np.array(shape, np.int64))
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.input[0], made.output[0] = f"{name}_map", f"{name}_normed"
        return [
            helper.make_node("Reshape", [node.input[0], map_shape], [f"{name}_map"]),
            made,
            helper.make_node("Reshape", [f"{name}_normed", row_shape], [name]),
        ]
