"""OpenVINO on the processor: it runs the ONNX file itself, quantised or not.

Where a quantised file rounds activations to signed numbers, they are read as unsigned ones with a zero point of 128,
which stand for the same values: with signed ones OpenVINO 2026.4 lost 13 points of mAP50 of a YOLOv8n on a processor
with AVX2, where onnxruntime lost half a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
from onnx import numpy_helper

from ...base.errors import ArtifactError
from ..artifact import load_model, read_metadata
from ..runtime import Images, engine_refusal

# float32 unless the file is quantised: on some processors OpenVINO else takes a narrower type by itself
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenVinoSession:
    """A model that OpenVINO holds open.

    Args:
        path: The model file.
        model: The same, read.
        threads: Threads of the engine.
    """

    def __init__(self, path: Path, model: onnx.ModelProto, threads: int) -> None:
        self.metadata = read_metadata(model)
        self.outputs = [value.name for value in model.graph.output]
        core = openvino.Core()
        settings: dict[str, Any] = {
            **SETTINGS,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(_read(core, path, model), "CPU", settings)
        self.request = compiled.create_infer_request()

    def run(self, images: Images) -> Sequence[Images]:
        """Run images [N,3,S,S] in 0..1; return the outputs in their order."""
        self.request.infer({"images": images}, share_inputs=True)
        return [self.request.get_output_tensor(n).data.copy() for n in range(len(self.outputs))]


def _read(core: openvino.Core, path: Path, model: onnx.ModelProto) -> openvino.Model:
    """The model as OpenVINO reads it: from its file, or, quantised, with unsigned activations."""
    return core.read_model(as_it_reads(model) if _is_quantised(model) else path)


def write_as_it_reads(path: Path, out: Path) -> None:
    """Write what OpenVINO is given of a model file: the same, or, quantised, with unsigned activations.

    Args:
        path: The file.
        out: The file to write.
    """
    model = load_model(path)
    out.write_bytes(as_it_reads(model) if _is_quantised(model) else path.read_bytes())


def as_it_reads(model: onnx.ModelProto) -> bytes:
    """The bytes of a quantised model with unsigned activations."""
    return read_unsigned(model).SerializeToString(deterministic=True)


def _is_quantised(model: onnx.ModelProto) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def read_unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which activations that are rounded to int8 are rounded to uint8 instead, to the same values."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    rounded = {
        node.output[0]
        for node in copy.graph.node
        if node.op_type == "QuantizeLinear" and _is_signed(constants.get(node.input[2]))
    }
    for node in copy.graph.node:
        reads = node.op_type == "DequantizeLinear" and node.input[0] in rounded
        if reads or node.output[0] in rounded:
            zero = numpy_helper.to_array(constants[node.input[2]])
            name = f"{node.input[2]}_unsigned"
            if name not in constants:
                shifted = (zero.astype(np.int16) + 128).astype(np.uint8)
                constants[name] = numpy_helper.from_array(shifted, name)
                copy.graph.initializer.append(constants[name])
            node.input[2] = name
    return copy


def _is_signed(zero_point: onnx.TensorProto | None) -> bool:
    return zero_point is not None and zero_point.data_type == onnx.TensorProto.INT8


def open_session(path: Path, threads: int) -> OpenVinoSession:
    """Open a model file.

    Raises:
        ArtifactError: It is missing, or OpenVINO refuses it.
    """
    model = load_model(path)
    try:
        return OpenVinoSession(path, model, threads)
    except ArtifactError:
        raise
    except Exception as error:  # OpenVINO's errors share no public root
        raise engine_refusal(path, "openvino", error) from error
