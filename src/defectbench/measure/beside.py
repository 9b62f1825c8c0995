"""Latency of a compressed file beside its base: both in every process, in turn, and the ratio with an interval.

Two records made one after the other tell two states of a machine. Here blocks of calls of both files alternate, so that
what slows one slows the other, and the ratio is of the same minutes.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..base.records import read_record, write_record
from ..base.studies import LatencySettings
from ..deploy.nms import DEPLOYMENT_THRESHOLD
from .latency import (
    IMAGES,
    RESAMPLES,
    WIDEST_INTERVAL,
    Floats,
    foreign_load,
    interval_ends,
    run_worker,
)

WORKER = "defectbench.measure.beside_worker"
NAMES = ("", "base_")  # heads of the figures of both files

Blocks = list[tuple[Floats, Floats]]


def time_beside(
    model_path: str | Path,
    base_path: str | Path,
    pack_path: str | Path,
    out: str | Path,
    settings: LatencySettings,
    operating_points: tuple[str | Path | None, str | Path | None] = (None, None),
    engine: str = "onnxruntime",
) -> dict[str, Any]:
    """Time two model files in turn on the same images and write the record.

    Args:
        model_path: The compressed file.
        base_path: The file that it was made of.
        pack_path: The pack of the test part, for its images.
        out: The record to make.
        settings: Processes, warm-up, calls, seconds and threads; calls and seconds hold for each file.
        operating_points: Records with the thresholds of both, chosen on validation; 0.25 without them.
        engine: What runs the files.

    Returns:
        The record: ``latency_ms_p50`` and ``base_latency_ms_p50``, end to end, and ``ratio_to_base``, the first over
        the second, each with ``_low`` and ``_high``; ``valid``.

    Raises:
        ProgramError: A worker process failed.
    """
    start = time.perf_counter()
    inputs = {"model": model_path, "base": base_path, "pack": pack_path}
    thresholds = []
    for head, point in zip(NAMES, operating_points, strict=True):
        thresholds.append(_threshold(point))
        inputs |= {f"{head}operating_point": point} if point is not None else {}
    asked = {
        **settings.model_dump(),
        "engine": engine,
        "thresholds": thresholds,
        "block": max(10, math.ceil(settings.calls / 10)),
        "images": IMAGES,
    }
    request = asked | {
        "model": str(model_path),
        "models": [str(model_path), str(base_path)],
        "pack": str(pack_path),
    }
    with tempfile.TemporaryDirectory() as folder:
        answers = [run_worker(request, Path(folder), WORKER) for _ in range(settings.processes)]
    figures = summarise_beside(answers)
    reasons = invalid_because(figures, answers)
    figures |= {"valid": not reasons, "invalid_because": reasons, "threads": settings.threads}
    evidence = [answer["evidence"] for answer in answers]
    extra = {"settings": asked, "evidence": evidence, "regime": "stream: blocks of both in turn"}
    return write_record(out, "latency_beside", figures, inputs, time.perf_counter() - start, extra)


def _threshold(point: str | Path | None) -> float:
    if point is None:
        return DEPLOYMENT_THRESHOLD
    return read_record(point, "operating_point")["figures"]["threshold"]


def summarise_beside(answers: list[dict[str, Any]], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Medians of both files, milliseconds, and their ratio, by drawing processes, then blocks, with replacement."""
    processes = [_blocks(answer) for answer in answers]
    random, draws = np.random.default_rng(0), np.empty((resamples, 3))
    for draw in range(resamples):
        chosen = [processes[n] for n in random.integers(len(processes), size=len(processes))]
        drawn = [p[n] for p in chosen for n in random.integers(len(p), size=len(p))]
        draws[draw] = _medians(drawn)
    whole = _medians([block for process in processes for block in process])
    figures: dict[str, Any] = {}
    names = ("latency_ms_p50", "base_latency_ms_p50", "ratio_to_base")
    for name, value, column in zip(names, whole, draws.T, strict=True):
        figures[name] = float(value)
        figures[f"{name}_low"], figures[f"{name}_high"] = interval_ends(column)
    counts = [sum(len(block[n]) for process in processes for block in process) for n in (0, 1)]
    images = answers[0]["images"]
    sizes = {"n_calls": counts[0], "n_base_calls": counts[1]}
    return figures | sizes | {"n_processes": len(answers), "n_images": images}


def _blocks(answer: dict[str, Any]) -> Blocks:
    """Milliseconds end to end of both files, by block."""
    return [
        (np.asarray(own, np.float64) / 1e6, np.asarray(base, np.float64) / 1e6)
        for own, base in answer["blocks"]
    ]


def _medians(blocks: Blocks) -> tuple[float, float, float]:
    own, base = (float(np.median(np.concatenate([b[n] for b in blocks]))) for n in (0, 1))
    return own, base, own / base


def invalid_because(figures: dict[str, Any], answers: list[dict[str, Any]]) -> list[str]:
    """Reasons why the ratio does not count; none if it does. What slows both files alike is no reason."""
    width = figures["ratio_to_base_high"] - figures["ratio_to_base_low"]
    share = width / figures["ratio_to_base"]
    wide = f"interval is {share:.1%} of the ratio, over {WIDEST_INTERVAL:.0%}"
    return [*([wide] if share > WIDEST_INTERVAL else []), *foreign_load(answers)]
