"""A deployed network as CUDA graphs: its kernels are launched at once, not one after the other by Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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
