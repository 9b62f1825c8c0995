"""torch on a GPU, captured: the same network and files as ``torch``, its kernels launched as one CUDA graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import torch as plain

WARM_UP = 3  # calls before the capture, in which libraries choose their kernels


@dataclass
class Capture:
    """What was captured of one batch.

    Attributes:
        graph: The kernels.
        images: What they read.
        outputs: What they write.
    """

    graph: Any
    images: Tensor
    outputs: Tensor | tuple[Tensor, ...]


class CapturedNetwork:
    """A network whose kernels are captured once for each number of images, and replayed.

    Args:
        network: The deployed network, on the GPU.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.captures: dict[int, Capture] = {}

    def __call__(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run images [N,3,S,S]; the outputs are overwritten by the next call of the same N."""
        batch = len(images)
        if batch not in self.captures:
            self.captures[batch] = self._capture(images)
        capture = self.captures[batch]
        capture.images.copy_(images)
        capture.graph.replay()
        return capture.outputs

    def _capture(self, images: Tensor) -> Capture:
        given = images.clone()
        aside = torch.cuda.Stream()  # what warms up must not run in the stream that is captured
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self.network(given)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.network(given)
        return Capture(graph, given, outputs)


def open_session(folder: Path, threads: int) -> plain.TorchSession:
    """Open a folder of a network.

    Raises:
        ArtifactError: A file is missing or damaged, or the code is another one by now.
        ConfigError: The method's folder is gone.
        DeviceMemoryError: The device has no room.
    """
    return plain.open_session(folder, threads, CapturedNetwork)
