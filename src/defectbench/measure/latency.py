"""Latency of a deployed file: several processes, three phases, an interval, and a verdict.

Batch 1, real images, one clock. A reference model is timed between the calls. A row is *valid* only
if its interval is narrow and the evidence shows neither foreign load nor throttling; the reasons
against it stand in the record.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ProgramError
from ..base.files import sha256_file
from ..base.records import read_record, write_record
from ..base.studies import LatencySettings
from ..deploy.nms import DEPLOYMENT_THRESHOLD
from .reference import write_reference

PERCENTILES = (50, 90, 99)
PHASES = ("pre", "forward", "post")
IMAGES = 64
RESAMPLES = 1000
WIDEST_INTERVAL = 0.05
MOST_FOREIGN_LOAD = 0.10
MOST_DRIFT = 0.05

Floats = NDArray[np.float64]


def time_latency(
    model_path: str | Path,
    pack_path: str | Path,
    out: str | Path,
    settings: LatencySettings,
    operating_point: str | Path | None = None,
    engine: str = "onnxruntime",
) -> dict[str, Any]:
    """Time a model file on images of a pack and write the latency record.

    Args:
        model_path: An artifact: the file that accuracy was scored on.
        pack_path: The pack of the test part, for its images.
        out: The record to make.
        settings: Processes, warm-up, calls, seconds and threads.
        operating_point: Record with the threshold chosen on validation; 0.25 without it.
        engine: What runs the file.

    Returns:
        The record: ``latency_ms_p50``, ``_p90``, ``_p99`` (end to end), each with ``_low`` and
        ``_high``, the percentiles by phase, those of the burst regime as ``burst_latency_ms_..``,
        ``fps`` = 1000 / p50, ``ratio_to_reference``, ``valid``.

    Raises:
        ProgramError: A worker process failed.
    """
    start = time.perf_counter()
    threshold = DEPLOYMENT_THRESHOLD
    inputs = {"model": model_path, "pack": pack_path}
    if operating_point is not None:
        threshold = read_record(operating_point, "operating_point")["figures"]["threshold"]
        inputs["operating_point"] = operating_point
    asked = {
        **settings.model_dump(),
        "engine": engine,
        "threshold": threshold,
        "block": max(10, math.ceil(settings.calls / 10)),
        "images": IMAGES,
    }
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.onnx"
        write_reference(reference)
        request = {"model": str(model_path), "pack": str(pack_path), "reference": str(reference)}
        request |= asked
        answers = [run_worker(request, Path(folder)) for _ in range(settings.processes)]
        asked["reference_sha256"] = sha256_file(reference)
    figures = summarise(answers)
    reasons = invalid_because(figures, answers)
    evidence = [answer["evidence"] for answer in answers]
    extra = {"settings": asked, "evidence": evidence, "regime": "stream: calls back to back"}
    figures |= {"valid": not reasons, "invalid_because": reasons, "threads": settings.threads}
    return write_record(out, "latency", figures, inputs, time.perf_counter() - start, extra)


def run_worker(
    request: dict[str, Any], folder: Path, worker: str = "defectbench.measure.latency_worker"
) -> dict[str, Any]:
    """Let a fresh process do what a request asks.

    Args:
        request: Model, pack, threads and what the worker asks for.
        folder: Where request and answer lie.
        worker: The module that the process runs.

    Raises:
        ProgramError: It failed.
    """
    asked, answer = folder / "request.json", folder / "answer.json"
    asked.write_text(json.dumps(request))
    threads = str(request["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, "-m", worker, str(asked), str(answer)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        fix = "run defectbench predict on the same file to see why"
        raise ProgramError(request["model"], "latency worker", last, fix)
    return json.loads(answer.read_text())


def summarise(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of all processes together, milliseconds."""
    phases = np.concatenate([_phases(answer["stream"]) for answer in answers])
    total = phases.sum(axis=1)
    figures: dict[str, Any] = _percentiles("latency_ms", total)
    for column, phase in enumerate(PHASES):
        figures |= _percentiles(f"{phase}_ms", phases[:, column])
    reference = np.concatenate([_reference(answer) for answer in answers])
    draws, ratios = resample(answers)
    for p, column in zip(PERCENTILES, draws.T, strict=True):
        name = f"latency_ms_p{p}"
        figures[f"{name}_low"], figures[f"{name}_high"] = interval_ends(column)
    figures["fps"] = 1000 / figures["latency_ms_p50"]
    figures["reference_ms_p50"] = float(np.median(reference))
    figures["ratio_to_reference"] = figures["latency_ms_p50"] / figures["reference_ms_p50"]
    figures["ratio_to_reference_low"], figures["ratio_to_reference_high"] = interval_ends(ratios)
    scoring = np.concatenate([answer["post_at_scoring_threshold"] for answer in answers]) / 1e6
    if len(scoring):  # a classifier suppresses nothing
        figures["post_ms_p50_at_score_0001"] = float(np.median(scoring))
    paused = [_phases(answer["burst"]) for answer in answers if answer["burst"]["phases"]]
    if paused:
        figures |= _percentiles("burst_latency_ms", np.concatenate(paused).sum(axis=1))
    counts = {"n_calls": len(total), "n_processes": len(answers), "n_images": answers[0]["images"]}
    counts |= {"n_burst_calls": sum(map(len, paused)), "n_post_calls_at_score_0001": len(scoring)}
    return figures | counts | {"clock_evidence": clock_evidence(answers)}


def clock_evidence(answers: list[dict[str, Any]]) -> str:
    """What the machine tells of its clock: ``moving``, ``constant`` (a fixed name plate) or ``none``."""
    seen = {c for answer in answers for c in answer["evidence"]["clock_mhz"] if c}
    return "none" if not seen else "moving" if len(seen) > 1 else "constant"


def _phases(samples: dict[str, Any]) -> Floats:
    return np.asarray(samples["phases"], dtype=np.float64).reshape(-1, 3) / 1e6


def _reference(answer: dict[str, Any]) -> Floats:
    return np.asarray(answer["stream"]["reference"], dtype=np.float64) / 1e6


def _percentiles(name: str, values: Floats) -> dict[str, float]:
    found = np.percentile(values, PERCENTILES)
    return {f"{name}_p{p}": float(v) for p, v in zip(PERCENTILES, found, strict=True)}


def interval_ends(draws: Floats) -> tuple[float, float]:
    """Ends of the 95 % interval of resampled figures."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def resample(answers: list[dict[str, Any]], resamples: int = RESAMPLES) -> tuple[Floats, Floats]:
    """Draw processes, then blocks within each, with replacement.

    Returns:
        [B, 3] p50, p90 and p99 end to end, ms, and [B] ratios of p50 to the reference model's median.
    """
    random = np.random.default_rng(0)
    processes = [_blocks(answer) for answer in answers]
    found, ratios = np.empty((resamples, len(PERCENTILES))), np.empty(resamples)
    for draw in range(resamples):
        calls, references = [], []
        for process in random.integers(len(processes), size=len(processes)):
            blocks = processes[process]
            for block in random.integers(len(blocks), size=len(blocks)):
                calls.append(blocks[block][0])
                references.append(blocks[block][1])
        found[draw] = np.percentile(np.concatenate(calls), PERCENTILES)
        ratios[draw] = found[draw, 0] / np.median(np.concatenate(references))
    return found, ratios


def _blocks(answer: dict[str, Any]) -> list[tuple[Floats, Floats]]:
    """Calls and reference calls of each block."""
    stream = answer["stream"]
    total = _phases(stream).sum(axis=1)
    reference = _reference(answer)
    call_block = np.asarray(stream["block"])
    reference_block = np.asarray(stream["reference_block"])
    names = np.unique(call_block)
    return [(total[call_block == b], reference[reference_block == b]) for b in names]


def invalid_because(figures: dict[str, Any], answers: list[dict[str, Any]]) -> list[str]:
    """Reasons why a measurement does not count; none if it does.

    Throttling shows in the interleaved reference model, within a process and between them, and in the
    clock where the machine tells it (``clock_evidence`` says whether it does).
    Foreign load is set against the cores that the process may use, not against those of its host.
    """
    reasons = []
    width = figures["latency_ms_p50_high"] - figures["latency_ms_p50_low"]
    share = width / figures["latency_ms_p50"]
    if share > WIDEST_INTERVAL:
        reasons.append(f"interval is {share:.1%} of p50, over {WIDEST_INTERVAL:.0%}")
    reasons += foreign_load(answers)
    drift = max(_drift(_reference(answer)) for answer in answers)
    if drift > MOST_DRIFT:
        reasons.append(f"the reference model slowed by {drift:.1%} within a process")
    medians = [float(np.median(_reference(answer))) for answer in answers]
    apart = max(medians) / min(medians) - 1
    if apart > 2 * MOST_DRIFT:
        reasons.append(f"the reference model was {apart:.1%} slower in one process than in another")
    clocks = [[c for c in a["evidence"]["clock_mhz"] if c] for a in answers]
    if any(seen and min(seen) < (1 - 2 * MOST_DRIFT) * seen[0] for seen in clocks):
        reasons.append("the processor's clock fell by more than 10 %")
    return reasons


def foreign_load(answers: list[dict[str, Any]]) -> list[str]:
    """The reason that other programs give against a measurement, if they do."""
    loads = [a["evidence"]["foreign_cores_busy"] / a["evidence"]["usable_cores"] for a in answers]
    if max(loads) <= MOST_FOREIGN_LOAD:
        return []
    return [f"other programs used {max(loads):.0%} of the processor"]


def _drift(reference: Floats) -> float:
    """How much slower the second half of the reference calls is than the first."""
    half = len(reference) // 2
    return float(np.median(reference[half:]) / np.median(reference[:half]) - 1)
