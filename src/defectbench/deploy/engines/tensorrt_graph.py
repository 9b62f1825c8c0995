"""A model's graph as TensorRT reads it: every number has the type that it is computed in.

A network of TensorRT is strongly typed here, in 10.x as in 11.x, which knows no other: what stands in float32 in the
graph is computed in float32, so that the builder chooses no precision by itself.

- ``fp32``: the artifact as it is.
- ``fp16``: weights and maps in 16 bits, but what lies behind the last layers with weights: boxes are pixels, of which
  16 bits hold only every second one from 1024 on.
- ``int8``: the file that says where it rounds. Its biases, which it keeps in 32-bit integers, are written in float32 of
  the same value: TensorRT dequantises 8 bits alone.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from ...base.errors import ArtifactError
from ..artifact import STANDARD

_HALF = "_in_16_bits"
# ranks, counts and constants, and what holds graphs of its own
_WHOLE = ("Constant", "ConstantOfShape", "CumSum", "Range", "TopK", "If", "Loop", "Scan")
_WHOLE_INPUTS = {"Resize": (1, 2)}  # positions that are float32 by the standard
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def fit_for_tensorrt(model: onnx.ModelProto, precision: str, path: object) -> onnx.ModelProto:
    """A copy of a model whose types say what is computed in which precision.

    Args:
        model: The artifact; of ``int8`` the quantised one. It stays as it is.
        precision: ``fp32``, ``fp16`` or ``int8``.
        path: Its file, named in errors.

    Raises:
        ArtifactError: Precision and file do not belong together.
    """
    is_quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if precision == "int8" and not is_quantised:
        fix = "int8 is of a file that says where it rounds: defectbench quantise makes it"
        raise ArtifactError(str(path), "QuantizeLinear", "none", fix)
    if precision != "int8" and is_quantised:
        fix = f"{precision} is made of the artifact itself"
        raise ArtifactError(str(path), "QuantizeLinear", "some", fix)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if precision == "int8":
        _write_biases_in_float(copy)
    return _halved(copy) if precision == "fp16" else copy


def _write_biases_in_float(model: onnx.ModelProto) -> None:
    """Put stored float32 values in the place of stored 32-bit integers that are dequantised."""
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    kept, made = [], []
    for node in graph.node:
        values = stored.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if values is None or values.data_type != TensorProto.INT32:
            kept.append(node)
            continue
        whole = numpy_helper.to_array(values).astype(np.float32)  # symmetric: no zero point
        scale = numpy_helper.to_array(stored[node.input[1]])
        made.append(numpy_helper.from_array(whole * scale, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(made)
    used = {name for node in kept for name in node.input}
    needed = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(needed)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in 16 bits, inputs, outputs and what lies behind the last weights in 32."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    halved = infer_shapes(model)
    _Halving(halved.graph).run()
    return halved


class _Halving:
    """A graph whose nodes are given 16 bits, with a cast where the two widths meet."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        values = (*graph.input, *graph.output, *graph.value_info)
        kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        self.floats = {name for name, kind in kinds.items() if kind == TensorProto.FLOAT}
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        behind = set(_behind_weights(graph))
        self.halves = {
            node.name
            for node in graph.node
            if node.name not in behind and node.op_type not in _WHOLE and node.domain in STANDARD
        }
        makers = [node for node in graph.node if node.name in self.halves]
        self.made = {name for node in makers for name in node.output}
        self.read_whole = {value.name for value in graph.output}
        for node in graph.node:
            self.read_whole.update(self._whole_inputs(node))
        self.nodes: list[onnx.NodeProto] = []
        self.cast: set[str] = set()

    def _whole_inputs(self, node: onnx.NodeProto) -> list[str]:
        """What a node reads in 32 bits, graphs within it included."""
        within = [inner for attribute in node.attribute for inner in attribute.g.node]
        deeper = [name for inner in within for name in self._whole_inputs(inner)]
        if node.name not in self.halves:
            return [*node.input, *deeper]
        kept = _WHOLE_INPUTS.get(node.op_type, ())
        return [name for position, name in enumerate(node.input) if position in kept]

    def run(self) -> None:
        """Rewrite the graph."""
        for node in self.graph.node:
            if node.name not in self.halves:
                self.nodes.append(node)
                continue
            kept = _WHOLE_INPUTS.get(node.op_type, ())
            for position, name in enumerate(node.input):
                if name in self.floats and position not in kept:
                    node.input[position] = self._half(name)
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
            self.nodes.append(node)
            self._write_outputs(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]  # of the types before
        used = {name for node in self.nodes for name in node.input}
        needed = [t for t in self.graph.initializer if t.name in used or t.name in self.read_whole]
        del self.graph.initializer[:]
        self.graph.initializer.extend(needed)

    def _half(self, name: str) -> str:
        """Name of the 16 bits of a value, which are stored, made by a node, or cast here."""
        half = f"{name}{_HALF}"
        if name in self.made or half in self.cast:
            return half
        self.cast.add(half)
        if name in self.stored:
            values = numpy_helper.to_array(self.stored[name])
            self.graph.initializer.append(numpy_helper.from_array(in_sixteen_bits(values), half))
        else:
            self.nodes.append(_cast(name, half, TensorProto.FLOAT16))
        return half

    def _write_outputs(self, node: onnx.NodeProto) -> None:
        """Give what a node makes its new names, and its old ones to casts for those who read 32 bits."""
        for position, name in enumerate(node.output):
            if name in self.floats:
                node.output[position] = f"{name}{_HALF}"
                if name in self.read_whole:
                    self.nodes.append(_cast(f"{name}{_HALF}", name, TensorProto.FLOAT))


def _cast(source: str, out: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [out], name=f"cast_to_{out}", to=kind)


def in_sixteen_bits(values: NDArray[np.generic]) -> NDArray[np.float16]:
    """Stored values in 16 bits: none becomes infinite, and none but zero becomes zero.

    Example:
        >>> in_sixteen_bits(np.float32([1e6, 1e-9, 0.0])).tolist()
        [65504.0, 5.960464477539063e-08, 0.0]
    """
    bounds = np.finfo(np.float16)
    held = np.clip(values.astype(np.float32), bounds.min, bounds.max).astype(np.float16)
    lost = (held == 0) & (values != 0)
    return np.where(lost, np.copysign(bounds.smallest_subnormal, values), held).astype(np.float16)


def _behind_weights(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from which an output is reached without a layer with weights between."""
    makers = {name: node for node in graph.node for name in node.output}
    stored = {tensor.name for tensor in graph.initializer}
    waiting, names = [value.name for value in graph.output], {}
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in names:
            continue
        if node.op_type in _WEIGHTED and stored.intersection(node.input[1:2]):
            continue
        names[node.name] = None
        waiting.extend(node.input)
    return list(names)
