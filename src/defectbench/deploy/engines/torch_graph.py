"""torch on a GPU, captured: the same network and files as ``torch``, its kernels launched as one CUDA graph."""

from __future__ import annotations

from pathlib import Path

from ...nn.captured import CapturedNetwork
from . import torch as plain


def open_session(folder: Path, threads: int) -> plain.TorchSession:
    """Open a folder of a network.

    Raises:
        ArtifactError: A file is missing or damaged, or the code is another one by now.
        ConfigError: The method's folder is gone.
        DeviceMemoryError: The device has no room.
    """
    return plain.open_session(folder, threads, CapturedNetwork)
