"""Eight bits after training: one ONNX file whose graph says where it rounds and by which scale.

The rounding stands in the file (QuantizeLinear, DequantizeLinear), so that precision is a property of the file and
every engine that reads it rounds alike. The rule:

- convolutions and matrix products with stored weights are quantised, their weights channel by channel, symmetric;
- the maps that they read and give are quantised symmetric as well, as TensorRT asks, by the extremes of calibration;
- weights use 7 of the 8 bits: without instructions for it, a processor adds two products in 16 bits, which 8 overflow;
- the first convolution and the prediction layers, behind which no other layer with weights comes, stay in float32.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.shape_inference import infer_shapes
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from ..base.errors import ArtifactError, PackError
from ..base.files import atomic_path
from ..base.records import write_record
from ..data.pack import load_arrays
from .artifact import load_model, read_metadata, set_metadata, strip_origin, validate_artifact
from .checked import open_checked
from .predict import check_pack_fits
from .runtime import engine_refusal

IMAGES = 128
_QUANTISED = ("Conv", "Gemm", "MatMul")


class _Images(CalibrationDataReader):
    """Images of a pack, one at a time."""

    def __init__(self, images: Any) -> None:
        self.images = iter(images)

    def get_next(self) -> Any:
        """The next image as the network's input; None behind the last one."""
        image = next(self.images, None)
        return None if image is None else {"images": image[None].astype(np.float32) / 255}


def quantise(
    model_path: str | Path, train_pack: str | Path, out: str | Path, images: int = IMAGES
) -> None:
    """Write an artifact in eight bits, and ``conversion.json`` beside it.

    Args:
        model_path: The artifact in float32.
        train_pack: Pack of the training part, whose images calibrate it; no other part is read.
        out: The file to make.
        images: Most images to calibrate with, spread evenly over the part.

    Raises:
        ArtifactError: The file breaks the artifact signature, or it cannot be quantised.
        PackError: The pack is not of a training part, holds no image, or does not fit the model.
    """
    start = time.perf_counter()
    engine = open_checked(model_path)
    pack = load_arrays(train_pack, task=engine.task)
    check_pack_fits(engine, pack, train_pack)
    if pack.metadata["part"] != "train":
        fix = "calibrate with the training part; the others are for judging"
        raise PackError(train_pack, "part", pack.metadata["part"], fix)
    if not len(pack):
        raise PackError(train_pack, "images", 0, "there is nothing to calibrate with")
    chosen = np.unique(np.linspace(0, len(pack) - 1, min(images, len(pack))).astype(int))
    model = load_model(model_path)
    quantised, left = _layers(model)
    if not quantised:
        raise ArtifactError(
            model_path, "layers with weights", len(left), "all are the first or predict"
        )
    metadata = read_metadata(model) | {"precision": "int8"}
    with tempfile.TemporaryDirectory() as folder, atomic_path(out) as part:
        source, made = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(_named(infer_shapes(model)), str(source))
        try:
            _quantise(source, made, np.asarray(pack.images)[chosen], quantised)
        except Exception as error:  # the quantiser's errors share no public root
            raise engine_refusal(model_path, "quantisation", error) from error
        written = onnx.load(str(made))
        strip_origin(written)
        set_metadata(written, metadata)
        part.write_bytes(written.SerializeToString(deterministic=True))
        validate_artifact(part)
    figures = {
        "precision": "int8",
        "n_images": len(chosen),
        "n_layers_int8": len(quantised),
        "n_layers_float32": len(left),
        "model_mib": Path(out).stat().st_size / 2**20,
    }
    inputs = {"source": model_path, "pack": train_pack, "model": out}
    extra = {"layers_float32": left}
    seconds = time.perf_counter() - start
    write_record(
        Path(out).with_name("conversion.json"), "conversion", figures, inputs, seconds, extra
    )


def _quantise(source: Path, out: Path, images: Any, layers: list[str]) -> None:
    """Let onnxruntime round some layers of a model file, by the rule of this module."""
    quantize_static(
        str(source),
        str(out),
        _Images(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_quantize=layers,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
    )


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with a name for each node, by which layers are chosen."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model


def _layers(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """Names of the layers with weights that are quantised, and of those that stay in float32."""
    graph = _named(model).graph
    weights = {tensor.name for tensor in graph.initializer}
    layers = [
        node
        for node in graph.node
        if node.op_type in _QUANTISED and any(name in weights for name in node.input[1:2])
    ]
    first = {node.name for node in layers[:1]}
    last = set(_last_layers(graph, layers))
    left = [node.name for node in layers if node.name in first | last]
    return [node.name for node in layers if node.name not in left], left


def _last_layers(graph: onnx.GraphProto, layers: list[onnx.NodeProto]) -> Iterator[str]:
    """Names of the layers from which an output is reached without another layer between."""
    makers = {name: node for node in graph.node for name in node.output}
    names = {node.name for node in layers}
    waiting, seen = [value.name for value in graph.output], set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.name in names:
            yield node.name
        else:
            waiting.extend(node.input)
