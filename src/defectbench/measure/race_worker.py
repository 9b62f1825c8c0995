"""One process of a race: load every model file, then let all take turns, block by block.

Run by ``measure.race``: ``python -m defectbench.measure.race_worker REQUEST OUT``. It imports no training framework, so
nothing but the engine shares the processor with the models.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from ..base.engines import takes_batch
from ..base.errors import ArtifactError, DefectBenchError, DeviceMemoryError
from ..deploy.engines import load_engine
from ..deploy.merge import merge_tiles
from ..deploy.nms import NMS, NONE, SCORING_THRESHOLD, answer_of
from ..deploy.runtime import (
    ClassifierModel,
    DetectorModel,
    Model,
    engine_refusal,
    make_session,
    prepare,
)
from .energy import STANDS_STILL, Meter, find_meters, read_joules
from .machine_watch import Watch, processor_ns

REFERENCE_CALLS = 5  # of each block of the reference model
SETTLING_CALLS = 1  # before each block, not counted: another file has just had the caches
GAP_SECONDS = 0.2
MERGED_IMAGES = 3  # of a process, whose tiles' boxes are merged on the clock

Image = NDArray[np.uint8]


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
    return [restore(rows[n], scale[n], pad[n], original[n]) for n in chosen]


def restore(
    row: NDArray[np.uint8], scale: np.floating, pad: NDArray[Any], original: NDArray[Any]
) -> Image:
    """An image [H, W, 3] at its original size, from its square [3, S, S] in a pack."""
    width, height = (int(v) for v in original)
    left, top = (round(float(v)) for v in pad)
    inner_w, inner_h = (max(1, round(side * float(scale))) for side in (width, height))
    inner = row.transpose(1, 2, 0)[top : top + inner_h, left : left + inner_w]
    restored = cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(restored, dtype=np.uint8)


@dataclass(frozen=True)
class TiledImage:
    """A whole image as its tiles.

    Attributes:
        tiles: [side, side, 3] RGB each.
        windows: int64 [T, 4], where they lie in the image.
        size: Width and height of the image, pixels.
    """

    tiles: list[Image]
    windows: NDArray[np.int64]
    size: NDArray[np.int64]


@dataclass(frozen=True)
class TiledPart:
    """What a race asks of a pack of tiles beside single ones.

    Attributes:
        tiles_per_image: Mean over the part.
        images: Some of its images.
    """

    tiles_per_image: float
    images: list[TiledImage]


def read_tiled(pack: str | Path, process: int) -> TiledPart | None:
    """Whole images of a pack of tiles, others in each process; None where its images are not in tiles."""
    with safe_open(str(pack), framework="numpy") as tensors:
        if "windows" not in tensors.keys():  # noqa: SIM118
            return None
        stored, ids = tensors.get_slice("images"), tensors.get_tensor("image_ids")
        names = ("scale", "pad", "original_size", "windows", "whole_ids", "whole_size")
        scale, pad, original, windows, wholes, sizes = map(tensors.get_tensor, names)
        images = []
        for turn in range(min(MERGED_IMAGES, len(wholes))):
            n = (process * MERGED_IMAGES + turn) % len(wholes)
            rows = np.flatnonzero(ids == wholes[n])
            pixels = [np.asarray(stored[row : row + 1])[0] for row in rows.tolist()]
            tiles = [
                restore(p, scale[row], pad[row], original[row])
                for p, row in zip(pixels, rows, strict=True)
            ]
            images.append(TiledImage(tiles, windows[rows], sizes[n]))
    return TiledPart(len(ids) / len(wholes), images)


@dataclass
class Call:
    """One timed call, nanoseconds.

    Attributes:
        pre: Decoded images to network input.
        forward: The engine.
        post: Suppression, or the choice of the class; 0 of a detector that needs no suppression, where the choice of
            boxes above the threshold is part of ``forward``.
        outputs: What the engine answered.
    """

    pre: int
    forward: int
    post: int
    outputs: Any


class Runner:
    """A model file in the race: its engine and its images.

    Args:
        request: Model, engine, pack and threshold of the file.
        threads: Threads of the engine.
        images: Images of its pack.
        tiled: What a pack of tiles has beside them.

    Attributes:
        suppression: What a detector's boxes need before they are an answer: ``nms`` or ``none``.
        calls: Nanoseconds by round and call: pre, forward, post, time on the processor.
        burst: Nanoseconds of the calls after a pause: pre, forward, post.
        scoring_post: Nanoseconds of suppression at the threshold that accuracy is scored at.
        merges: Nanoseconds of merging the boxes of all tiles of an image.
        batched: By images a call, nanoseconds as in ``calls``.
    """

    def __init__(
        self,
        request: dict[str, Any],
        threads: int,
        images: list[Image],
        tiled: TiledPart | None = None,
    ) -> None:
        self.model, self.threshold = request["model"], request["threshold"]
        self.engine_name = request["engine"]
        self.engine: Model = load_engine(request["engine"], self.model, threads)
        engine = self.engine
        self.suppression = engine.suppression if isinstance(engine, DetectorModel) else NMS
        self.images, self.tiled, self.turn = images, tiled, 0
        self.calls: list[list[tuple[int, int, int, int]]] = []
        self.burst: list[tuple[int, int, int]] = []
        self.scoring_post: list[int] = []
        self.merges: list[int] = []
        self.batched: dict[int, list[list[tuple[int, int, int, int]]]] = {}

    def call(self, batch: int = 1) -> Call:
        """Run the next images, phase by phase, on one clock."""
        images = [self.images[(self.turn + n) % len(self.images)] for n in range(batch)]
        self.turn += batch
        start = time.perf_counter_ns()
        inputs = [prepare(image, self.engine.size) for image in images]
        together = inputs[0] if batch == 1 else np.concatenate(inputs)
        ready = time.perf_counter_ns()
        outputs = self.engine(together)
        done = time.perf_counter_ns()
        for n in range(batch):
            self.answer(outputs, self.threshold, n)
        answered = time.perf_counter_ns()
        if not self.has_post:
            done = answered
        return Call(ready - start, done - ready, answered - done, outputs)

    @property
    def has_post(self) -> bool:
        """Whether something is left to do when the engine has answered."""
        return self.suppression != NONE

    def answer(self, outputs: Any, threshold: float, image: int = 0) -> None:
        """What makes an answer of the engine's outputs for one image of a call."""
        if isinstance(self.engine, DetectorModel):
            boxes, scores = outputs
            answer_of(boxes[image], scores[image], threshold, self.suppression)
        elif isinstance(self.engine, ClassifierModel):
            outputs[image].argmax()
        else:
            bool(outputs[image, 0] > (threshold or 0))

    def run_calls(self, calls: int, batch: int = 1) -> tuple[list[tuple[int, int, int, int]], Any]:
        """Settle, then count some calls back to back; the block, and what the last call answered."""
        for _ in range(SETTLING_CALLS):
            self.call(batch)
        block, outputs = [], None
        for _ in range(calls):
            before = processor_ns()
            call = self.call(batch)
            busy = processor_ns() - before
            block.append((call.pre, call.forward, call.post, busy))
            outputs = call.outputs
        return block, outputs

    def run_batch(self, batch: int) -> None:
        """One block of one counted call of several images."""
        self.batched.setdefault(batch, []).append(self.run_calls(1, batch)[0])

    def run_block(self, calls: int) -> None:
        """Count some calls of one image; a detector's last outputs are suppressed once more."""
        block, outputs = self.run_calls(calls)
        self.calls.append(block)
        if isinstance(self.engine, DetectorModel) and self.has_post:
            start = time.perf_counter_ns()
            self.answer(outputs, SCORING_THRESHOLD)
            self.scoring_post.append(time.perf_counter_ns() - start)

    def run_burst(self) -> None:
        """One call after a pause, as a camera on a line makes it."""
        time.sleep(GAP_SECONDS)
        call = self.call()
        self.burst.append((call.pre, call.forward, call.post))

    def run_energy(self, seconds: float, meters: Sequence[Meter]) -> dict[str, Any]:
        """Calls of one image for some seconds, and the energy that the machine's meters tell of them."""
        images, start, before = 0, time.perf_counter(), read_joules(meters)
        while (spent := time.perf_counter() - start) < seconds:
            self.call()
            images += 1
        after = read_joules(meters)
        joules = {name: after[name] - before[name] for name in after}
        return {"images": images, "seconds": spent, "joules": joules}

    def run_merges(self) -> None:
        """Merge the boxes of whole images, each twice, the second time on the clock."""
        for image in self.tiled.images if self.tiled else []:
            parts = []
            for tile in image.tiles:
                boxes, scores = self.engine(prepare(tile, self.engine.size))
                kept, ranked, labels = answer_of(
                    boxes[0], scores[0], self.threshold, self.suppression
                )
                parts.append((kept * (tile.shape[0] / self.engine.size), ranked, labels))
            merge_tiles(image.windows, image.size.tolist(), parts, self.threshold)
            start = time.perf_counter_ns()
            merge_tiles(image.windows, image.size.tolist(), parts, self.threshold)
            self.merges.append(time.perf_counter_ns() - start)


@dataclass
class ReferenceRunner:
    """The reference model.

    Args:
        path: Its file.
        threads: Threads of the engine.

    Attributes:
        blocks: Nanoseconds by block and call: on the wall, on the processor.
    """

    path: str
    threads: int
    blocks: list[list[tuple[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = make_session(Path(self.path), self.threads)
        self.image = np.full(self.session.get_inputs()[0].shape, 0.5, np.float32)

    def run_block(self) -> None:
        """Settle, then count some calls: as many images as in a block of single ones, at least one call."""
        block = []
        calls = math.ceil(REFERENCE_CALLS / len(self.image))
        for _ in range(SETTLING_CALLS + calls):
            before, start = processor_ns(), time.perf_counter_ns()
            self.session.run(None, {"images": self.image})
            wall = time.perf_counter_ns() - start
            block.append((wall, processor_ns() - before))
        self.blocks.append(block[SETTLING_CALLS:])


@contextmanager
def failure_named(model: str) -> Iterator[None]:
    """Raise whatever an engine raises as an error that names the model file.

    Raises:
        ArtifactError: The engine cannot load or run the file.
    """
    try:
        yield
    except DefectBenchError:
        raise
    except Exception as error:  # an engine's errors share no public root
        raise engine_refusal(model, "run", error) from error


def load_runners(request: dict[str, Any]) -> tuple[list[Runner], dict[str, str]]:
    """Load and warm up every model; models that fail are left out.

    Returns:
        The runners, and what went wrong by model file.
    """
    images: dict[str, list[Image]] = {}
    tiled: dict[str, TiledPart | None] = {}
    runners, failed = [], {}
    for entry in request["entries"]:
        # the last line names a model that kills its process
        sys.stdout.write(f"{entry['model']}\n")
        sys.stdout.flush()
        pack = entry["pack"]
        if pack not in images:
            images[pack] = read_images(pack, request["images"])
            tiled[pack] = read_tiled(pack, request["process"])
        try:
            with failure_named(entry["model"]):
                parts = images[pack], tiled[pack]
                runner = Runner(entry, request["threads"], *parts)
                for _ in range(request["warmup"]):
                    runner.call()
        except DefectBenchError as error:
            failed[entry["model"]] = f"{type(error).__name__}: {error}"
        else:
            runners.append(runner)
    return runners, failed


def turns(runners: int, process: int, turn: int) -> list[int]:
    """Order of the runners in one round of one process; drawn anew, so that none always follows the same.

    Example:
        >>> turns(5, 0, 0) == turns(5, 0, 0), sorted(turns(5, 0, 1))
        (True, [0, 1, 2, 3, 4])
    """
    return np.random.default_rng([process, turn]).permutation(runners).tolist()


def take_turns(
    reference: ReferenceRunner,
    runners: Sequence[Runner],
    orders: Sequence[Sequence[int]],
    run: Callable[[Runner], None],
    watch: Watch,
) -> None:
    """Let runners have a block each, round by round, with one of the reference model between any two."""
    reference.run_block()
    reference.blocks.clear()  # it has warmed up
    reference.run_block()
    for order in orders:
        for n in order:
            with failure_named(runners[n].model):
                run(runners[n])
            reference.run_block()
        watch.look()


def run_race(runners: list[Runner], request: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Let all take turns, the reference model between; then the calls after a pause and all second figures."""
    reference = ReferenceRunner(request["reference"], request["threads"])
    orders = [turns(len(runners), request["process"], n) for n in range(request["rounds"])]
    calls = request["block_calls"]
    take_turns(reference, runners, orders, lambda runner: runner.run_block(calls), watch)
    evidence = watch.evidence()
    for _ in range(request["burst_calls"]):
        for runner in runners:
            with failure_named(runner.model):
                runner.run_burst()
    for runner in runners:
        with failure_named(runner.model):
            runner.run_merges()
    kept = ("calls", "burst", "scoring_post", "merges")
    return {
        "orders": orders,
        "reference": reference.blocks,
        "runners": [{name: getattr(r, name) for name in kept} for r in runners],
        "images": [len(r.images) for r in runners],
        "devices": [r.engine.device for r in runners],
        "post": [r.has_post for r in runners],
        "tiles_per_image": [r.tiled.tiles_per_image if r.tiled else None for r in runners],
        "evidence": evidence,
        "batches": {
            batch: run_batches(runners, int(batch), path, request, watch)
            for batch, path in request.get("batch_references", {}).items()
        },
        "energy": run_energy(runners, request["energy_s"]) if request.get("energy_s") else None,
    }


def run_batches(
    runners: list[Runner], batch: int, reference: str, request: dict[str, Any], watch: Watch
) -> dict[str, Any]:
    """A race of calls of several images, of the models whose engines take so many.

    Returns:
        As of a race of single images: orders, blocks of the reference model and calls; ``models`` says by position
        which models they are of.
    """
    models = [n for n, runner in enumerate(runners) if takes_batch(runner.engine_name, batch)]
    taking = [runners[n] for n in models]
    process, rounds = request["process"], request["batch_rounds"]
    orders = [turns(len(taking), process, n) for n in range(rounds)] if taking else []
    whole = ReferenceRunner(reference, request["threads"])
    for runner in taking:
        with failure_named(runner.model):
            runner.call(batch)
    take_turns(whole, taking, orders, lambda runner: runner.run_batch(batch), watch)
    return {
        "models": models,
        "orders": orders,
        "reference": whole.blocks,
        "runners": [{"calls": runner.batched.get(batch, [])} for runner in taking],
    }


def run_energy(runners: list[Runner], seconds: float) -> dict[str, Any]:
    """Energy of a pause and then of each model's calls, by meter; why meters are not there."""
    meters, absent = find_meters()
    before = read_joules(meters)
    if meters:
        time.sleep(seconds)
    after = read_joules(meters)
    idle_w = {name: (after[name] - before[name]) / seconds for name in after}
    absent |= {name: STANDS_STILL for name, watts in idle_w.items() if not watts}
    meters = [meter for meter in meters if idle_w[meter.name]]
    if not meters:
        return {"absent_because": absent}
    spent = []
    for runner in runners:
        with failure_named(runner.model):
            spent.append(runner.run_energy(seconds, meters))
    idle_w = {meter.name: idle_w[meter.name] for meter in meters}
    return {"absent_because": absent, "idle_w": idle_w, "runners": spent}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks and return samples and evidence, or the models that failed."""
    cv2.setNumThreads(request["threads"])
    runners, failed = load_runners(request)
    if failed:
        return {"failed": failed}
    gc.disable()
    try:
        return run_race(runners, request, Watch())
    except (ArtifactError, DeviceMemoryError) as error:
        return {"failed": {error.where: f"{type(error).__name__}: {error}"}}
    finally:
        gc.enable()


def main(request_path: str, out_path: str) -> None:
    """Read the request, measure, write the answer."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    Path(out_path).write_text(json.dumps(measure(request)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
