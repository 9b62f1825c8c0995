"""Adapts a foreign framework's export to the artifact signature.

The ends of the graph are rewritten, and what depends on nothing but the size is folded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxslim
from onnx import TensorProto, helper, numpy_helper

from ..base.errors import ArtifactError
from ..base.files import atomic_path
from .artifact import (
    ArtifactInfo,
    make_metadata,
    set_metadata,
    strip_origin,
    validate_artifact,
)
from .free_batch import free_batch, is_traced_for_a_number
from .nms import NONE


def adapt_centre_form(
    source: str | Path,
    out: str | Path,
    size: int,
    classes: list[str],
    provenance: Mapping[str, str | int],
) -> ArtifactInfo:
    """Turn an export with one output [N, 4 + C, P] of centres, sides and scores into an artifact.

    Args:
        source: The foreign export: one input [N, 3, S, S] in 0..1, one output with rows x, y, width,
            height (pixels) and C class probabilities.
        out: The artifact to make: ``boxes`` [N, P, 4] corners and ``scores`` [N, P, C].
        size: Side of the input S, pixels.
        classes: Class names in the order of the rows.
        provenance: What the metadata says beside names and size.

    Returns:
        What the file says of itself.

    Raises:
        ArtifactError: The export has other inputs or outputs.
    """
    model = _with_one_output(source)
    graph = model.graph
    rows = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    if rows != 4 + len(classes):
        fix = f"4 + {len(classes)} rows are needed; export a detector without NMS"
        raise ArtifactError(source, "output rows", rows, fix)
    _append_ends(graph, graph.output[0].name, len(classes))
    _declare_ends(graph, size, len(classes))
    return _finished(model, source, out, make_metadata(classes, size, provenance))


def adapt_end_to_end(
    source: str | Path,
    out: str | Path,
    size: int,
    classes: list[str],
    provenance: Mapping[str, str | int],
) -> ArtifactInfo:
    """Turn an export that chooses its best boxes itself, of a head that says each object once, into an artifact.

    The choice, [N, K, 6] of corners, score and class, is cut off: the suite makes it (``nms.strongest``), as it
    does for every detector whose metadata ``suppression`` says ``none``.

    Args:
        source: The foreign export: one input [N, 3, S, S] in 0..1; within it rows [N, P, 4 + C] of corners in pixels
            and class probabilities are cut in two, and the points with the largest probabilities are chosen (TopK).
        out: The artifact to make: ``boxes`` [N, P, 4] and ``scores`` [N, P, C] before that choice.
        size: Side of the input S, pixels.
        classes: Class names in the order of the scores.
        provenance: What the metadata says beside names, size and suppression.

    Returns:
        What the file says of itself.

    Raises:
        ArtifactError: The export has other inputs or outputs, or chooses in another way.
    """
    model = _with_one_output(source)
    graph = model.graph
    cut = _before_choice(graph, source)
    shares = _constant(graph, cut.input[1]) if len(cut.input) == 2 else None
    if shares != [4, len(classes)]:
        fix = f"4 and {len(classes)} columns are needed"
        raise ArtifactError(source, "boxes and scores", shares, fix)
    _keep_up_to(graph, cut)
    graph.node[-1].output[:] = ["boxes", "scores"]
    _declare_ends(graph, size, len(classes))
    metadata = make_metadata(classes, size, {**provenance, "suppression": NONE})
    return _finished(model, source, out, metadata)


def adapt_signature(
    source: str | Path,
    out: str | Path,
    size: int,
    classes: list[str],
    provenance: Mapping[str, str | int],
) -> ArtifactInfo:
    """Turn an export that has the artifact's ends already into an artifact: folded, named, without its origin's paths.

    Args:
        source: The foreign export: ``images`` to ``boxes`` and ``scores``, for any number of images
            or traced for one of ``free_batch.PRIMES``.
        out: The artifact to make.
        size: Side of the input S, pixels.
        classes: Class names in the order of the score columns.
        provenance: What the metadata says beside names and size.

    Returns:
        What the file says of itself.

    Raises:
        ArtifactError: The export has other ends.
        BoundBatchError: It was traced for a number of images that cannot be taken out of it.
    """
    model = onnx.load(source)
    if is_traced_for_a_number(model):
        free_batch(model)
    strip_origin(model)
    return _finished(model, source, out, make_metadata(classes, size, provenance))


def _finished(
    model: onnx.ModelProto, source: str | Path, out: str | Path, metadata: dict[str, str]
) -> ArtifactInfo:
    """Fold, name, check and write."""
    model = _folded(model, source)
    set_metadata(model, metadata)
    onnx.checker.check_model(model)
    info = validate_artifact(out, model)
    with atomic_path(out) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
    return info


def _folded(model: onnx.ModelProto, source: str | Path) -> onnx.ModelProto:
    """At one size, grids and shapes are constants: compute them now and not in every call."""
    folded = onnxslim.slim(model)
    if not isinstance(folded, onnx.ModelProto):
        raise ArtifactError(source, "folding", type(folded).__name__, "use the locked onnxslim")
    return folded


def _points(size: int) -> int:
    return sum((size // stride) ** 2 for stride in (8, 16, 32))


def _with_one_output(source: str | Path) -> onnx.ModelProto:
    """A foreign export whose input is called ``images``."""
    model = onnx.load(source)
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        ends = [value.name for value in (*graph.input, *graph.output)]
        raise ArtifactError(source, "inputs and outputs", ends, "one of each is adapted here")
    _rename(graph, graph.input[0].name, "images")
    return model


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all nodes read ``new`` where they read ``old``."""
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name == old:
                node.input[slot] = new


def _declare_ends(graph: onnx.GraphProto, size: int, classes: int) -> None:
    """Say names and shapes of the artifact's input and outputs."""
    del graph.output[:]
    for name, last in (("boxes", 4), ("scores", classes)):
        shape = ["batch", _points(size), last]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size, size])
    )
    del graph.value_info[:]


def _before_choice(graph: onnx.GraphProto, source: str | Path) -> onnx.NodeProto:
    """The node that cuts rows into boxes and scores, whose largest scores say which points are chosen."""
    maker = {name: node for node in graph.node for name in node.output}
    for chooser in (node for node in graph.node if node.op_type == "TopK"):
        largest = maker.get(chooser.input[0])
        if largest is None or largest.op_type != "ReduceMax":
            continue
        cut = maker.get(largest.input[0])
        if (
            cut is not None
            and cut.op_type == "Split"
            and list(cut.output)[1:] == [largest.input[0]]
        ):
            return cut
    kinds = sorted({node.op_type for node in graph.node})
    fix = "a Split into boxes and scores, ReduceMax of the latter and TopK are needed; take the locked program"
    raise ArtifactError(source, "choice of boxes", kinds, fix)


def _constant(graph: onnx.GraphProto, name: str) -> list[int] | None:
    """The values of a constant, if it is one."""
    found = [numpy_helper.to_array(one) for one in graph.initializer if one.name == name]
    found += [
        numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and name in node.output and node.attribute[0].name == "value"
    ]
    return [int(value) for value in found[0].reshape(-1)] if found else None


def _keep_up_to(graph: onnx.GraphProto, last: onnx.NodeProto) -> None:
    """Take out the nodes that the last one does not depend on."""
    wanted = set(last.output)
    kept = []
    for node in reversed(graph.node):  # nodes stand behind what they read
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _append_ends(graph: onnx.GraphProto, output: str, classes: int) -> None:
    """Transpose, cut into centre, sides and scores, and turn the former two into corners."""
    sizes = numpy_helper.from_array(np.array([2, 2, classes], np.int64), "adapt_sizes")
    half = numpy_helper.from_array(np.array(0.5, np.float32), "adapt_half")
    graph.initializer.extend([sizes, half])
    cut = ["adapt_centre", "adapt_sides", "scores"]
    graph.node.extend(
        [
            helper.make_node("Transpose", [output], ["adapt_rows"], perm=[0, 2, 1]),
            helper.make_node("Split", ["adapt_rows", "adapt_sizes"], cut, axis=2),
            helper.make_node("Mul", ["adapt_sides", "adapt_half"], ["adapt_reach"]),
            helper.make_node("Sub", ["adapt_centre", "adapt_reach"], ["adapt_low"]),
            helper.make_node("Add", ["adapt_centre", "adapt_reach"], ["adapt_high"]),
            helper.make_node("Concat", ["adapt_low", "adapt_high"], ["boxes"], axis=2),
        ]
    )


def weights_digest(path: str | Path) -> str:
    """SHA-256 over the weights of a graph in the order of their names; equal weights, equal digest."""
    weights = onnx.load(path).graph.initializer
    digest = hashlib.sha256()
    for tensor in sorted(weights, key=lambda tensor: tensor.name):
        digest.update(tensor.name.encode() + numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()
