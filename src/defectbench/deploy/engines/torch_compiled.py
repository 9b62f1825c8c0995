"""torch on a GPU, compiled: the same network and files as ``torch``, its operators joined into kernels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from . import torch as plain


def compiled(network: nn.Module) -> plain.Network:
    """The network compiled for each batch that it meets; the first call of each takes the time for it."""
    return torch.compile(network, dynamic=False)


def open_session(folder: Path, threads: int) -> plain.TorchSession:
    """Open a folder of a network.

    Raises:
        ArtifactError: A file is missing or damaged, or the code is another one by now.
        ConfigError: The method's folder is gone.
        DeviceMemoryError: The device has no room.
    """
    return plain.open_session(folder, threads, compiled)
