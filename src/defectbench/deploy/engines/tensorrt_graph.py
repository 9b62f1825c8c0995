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
from onnx import TensorProto, numpy_helper
from onnx.shape_inference import infer_shapes
from onnxruntime.transformers.float16 import convert_float_to_float16

from ...base.errors import ArtifactError
from ..artifact import read_metadata, set_metadata

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
    metadata = read_metadata(model)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    halved = convert_float_to_float16(
        infer_shapes(model),
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=["CumSum", "Range", "TopK"],  # ranks and counts are not for 16 bits
        node_block_list=_behind_weights(model.graph),
    )
    set_metadata(halved, metadata)
    return halved


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
