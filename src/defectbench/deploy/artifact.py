"""The artifact: a model file with one signature a task, whichever framework it comes from.

Input ``images`` float32 [N,3,S,S], RGB in 0..1, N dynamic. Outputs of a detector: ``boxes`` float32 [N,P,4]
(x0,y0,x1,y1 in input pixels) and ``scores`` float32 [N,P,C] (probabilities), no suppression inside. Output
of a classifier: ``probabilities`` float32 [N,C]; of a model that was fitted to images without a defect: ``anomaly``
float32 [N,1], 0 or more, the larger the less an image looks like them. The metadata ``suppression`` says ``none`` where
a detector's boxes need none; without it they do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from .. import __version__
from ..base.bounds import LARGEST_SIDE
from ..base.errors import ArtifactError
from ..base.files import OF_POINTER, POINTER, named_refusal
from ..base.tasks import DETECTION
from .names import OUTPUTS, task_of_outputs
from .nms import NMS, SUPPRESSIONS

LEAST_OPSET = 17
STANDARD = ("", "ai.onnx")  # domains of operators
PROVENANCE = ("method", "dataset", "protocol", "seed", "weights_sha256", "defectbench")
_SHAPES = {"images": 4, "boxes": 3, "scores": 3, "probabilities": 2, "anomaly": 2}


@dataclass(frozen=True)
class ArtifactInfo:
    """What a model file says of itself.

    Attributes:
        classes: Class names in the order of the score columns.
        size: Side of the square input, pixels.
        metadata: All metadata of the file, as text.
        points: Boxes an image (P), where the graph fixes it.
        task: What the model solves, told by the outputs.
    """

    classes: list[str]
    size: int
    metadata: dict[str, str] = field(default_factory=dict)
    points: int | None = None
    task: str = DETECTION.name


def read_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The metadata of a model as a dictionary."""
    return {prop.key: prop.value for prop in model.metadata_props}


def make_metadata(
    names: list[str], size: int, provenance: Mapping[str, str | int]
) -> dict[str, str]:
    """The metadata that an artifact carries, as text.

    Args:
        names: Class names in the order of the score columns.
        size: Side of the square input, pixels.
        provenance: Method, dataset, protocol, seed, hash of the weights; further keys are kept.
    """
    signature = {
        "names": json.dumps(names),
        "size": str(size),
        "defectbench": __version__,
    }
    return {**signature, **{key: str(value) for key, value in sorted(provenance.items())}}


def set_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Give a model this metadata, in the order of the keys, in place of what it has."""
    del model.metadata_props[:]
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])


def strip_origin(model: onnx.ModelProto) -> None:
    """Remove what names files and lines of this machine, so that equal weights give equal bytes."""
    model.producer_name, model.producer_version, model.doc_string = "defectbench", "", ""
    for owner in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        owner.doc_string = ""
        del owner.metadata_props[:]
    for owner in (*model.graph.value_info, *model.graph.initializer):
        owner.doc_string = ""
        del owner.metadata_props[:]


def load_model(path: str | Path) -> onnx.ModelProto:
    """Read a model file.

    Raises:
        ArtifactError: The file is missing, truncated or not ONNX, or its weights lie outside it.
        FileAccessError: The operating system refuses it.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        check_is_whole(path, model)
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise ArtifactError(path, "file", "nothing", "run the method's rule first") from error
    except OSError as error:
        raise named_refusal(error, path) from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactError(path, "content", first, _mended_by(path)) from error
    return model


def _mended_by(path: str | Path) -> str:
    with Path(path).open("rb") as handle:
        return OF_POINTER if handle.read(len(POINTER)) == POINTER else "export the model again"


def check_is_whole(path: str | Path, model: onnx.ModelProto) -> None:
    """Check that all weights lie in the file itself: its hash and its size speak of nothing else.

    Raises:
        ArtifactError: Some lie in another file.
    """
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            places = {entry.key: entry.value for entry in tensor.external_data}
            outside = places.get("location", "another file")
            fix = (
                "weights lie outside the file; keep them in it: "
                "onnx.save_model(onnx.load(path), path, save_as_external_data=False)"
            )
            raise ArtifactError(path, f"weights {tensor.name}", outside, fix)


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All stored tensors: of the graph, of graphs and functions within, and of nodes."""
    yield from _tensors_of_graph(model.graph)
    for node in (node for function in model.functions for node in function.node):
        yield from _tensors_of_node(node)
    for training in model.training_info:
        yield from _tensors_of_graph(training.initialization)
        yield from _tensors_of_graph(training.algorithm)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _tensors_of_node(node)


def _tensors_of_node(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of_graph(graph)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph and of the graphs within."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def validate_artifact(path: str | Path, model: onnx.ModelProto | None = None) -> ArtifactInfo:
    """Check that a model file keeps the artifact signature.

    Args:
        path: The model file; named in errors.
        model: The parsed file, where it is at hand.

    Returns:
        Class names, size and metadata of the file.

    Raises:
        ArtifactError: The signature or the metadata differ; names the field and the value seen.
    """
    model = load_model(path) if model is None else model
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < LEAST_OPSET:
        raise ArtifactError(path, "opset", opset, f"export with opset {LEAST_OPSET} or later")
    check_is_whole(path, model)
    _check_domains(path, model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    _check_names(path, "inputs", inputs, ["images"])
    task = task_of_outputs([value.name for value in model.graph.output])
    _check_names(path, "outputs", list(model.graph.output), list(OUTPUTS[task]))
    dims = {v.name: _checked_dims(path, v) for v in [*inputs, *model.graph.output]}
    points = dims["boxes"][1] if "boxes" in dims else None
    info = _read_info(path, read_metadata(model), points, task)
    _check_dims(path, dims, info)
    return info


def _check_domains(path: str | Path, model: onnx.ModelProto) -> None:
    """Operators of one engine alone run nowhere else, and no count knows what they do."""
    made_here = {(function.domain, function.name) for function in model.functions}
    of_functions = (node for function in model.functions for node in function.node)
    for node in (*_nodes(model.graph), *of_functions):
        if node.domain not in STANDARD and (node.domain, node.op_type) not in made_here:
            fix = "export with operators of the ONNX standard alone, unoptimised by an engine"
            raise ArtifactError(path, f"operator {node.op_type} domain", node.domain, fix)


def _check_names(
    path: str | Path, name: str, values: list[onnx.ValueInfoProto], expected: list[str]
) -> None:
    names = [value.name for value in values]
    if names != expected:
        raise ArtifactError(path, name, names, f"the signature asks for {expected}")


def _checked_dims(path: str | Path, value: onnx.ValueInfoProto) -> list[int | None]:
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        kinds = {number: name for name, number in TensorProto.DataType.items()}
        seen = kinds.get(tensor.elem_type, tensor.elem_type)
        raise ArtifactError(path, f"{value.name} type", seen, "the signature asks for float32")
    dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    if len(dims) != _SHAPES[value.name]:
        fix = f"the signature asks for {_SHAPES[value.name]} axes"
        raise ArtifactError(path, f"{value.name} shape", dims, fix)
    if dims[0] is not None:
        raise ArtifactError(path, f"{value.name} batch", dims[0], "export with a dynamic batch")
    return dims


def _read_info(
    path: str | Path, metadata: dict[str, str], points: int | None, task: str
) -> ArtifactInfo:
    for name in ("names", "size", *PROVENANCE):
        if not metadata.get(name):
            fix = f"write {name!r} into the metadata; deploy.export does"
            raise ArtifactError(path, f"metadata {name}", metadata.get(name), fix)
    try:
        classes, size = json.loads(metadata["names"]), int(metadata["size"])
    except (ValueError, RecursionError) as error:
        fix = "names is a JSON list of class names, size an integer"
        raise ArtifactError(path, "metadata", str(error), fix) from error
    is_text = isinstance(classes, list) and all(isinstance(n, str) and n for n in classes)
    if not is_text or not classes or len(set(classes)) != len(classes):
        fix = "write a JSON list of class names, each once"
        raise ArtifactError(path, "metadata names", classes, fix)
    if not 1 <= size <= LARGEST_SIDE:
        raise ArtifactError(path, "metadata size", size, f"write pixels from 1 to {LARGEST_SIDE}")
    suppression = metadata.get("suppression", NMS)
    if suppression not in SUPPRESSIONS:
        fix = f"write one of {', '.join(SUPPRESSIONS)}, or leave it out"
        raise ArtifactError(path, "metadata suppression", suppression, fix)
    return ArtifactInfo(classes, size, metadata, points, task)


def _check_dims(path: str | Path, dims: dict[str, list[int | None]], info: ArtifactInfo) -> None:
    expected = (
        ("images", 1, 3),
        ("images", 2, info.size),
        ("images", 3, info.size),
        ("boxes", 2, 4),
        ("scores", 1, info.points),
        ("scores", 2, len(info.classes)),
        ("probabilities", 1, len(info.classes)),
        ("anomaly", 1, 1),
    )
    for name, axis, wanted in (dimension for dimension in expected if dimension[0] in dims):
        declared = dims[name][axis]
        if declared is not None and wanted is not None and declared != wanted:
            fix = f"the signature and the metadata ask for {wanted}"
            raise ArtifactError(path, f"{name} axis {axis}", declared, fix)
