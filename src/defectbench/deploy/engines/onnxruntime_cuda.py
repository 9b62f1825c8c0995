"""onnxruntime on a GPU: the artifact itself, by its CUDA provider and by nothing else.

Its package, ``onnxruntime-gpu``, has the module of ``onnxruntime``: where both are installed the later one is there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from ...base.errors import ConfigError, RefusedError
from ..runtime import OnnxSession, make_session

PROVIDER = "CUDAExecutionProvider"
SETTINGS = {"use_tf32": "0"}  # else float32 is multiplied with 10 of its 23 bits


def open_session(path: Path, threads: int) -> OnnxSession:
    """Open a model file.

    Raises:
        ConfigError: This onnxruntime has no CUDA provider, or one that does not start.
        ArtifactError: The file is missing.
        RefusedError: onnxruntime refuses it.
        DeviceMemoryError: The device has no room.
    """
    there = ort.get_available_providers()
    if PROVIDER not in there:
        fix = 'pip uninstall onnxruntime, then pip install --force-reinstall "defectbench[cuda]"'
        raise ConfigError("engine", "onnxruntime provider", there, fix)
    try:
        return OnnxSession(path, threads, (PROVIDER, SETTINGS))
    except RefusedError:
        _check_that_it_starts()
        raise


def _check_that_it_starts() -> None:
    """A model of one addition runs: else what is wrong is the machine, and no model's fault.

    Without its libraries onnxruntime leaves the provider out, and says the same as of an operator that it lacks.

    Raises:
        ConfigError: It does not.
    """
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "images"], ["sums"])],
        "addition",
        [value("images", TensorProto.FLOAT, [1])],
        [value("sums", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "model.onnx"
        onnx.save(model, str(file))
        try:
            make_session(file, 1, (PROVIDER, SETTINGS))
        except RefusedError as error:
            fix = "its CUDA and cuDNN must be here and fit the driver: nvidia-smi tells that one"
            raise ConfigError("engine", PROVIDER, error.value, fix) from error
