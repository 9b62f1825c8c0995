"""Memory and cold start of model files: fresh processes that load an engine and a file and run one image.

Each time is stated by itself, the median of several processes; files take turns, so that none has all its starts in
one state of the machine. The files lie in the disk cache, as after a check of them. Memory is what engine and model
add to the same process before: the engine's libraries, and the model with all that its first image needs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ..base.engines import REFERENCE
from .workers import run_worker, worker_failure

WORKER = "defectbench.measure.start_worker"
TIMES = ("import_ms", "open_ms", "first_image_ms")

Start = dict[str, float]


def start_once(model: str | Path, engine: str = REFERENCE, threads: int = 1) -> Start:
    """What a fresh process says of a model file; keys as of ``start_worker``.

    Raises:
        ProgramError: The process failed.
    """
    run = run_worker(WORKER, [engine, str(model), str(threads)], threads)
    if run.returncode:
        hint = "defectbench predict runs the file by itself"
        raise worker_failure(run, model, "first start", hint)
    return json.loads(run.stdout)


def measure_starts(
    models: Sequence[tuple[str | Path, str]], starts: int, threads: int
) -> list[dict[str, float]]:
    """Start each model several times.

    Args:
        models: Files, and the engine of each.
        starts: Processes of each.
        threads: Threads of the engines.

    Returns:
        The figures of each model; nothing of any without starts.

    Raises:
        ProgramError: A process failed.
    """
    seen: list[list[Start]] = [[] for _ in models]
    for _ in range(starts):
        for (model, engine), of_model in zip(models, seen, strict=True):
            of_model.append(start_once(model, engine, threads))
    return [summarise_starts(of_model) if of_model else {} for of_model in seen]


def summarise_starts(starts: Sequence[Start]) -> dict[str, float]:
    """Medians over processes.

    Returns:
        ``cold_import_ms``, ``cold_open_ms``, ``cold_first_image_ms``, ``cold_start_ms`` of the three together,
        ``peak_engine_mib``, ``peak_model_mib`` and ``n_starts``.
    """
    times = {f"cold_{name}": median(start[name] for start in starts) for name in TIMES}
    return {
        **times,
        "cold_start_ms": median(sum(start[name] for name in TIMES) for start in starts),
        "peak_engine_mib": median(start["engine"] - start["bare"] for start in starts),
        "peak_model_mib": median(start["answered"] - start["ready"] for start in starts),
        "n_starts": len(starts),
    }
