"""Complexity of the deployed file: parameters, multiply-adds, size on disk, memory.

One multiply-add is one MAC; FLOPs = 2 x MACs. Counted are convolutions and matrix products of the
deployed graph at its own size and batch 1, without bias, normalisation, activation and resizing.
Two counters must agree: ours multiplies declared output shapes by kernel volumes; the second one
runs the graph and reads the shapes that really occur. Both look at the same kinds of nodes: what they
leave out together, fvcore counts where the torch module is there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

from ..base.errors import MeasurementError
from ..base.records import write_record
from ..deploy.artifact import load_model, validate_artifact
from ..deploy.checked import open_checked
from ..deploy.runtime import engine_refusal, make_session
from .starts import start_once

TOLERANCE = 0.01
EXPORT = "export the model again, with shapes that depend on nothing but the batch"
CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("MatMul", "Gemm")
UNCOUNTED = frozenset(
    [
        "Attention",
        "ConvInteger",
        "DeformConv",
        "Einsum",
        "GRU",
        "LSTM",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "RNN",
    ]
)
SETTINGS = {
    "mac": "one multiply-add",
    "flop": "gflops = 2 x macs_g",
    "counted": "convolutions and matrix products of the deployed graph, batch 1",
    "not_counted": "bias, normalisation, activation, pooling, resizing, element-wise products",
    "memory": "peak resident set of a fresh process: load, one image, one thread",
}
# Which inputs of an operator hold learnt weights.
WEIGHT_INPUTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "LayerNormalization": (1, 2),
}

Shapes = dict[str, list[int]]


@dataclass(frozen=True)
class Counts:
    """Multiply-adds of one graph at batch 1.

    Attributes:
        convolutions: MACs of convolutions.
        products: MACs of matrix products.
    """

    convolutions: int
    products: int

    @property
    def total(self) -> int:
        """MACs of both."""
        return self.convolutions + self.products


def declared_macs(model: onnx.ModelProto, size: int, source: str | Path = "model") -> Counts:
    """Count MACs from inferred shapes: output elements x kernel volume x input channels a group.

    Args:
        model: The graph.
        size: Side of the square input, pixels.
        source: The file to name in errors.

    Raises:
        MeasurementError: A shape cannot be inferred, so something would be left out.
    """
    shapes = _inferred_shapes(_with_batch_one(model, size), source)
    totals: dict[str, int] = dict.fromkeys((*CONVOLUTIONS, *PRODUCTS), 0)
    for node in _counted_nodes(model.graph, source):
        first, second = (_shape(shapes, name, node, source) for name in node.input[:2])
        out = _shape(shapes, node.output[0], node, source)
        if node.op_type == "Conv":
            macs = int(np.prod(out)) * int(np.prod(second[1:]))
        elif node.op_type == "ConvTranspose":
            macs = int(np.prod(first)) * int(np.prod(second[1:]))
        else:
            macs = int(np.prod(out)) * first[0 if _flag(node, "transA") else -1]
        totals[node.op_type] += macs
    return Counts(sum(totals[op] for op in CONVOLUTIONS), sum(totals[op] for op in PRODUCTS))


def executed_macs(model: onnx.ModelProto, size: int, path: Path) -> Counts:
    """Count MACs from shapes that occur in a run: weight elements x positions they visit.

    Args:
        model: The graph.
        size: Side of the square input, pixels.
        path: A free file name for the graph with all shapes as outputs.
    """
    probed, nodes = onnx.ModelProto(), list(_counted_nodes(model.graph, path))
    probed.CopyFrom(model)
    names = list(
        dict.fromkeys(name for node in nodes for name in (*node.input[:2], node.output[0]))
    )
    del probed.graph.output[:]
    for number, name in enumerate(names):
        probed.graph.node.append(helper.make_node("Shape", [name], [f"shape_of_{number}"]))
        value = helper.make_tensor_value_info(f"shape_of_{number}", TensorProto.INT64, None)
        probed.graph.output.append(value)
    path.write_bytes(probed.SerializeToString())
    images = np.zeros((1, 3, size, size), np.float32)
    session = make_session(path, 1)
    try:
        run_shapes = session.run(None, {"images": images})
    except Exception as error:  # onnxruntime's errors share no public root
        raise engine_refusal(path, "run", error) from error
    shapes = {
        name: [int(v) for v in np.asarray(s)] for name, s in zip(names, run_shapes, strict=True)
    }
    convolutions = products = 0
    for node in nodes:
        first, second, out = (shapes[n] for n in (node.input[0], node.input[1], node.output[0]))
        if node.op_type in PRODUCTS:
            depth = second[-1] if _flag(node, "transB") or len(second) == 1 else second[-2]
            products += int(np.prod(out)) * depth
        else:
            grid = out if node.op_type == "Conv" else first
            convolutions += int(np.prod(second)) * int(np.prod(grid[2:])) * grid[0]
    return Counts(convolutions, products)


def count_params(model: onnx.ModelProto) -> int:
    """Number of learnt values: weights and biases of weighted operators.

    A bias added behind a matrix product counts, and so do the affine part of a group norm and the scale of a norm by
    the root of the mean square, which exporters take apart, and a scale and a shift of one value behind a ReLU. A layer
    that is run at several levels or times counts once, though exporters may store it for each. Constants do not count:
    grids and strides feed no weighted operator, the ramp 0, 1, 2, ... that integrates a distribution
    is known, and so are a filter that is the same for every channel and a norm's missing affine part.
    """
    constants = _constants(model.graph)
    makers = {name: node for node in model.graph.node for name in node.output}
    products = {node.output[0] for node in model.graph.node if node.op_type == "MatMul"}
    used: list[str] = []
    matrices: set[tuple[tuple[int, ...], bytes]] = set()
    for node in model.graph.node:
        names = _weights(node, constants)
        if names and constants[names[0]].ndim >= 2:
            content = _content(constants[names[0]])
            if names[0] in used or content in matrices:
                products -= set(node.output)  # nor is its bias another one
                continue
            matrices |= {content} if content else set()
        used += names
        if node.op_type == "Add" and products & set(node.input):
            used += [name for name in node.input if name in constants and constants[name].ndim == 1]
        if node.op_type in ("Add", "Mul"):
            used += [n for n in node.input if n in constants and _is_affine(constants[n])]
            used += _apart(node, constants, makers)
    # Exporters store equal biases once; each use of one is a parameter of its own.
    vectors = [constants[name] for name in used if constants[name].ndim < 2]
    shared = {name for name in used if constants[name].ndim >= 2}
    learnt = [*vectors, *(constants[name] for name in shared)]
    return sum(values.size for values in learnt if not _is_known(values))


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        for a in node.attribute:
            if node.op_type == "Constant" and a.name == "value":
                values[node.output[0]] = numpy_helper.to_array(a.t)
        if node.op_type == "Transpose" and node.input[0] in values:
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            values[node.output[0]] = values[node.input[0]].transpose(order)
    return values


def _content(values: np.ndarray) -> tuple[tuple[int, ...], bytes] | None:
    """What tells one learnt matrix from another; None of one whose values are all the same, as before it has learnt."""
    if values.size == 0 or (values == values.flat[0]).all():
        return None
    return values.shape, values.tobytes()


def _apart(
    node: NodeProto, constants: dict[str, np.ndarray], makers: dict[str, NodeProto]
) -> list[str]:
    """Learnt factors and summands of layers that exporters take apart: a scale of rows, one value behind a ReLU."""
    learnt = [name for name in node.input if name in constants and constants[name].ndim == 1]
    others = [makers[name] for name in node.input if name in makers and name not in constants]
    if len(learnt) != 1 or len(others) != 1:
        return []
    before = others[0]
    if constants[learnt[0]].size > 1:
        roots = [makers[name].op_type for name in before.input if name in makers]
        is_scale = node.op_type == "Mul" and before.op_type == "Mul" and "Reciprocal" in roots
        return learnt if is_scale else []
    if node.op_type == "Mul":
        return learnt if before.op_type == "Relu" else []
    is_shift = before.op_type == "Mul" and bool(_apart(before, constants, makers))
    return learnt if is_shift and constants[learnt[0]].size == 1 else []


def _weights(node: NodeProto, constants: dict[str, np.ndarray]) -> list[str]:
    """Names of the constants that a weighted operator has learnt."""
    places = WEIGHT_INPUTS.get(node.op_type, ())
    names = [node.input[n] for n in places if n < len(node.input) and node.input[n] in constants]
    is_bare = node.op_type == "InstanceNormalization" and names
    return [] if is_bare and (constants[names[0]] == 1).all() else names


def _is_affine(values: np.ndarray) -> bool:
    """Whether a factor or a summand is one value for each channel."""
    return values.ndim == 3 and values.shape[0] > 1 and values.shape[1:] == (1, 1)


def _is_known(values: np.ndarray) -> bool:
    """Whether a constant is a ramp or a depthwise filter that all channels share."""
    if values.size > 2 and np.array_equal(values.ravel(), np.arange(values.size)):
        return True
    is_depthwise = values.ndim == 4 and values.shape[1] == 1 and len(values) > 1
    return is_depthwise and bool((values == values[:1]).all())


def _counted_nodes(graph: onnx.GraphProto, source: str | Path) -> Iterator[NodeProto]:
    for node in graph.node:
        if node.op_type in UNCOUNTED or any(a.HasField("g") for a in node.attribute):
            fix = "teach measure.complexity to count this operator first"
            raise MeasurementError(source, f"operator {node.name}", node.op_type, fix)
        if node.op_type in (*CONVOLUTIONS, *PRODUCTS):
            yield node


def _with_batch_one(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    shape = fixed.graph.input[0].type.tensor_type.shape
    for dim, value in zip(shape.dim, (1, 3, size, size), strict=True):
        dim.dim_value = value
    del fixed.graph.value_info[:]
    for out in fixed.graph.output:
        out.type.tensor_type.ClearField("shape")
    return fixed


def _inferred_shapes(model: onnx.ModelProto, source: str | Path) -> Shapes:
    try:
        graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx's errors of C++ share no public root
        raise MeasurementError(source, "shapes", _first_line(error), EXPORT) from error
    shapes: Shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        for a in node.attribute:
            if node.op_type == "Constant" and a.name == "value":
                shapes[node.output[0]] = list(a.t.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = [dim.dim_value for dim in dims]
    return shapes


def _shape(shapes: Shapes, name: str, node: NodeProto, source: str | Path) -> list[int]:
    if name not in shapes:
        raise MeasurementError(source, f"shape of {name} at {node.op_type}", None, EXPORT)
    return shapes[name]


def _flag(node: NodeProto, name: str) -> bool:
    return any(a.name == name and a.i for a in node.attribute)


def peak_memory(path: str | Path, threads: int = 1) -> dict[str, float]:
    """Peak resident memory of a fresh process that loads the file and runs one image.

    Returns:
        ``peak_rss_mib`` of the whole process and ``peak_rss_model_mib``, its part above the same
        process before it loads the file.

    Raises:
        ProgramError: The process failed.
    """
    start = start_once(path, threads=threads)
    model = start["answered"] - start["ready"]
    return {"peak_rss_mib": round(start["answered"], 1), "peak_rss_model_mib": round(model, 1)}


def count(model_path: str | Path, out: str | Path) -> dict[str, Any]:
    """Count a deployed file and write the complexity record.

    Args:
        model_path: An artifact.
        out: The record to make: ``params_m``, ``macs_g``, ``gflops`` (2 x MACs), ``macs_conv_g``,
            ``macs_matmul_g``, all at ``size_px``; ``size_mib``, ``peak_rss_mib``.

    Raises:
        ArtifactError: The file breaks the artifact signature.
        MeasurementError: Two counters differ by more than 1 %.
    """
    start, path = time.perf_counter(), Path(model_path)
    open_checked(path)
    model = inlined(load_model(path), path)
    info = validate_artifact(path, model)
    declared = declared_macs(model, info.size, path)
    params = count_params(model)
    with tempfile.TemporaryDirectory() as folder:
        executed = executed_macs(model, info.size, Path(folder) / "probed.onnx")
    checks = {"executed_macs": executed.total, "executed_conv_macs": executed.convolutions}
    cross_check(path, "macs", declared.total, {"executed shapes": executed.total})
    for name, counted in (("macs_fvcore", declared.total), ("params_torch", params)):
        if name in info.metadata:
            checks[name] = _counted_before(path, name, info.metadata[name])
            cross_check(path, name, counted, {"the torch module": checks[name]})
    figures = {
        "size_px": info.size,
        "params": params,
        "params_m": params / 1e6,
        "macs": declared.total,
        "macs_g": declared.total / 1e9,
        "gflops": 2 * declared.total / 1e9,
        "macs_conv_g": declared.convolutions / 1e9,
        "macs_matmul_g": declared.products / 1e9,
        "size_mib": path.stat().st_size / 2**20,
        **peak_memory(path),
    }
    seconds = time.perf_counter() - start
    extra = {"settings": SETTINGS, "cross_checks": checks}
    return write_record(out, "complexity", figures, {"model": path}, seconds, extra)


def inlined(model: onnx.ModelProto, source: Path) -> onnx.ModelProto:
    """The model with its own functions written out, so that their operators are seen.

    Raises:
        MeasurementError: They cannot be.
    """
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # onnx's errors of C++ share no public root
        raise MeasurementError(source, "functions", _first_line(error), EXPORT) from error


def _counted_before(path: Path, name: str, text: str) -> int:
    """A count that the exporter wrote into the metadata."""
    if not text.isdecimal():
        raise MeasurementError(path, f"metadata {name}", text, "write a whole number, or nothing")
    return int(text)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def cross_check(path: Path, name: str, counted: int, others: dict[str, int]) -> None:
    """Compare a count with those of other counters.

    Raises:
        MeasurementError: One differs by more than 1 %.
    """
    for counter, value in others.items():
        if abs(value - counted) > TOLERANCE * max(counted, 1):
            fix = f"{counter} counts {value}; find the operator that one of them misses"
            raise MeasurementError(path, name, counted, fix)
