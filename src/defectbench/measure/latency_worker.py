"""One process of a latency measurement: warm up, then count calls, phase by phase.

Run by ``measure.latency``: ``python -m defectbench.measure.latency_worker REQUEST OUT``. It imports
no training framework, so nothing but the engine shares the processor with the model.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from safetensors import safe_open

from ..deploy.nms import SCORING_THRESHOLD, nms
from ..deploy.runtime import OnnxClassifier, OnnxDetector, load_engine, make_session, prepare
from .reference import SIDE

REFERENCE_CALLS = 10
LEAST_CALLS = 20
SCORING_CALLS = 50
GAP_SECONDS = 0.2

Image = NDArray[np.uint8]


@dataclass
class Samples:
    """Nanoseconds of every counted call, in order.

    Attributes:
        phases: [n, 3]: pre, forward, post.
        block: [n], the block of each call.
        reference: Nanoseconds of the reference model's calls.
        reference_block: The block that each of those closed.
    """

    phases: list[tuple[int, int, int]] = field(default_factory=list)
    block: list[int] = field(default_factory=list)
    reference: list[int] = field(default_factory=list)
    reference_block: list[int] = field(default_factory=list)


def read_images(pack: str | Path, limit: int) -> list[Image]:
    """Read images of a pack and undo its letterbox: decoded images at their original size.

    Args:
        pack: The pack of the test part.
        limit: Most images to read, spread evenly over the part.

    Returns:
        [H, W, 3] RGB images.
    """
    with safe_open(str(pack), framework="numpy") as tensors:
        stored = tensors.get_slice("images")
        total = stored.get_shape()[0]
        scale, pad = tensors.get_tensor("scale"), tensors.get_tensor("pad")
        original = tensors.get_tensor("original_size")
        chosen = np.unique(np.linspace(0, total - 1, min(limit, total)).astype(int)).tolist()
        rows = {n: np.asarray(stored[n : n + 1])[0] for n in chosen}
    images = []
    for n in chosen:
        width, height = (int(v) for v in original[n])
        left, top = (round(float(v)) for v in pad[n])
        inner_w, inner_h = (max(1, round(side * float(scale[n]))) for side in (width, height))
        inner = rows[n].transpose(1, 2, 0)[top : top + inner_h, left : left + inner_w]
        restored = cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR)
        images.append(np.ascontiguousarray(restored, dtype=np.uint8))
    return images


def timed_call(
    engine: OnnxDetector | OnnxClassifier, image: Image, threshold: float
) -> tuple[int, int, int]:
    """Nanoseconds of the three phases of one image, on one clock.

    pre: decoded image to network input; forward: the engine; post: suppression, or the choice of the class.
    """
    start = time.perf_counter_ns()
    images = prepare(image, engine.size)
    ready = time.perf_counter_ns()
    if isinstance(engine, OnnxClassifier):
        probabilities = engine(images)
        done = time.perf_counter_ns()
        probabilities[0].argmax()
        return ready - start, done - ready, time.perf_counter_ns() - done
    boxes, scores = engine(images)
    done = time.perf_counter_ns()
    nms(boxes[0], scores[0], threshold)
    return ready - start, done - ready, time.perf_counter_ns() - done


class Clockwork:
    """The engine, the reference model and the images of one process.

    Args:
        request: Model, pack, reference (if it is timed), engine, threads, threshold, calls, seconds, warmup, block.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.engine = load_engine(request["engine"], request["model"], request["threads"])
        self.images = read_images(request["pack"], request["images"])
        if "reference" in request:
            self.reference = make_session(Path(request["reference"]), request["threads"])
        self.reference_input = np.full((1, 3, SIDE, SIDE), 0.5, np.float32)
        self.turn = 0

    def next_image(self) -> Image:
        """Images in turn."""
        self.turn += 1
        return self.images[self.turn % len(self.images)]

    def time_reference(self, samples: Samples, block: int) -> None:
        """Time the reference model a few times, at the end of a block."""
        for _ in range(REFERENCE_CALLS):
            start = time.perf_counter_ns()
            self.reference.run(None, {"images": self.reference_input})
            samples.reference.append(time.perf_counter_ns() - start)
            samples.reference_block.append(block)

    def warm_up(self) -> None:
        """Uncounted calls of both models."""
        for _ in range(self.request["warmup"]):
            timed_call(self.engine, self.next_image(), self.request["threshold"])
        self.time_reference(Samples(), 0)

    def stream(self, watch: Watch) -> Samples:
        """Back-to-back calls in blocks, each closed by the reference model."""
        samples, request = Samples(), self.request
        end = time.perf_counter() + request["seconds"]
        for count in range(request["calls"]):
            if time.perf_counter() > end and count >= LEAST_CALLS:
                break
            block = count // request["block"]
            samples.phases.append(timed_call(self.engine, self.next_image(), request["threshold"]))
            samples.block.append(block)
            if (count + 1) % request["block"] == 0:
                self.time_reference(samples, block)
                watch.look()
        if samples.block[-1] not in samples.reference_block:
            self.time_reference(samples, samples.block[-1])
        return samples

    def burst(self) -> Samples:
        """Calls with a pause before each, as a camera on a line makes them."""
        samples = Samples()
        for count in range(self.request["burst_calls"]):
            time.sleep(GAP_SECONDS)
            samples.phases.append(
                timed_call(self.engine, self.next_image(), self.request["threshold"])
            )
            samples.block.append(count // self.request["block"])
        return samples

    def post_at_scoring_threshold(self) -> list[int]:
        """Nanoseconds of suppression at the threshold that accuracy is scored at; none for a classifier."""
        if isinstance(self.engine, OnnxClassifier):
            return []
        calls = min(SCORING_CALLS, len(self.images))
        return [
            timed_call(self.engine, self.next_image(), SCORING_THRESHOLD)[2] for _ in range(calls)
        ]


def clock_mhz() -> float | None:
    """The processor's clock where the machine tells it."""
    clock = psutil.cpu_freq()
    return float(clock.current) if clock else None


def machine_seconds() -> tuple[float, float]:
    """Busy seconds of all processors, and of this process."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    own = psutil.Process().cpu_times()
    return sum(times) - guest - idle, own.user + own.system


class Watch:
    """What else the machine does while calls are counted; it watches from when it is made."""

    def __init__(self) -> None:
        self.clocks: list[float | None] = [clock_mhz()]
        self.load, self.start = os.getloadavg()[0], time.perf_counter()
        self.busy, self.own = machine_seconds()

    def look(self) -> None:
        """Note the processor's clock."""
        self.clocks.append(clock_mhz())

    def evidence(self) -> dict[str, Any]:
        """Load of this process and of others since the start, cores; the clock, MHz."""
        wall = time.perf_counter() - self.start
        busy, own = machine_seconds()
        foreign = max(0.0, (busy - self.busy) - (own - self.own)) / wall
        return {
            "wall_s": wall,
            "foreign_cores_busy": foreign,
            "usable_cores": len(psutil.Process().cpu_affinity()),
            "own_cores_busy": (own - self.own) / wall,
            "load_average_before": self.load,
            "load_average_after": os.getloadavg()[0],
            "clock_mhz": self.clocks,
        }


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks and return samples and evidence."""
    cv2.setNumThreads(request["threads"])
    work = Clockwork(request)
    work.warm_up()
    watch = Watch()
    gc.disable()
    stream = work.stream(watch)
    gc.enable()
    evidence = watch.evidence()
    return {
        "stream": vars(stream),
        "burst": vars(work.burst()),
        "post_at_scoring_threshold": work.post_at_scoring_threshold(),
        "images": len(work.images),
        "evidence": evidence,
    }


def main(request_path: str, out_path: str) -> None:
    """Read the request, measure, write the answer."""
    request = json.loads(Path(request_path).read_text())
    Path(out_path).write_text(json.dumps(measure(request)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
