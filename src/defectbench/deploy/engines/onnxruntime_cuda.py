"""onnxruntime on a GPU: the artifact itself, by its CUDA provider and by nothing else.

Its package, ``onnxruntime-gpu``, has the module of ``onnxruntime``: where both are installed the later one is there.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from ...base.errors import ConfigError
from ..runtime import OnnxSession

PROVIDER = "CUDAExecutionProvider"
SETTINGS = {"use_tf32": "0"}  # else float32 is multiplied with 10 of its 23 bits


def open_session(path: Path, threads: int) -> OnnxSession:
    """Open a model file.

    Raises:
        ConfigError: This onnxruntime has no CUDA provider.
        ArtifactError: It is missing, or onnxruntime refuses it.
        DeviceMemoryError: The device has no room.
    """
    there = ort.get_available_providers()
    if PROVIDER not in there:
        fix = 'pip uninstall onnxruntime, then pip install --force-reinstall "defectbench[cuda]"'
        raise ConfigError("engine", "onnxruntime provider", there, fix)
    return OnnxSession(path, threads, (PROVIDER, SETTINGS))
