"""Steps on a GPU replayed as CUDA graphs: thousands of small operations are asked for at once instead of one by one.

What is recorded is the work between a batch and its gradients: forward pass, losses, backward pass. Data, the clip, the
optimiser and the average stay outside, so that the learning rate can change from step to step. A graph is of one shape
of batches and one phase of the loss. The first steps of each run as ever; then a step is recorded, replayed and
compared with what it gives without the graph. Where it cannot be recorded or gives other values, a line says so, and
the run goes on without graphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..nn.trainable import Targets, Trainable
from .progress import report_no_graph

WARM_STEPS = 3  # before a recording: libraries choose their kernels in them
LOSS_BOUND, GRADIENT_BOUND = 1e-3, 2e-2  # relative; kernels that add up in any order differ by less

Losses = dict[str, Tensor]
Learn = Callable[
    [Tensor, Targets], Losses
]  # losses of a batch; it leaves gradients in the parameters


class Recorder(Protocol):
    """What records work on a device and repeats it."""

    def beside(self, work: Callable[[], Losses]) -> Losses:
        """Run work where recordings are made."""
        ...

    def record(self, work: Callable[[], Losses]) -> tuple[Callable[[], Any], Losses]:
        """Record work without running it: what repeats it, and the tensors that it then fills."""
        ...


class CudaRecorder:
    """CUDA graphs of one process; they share memory."""

    def __init__(self) -> None:
        self.stream, self.pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def beside(self, work: Callable[[], Losses]) -> Losses:
        """Run work on the stream of the recordings."""
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            losses = work()
        here.wait_stream(self.stream)
        return losses

    def record(self, work: Callable[[], Losses]) -> tuple[Callable[[], Any], Losses]:
        """Record work as a CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"
        ):
            losses = work()
        return graph.replay, losses


class _OtherValuesError(RuntimeError):
    """A replayed step does not give what it gives without the graph."""


@dataclass(frozen=True)
class _Graph:
    """One recording, with the tensors that it reads and fills."""

    images: Tensor
    targets: Targets
    replay: Callable[[], Any]
    losses: Losses
    gradients: list[Tensor | None]


class StepGraphs:
    """Recordings of one run's steps.

    Args:
        model: The model in training.
        folder: The cell's folder, named in lines.
        recorder: What records.
    """

    def __init__(self, model: Trainable, folder: Path, recorder: Recorder) -> None:
        self.model, self.folder, self.recorder = model, folder, recorder
        self.parameters = list(model.parameters())
        self.off: str | None = None
        self.recorded = 0
        self._phase: Hashable | None = None
        self._graphs: dict[Hashable, _Graph] = {}
        self._met: Counter[Hashable] = Counter()

    def learn(
        self, images: Tensor, targets: Targets, epoch: int, seed: int, learn: Learn
    ) -> Losses:
        """Losses of a batch by name, its gradients in the parameters: by a graph where there is one.

        Args:
            images: float32 [B, 3, H, W].
            targets: Truth of the batch.
            epoch: From 0.
            seed: Of draws inside the network, set already.
            learn: The work.
        """
        phase = self.model.phase(epoch)
        if phase is None and self.off is None:
            self._give_up("its loss does not tell what of the epoch it depends on")
        if self.off is not None:
            return learn(images, targets)
        if phase != self._phase:  # phases do not come again
            self._phase = phase
            self._graphs.clear()
            self._met.clear()
        key = (images.shape, targets.boxes.shape)
        if key in self._graphs:
            return self._replayed(self._graphs[key], images, targets)
        self._met[key] += 1
        if self._met[key] <= WARM_STEPS:
            return self.recorder.beside(lambda: learn(images, targets))
        return self._recorded(key, images, targets, seed, learn)

    def words(self) -> dict[str, Any]:
        """How many graphs were recorded, or why none serves the run; for its record."""
        return {"cuda_graphs": self.recorded if self.off is None else f"none: {self.off}"}

    def _replayed(self, graph: _Graph, images: Tensor, targets: Targets) -> Losses:
        graph.images.copy_(images)
        graph.targets.boxes.copy_(targets.boxes)
        graph.targets.labels.copy_(targets.labels)
        graph.replay()
        for parameter, gradient in zip(self.parameters, graph.gradients, strict=True):
            parameter.grad = gradient
        # the next replay fills the same tensors, and losses wait to be read
        return {name: loss.detach().clone() for name, loss in graph.losses.items()}

    def _recorded(
        self, key: Hashable, images: Tensor, targets: Targets, seed: int, learn: Learn
    ) -> Losses:
        """A step without a graph, and the same step again by one, which from then on serves its like."""
        buffers = list(self.model.buffers())
        before = [buffer.clone() for buffer in buffers]
        losses = self.recorder.beside(lambda: learn(images, targets))
        gradients = [parameter.grad for parameter in self.parameters]
        after = [buffer.clone() for buffer in buffers]
        _put(buffers, before)
        torch.manual_seed(seed)
        try:
            graph = self._record(images, targets, learn)
            replayed = self._replayed(graph, images, targets)
            _compare(losses, replayed, gradients, graph.gradients)
        except RuntimeError as error:
            self._give_up(str(error).splitlines()[0])
            _put(buffers, after)
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            return losses
        self._graphs[key] = graph
        self.recorded += 1
        return replayed

    def _record(self, images: Tensor, targets: Targets, learn: Learn) -> _Graph:
        shown, truth = images.clone(), Targets(targets.boxes.clone(), targets.labels.clone())
        for parameter in self.parameters:
            parameter.grad = None  # so that the graph makes gradients of its own
        replay, losses = self.recorder.record(lambda: learn(shown, truth))
        return _Graph(shown, truth, replay, losses, [p.grad for p in self.parameters])

    def _give_up(self, reason: str) -> None:
        self.off = reason
        self._graphs.clear()
        report_no_graph(self.folder, reason)


@torch.no_grad()
def _put(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _compare(
    losses: Losses,
    replayed: Losses,
    gradients: list[Tensor | None],
    others: list[Tensor | None],
) -> None:
    """Hold a replayed step against the same without the graph.

    Raises:
        _OtherValuesError: Losses or gradients lie farther apart than rounding explains.
    """
    wanted, got = float(losses["loss"].detach()), float(replayed["loss"])
    if not abs(got - wanted) <= LOSS_BOUND * max(abs(wanted), 1e-6):
        raise _OtherValuesError(
            f"a replayed step gives the loss {got:.6g} in place of {wanted:.6g}"
        )
    if [g is None for g in gradients] != [g is None for g in others]:
        raise _OtherValuesError("a replayed step has gradients of other parameters")
    pairs = [
        (a, b) for a, b in zip(gradients, others, strict=True) if a is not None and b is not None
    ]
    apart = nn.utils.get_total_norm([a - b for a, b in pairs])
    whole = nn.utils.get_total_norm([a for a, _ in pairs])
    if not float(apart) <= GRADIENT_BOUND * max(float(whole), 1e-12):
        raise _OtherValuesError(
            f"gradients of a replayed step are {float(apart / whole):.2g} apart"
        )
