"""One process of a measurement of two files: blocks of calls of each, in turn.

Run by ``measure.beside``: ``python -m defectbench.measure.beside_worker REQUEST OUT``.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2

from .latency_worker import LEAST_CALLS, Clockwork, Watch, timed_call

SETTLING_CALLS = 2  # not counted: the other file has just had the caches


def block_of(work: Clockwork, calls: int) -> list[int]:
    """Nanoseconds end to end of some calls of one file."""
    threshold = work.request["threshold"]
    for _ in range(SETTLING_CALLS):
        timed_call(work.engine, work.next_image(), threshold)
    return [sum(timed_call(work.engine, work.next_image(), threshold)) for _ in range(calls)]


def alternate(
    works: list[Clockwork], request: dict[str, Any], watch: Watch
) -> list[list[list[int]]]:
    """Blocks of both files until calls or seconds of each are over; who begins changes from block to block."""
    end, blocks = time.perf_counter() + len(works) * request["seconds"], []
    while len(blocks) * request["block"] < request["calls"]:
        if time.perf_counter() > end and len(blocks) * request["block"] >= LEAST_CALLS:
            break
        block: list[list[int]] = [[] for _ in works]
        order = range(len(works)) if len(blocks) % 2 == 0 else reversed(range(len(works)))
        for n in order:
            block[n] = block_of(works[n], request["block"])
        blocks.append(block)
        watch.look()
    return blocks


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks and return samples and evidence."""
    cv2.setNumThreads(request["threads"])
    works = [
        Clockwork({**request, "model": model, "threshold": threshold})
        for model, threshold in zip(request["models"], request["thresholds"], strict=True)
    ]
    for work in works:
        block_of(work, request["warmup"])
    watch = Watch()
    gc.disable()
    blocks = alternate(works, request, watch)
    gc.enable()
    return {"blocks": blocks, "images": len(works[0].images), "evidence": watch.evidence()}


def main(request_path: str, out_path: str) -> None:
    """Read the request, measure, write the answer."""
    request = json.loads(Path(request_path).read_text())
    Path(out_path).write_text(json.dumps(measure(request)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
