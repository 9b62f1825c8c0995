"""Latency from the times that ``trtexec --exportTimes`` writes; what it prints stays in the record as it is.

A time is that of one query: copy to the GPU, computation, copy back. It holds no preparation and no suppression.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...base.errors import MeasurementError
from ..race_figures import PERCENTILES, interval_ends

RESAMPLES = 1000


def trtexec_figures(answers: Sequence[Mapping[str, Any]], position: int) -> dict[str, Any]:
    """Percentiles, and the ratio to the reference model that was timed right before.

    Args:
        answers: What each process saw: runs in their order, the reference model's before each of a model's.
        position: Which model.

    Raises:
        MeasurementError: A run exported no times.
    """
    pairs = [_pair(answer["trtexec"], position) for answer in answers]
    latency = np.concatenate([_column(model, "latencyMs") for _, model in pairs])
    compute = np.concatenate([_column(model, "computeMs") for _, model in pairs])
    figures: dict[str, Any] = {}
    for name, values in (("latency_ms", latency), ("forward_ms", compute)):
        for p in PERCENTILES:
            figures[f"{name}_p{p}"] = float(np.percentile(values, p))
    medians = [[float(np.median(_column(run, "latencyMs"))) for run in pair] for pair in pairs]
    ratios = np.log([model / reference for reference, model in medians])
    drawn = np.random.default_rng(0).integers(len(ratios), size=(RESAMPLES, len(ratios)))
    low, high = interval_ends(np.exp(ratios[drawn].mean(axis=1)))
    shown = [line for _, run in pairs for line in run["printed"].splitlines()]
    reasons = ["GPU compute time is unstable, says trtexec"] if any(map(_unstable, shown)) else []
    figures |= {
        "fps": 1000 / figures["latency_ms_p50"],
        "reference_ms_p50": float(np.median([reference for reference, _ in medians])),
        "ratio_to_reference": float(np.exp(ratios.mean())),
        "ratio_to_reference_low": low,
        "ratio_to_reference_high": high,
        "n_calls": len(latency),
        "n_processes": len(answers),
        "invalid_because": reasons,
    }
    return figures


def _unstable(line: str) -> bool:
    return "* GPU compute time is unstable" in line


def _pair(runs: Sequence[Mapping[str, Any]], position: int) -> tuple[Any, Any]:
    """The run of a model and that of the reference model before it."""
    (n,) = [n for n, run in enumerate(runs) if run["entry"] == position]
    return runs[n - 1], runs[n]


def _column(run: Mapping[str, Any], name: str) -> Any:
    """A figure of every query."""
    try:
        queries = json.loads(run["export_times"] or "null")
        return np.array([query[name] for query in queries], np.float64)
    except (ValueError, TypeError, KeyError) as error:
        last = "".join(run["printed"].splitlines()[-1:])
        fix = f"trtexec exported no {name}; run it on the board by hand"
        raise MeasurementError("trtexec", "exported times", last, fix) from error
