"""Latency from the times that ``trtexec --exportTimes`` writes; what it prints stays in the record as it is.

A time is that of one query: copy to the GPU, computation, copy back. It holds no preparation and no suppression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...deploy.trtexec_log import parse_log, parse_times
from ..race_figures import PERCENTILES, interval_ends

RESAMPLES = 1000
SOURCE = "trtexec"  # named in errors


def trtexec_figures(answers: Sequence[Mapping[str, Any]], position: int) -> dict[str, Any]:
    """Percentiles, and the ratio to the reference model that was timed right before.

    Args:
        answers: What each process saw: runs in their order, the reference model's before each of a model's.
        position: Which model.

    Raises:
        MeasurementError: A run printed or exported no whole figures.
        ProgramError: A run failed.
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
    runs = [run for pair in pairs for run in pair]
    reasons = list(dict.fromkeys(doubt for run in runs for doubt in doubts_of(run)))
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


def doubts_of(run: Mapping[str, Any]) -> list[str]:
    """What the program itself says against the figures of a run, of the model or of the reference model beside it.

    Raises:
        MeasurementError: It printed or exported no whole figures.
        ProgramError: It failed.
    """
    parse_times(run["export_times"] or "", SOURCE)
    return parse_log(run["printed"], SOURCE).doubts


def _pair(runs: Sequence[Mapping[str, Any]], position: int) -> tuple[Any, Any]:
    """The run of a model and that of the reference model before it."""
    (n,) = [n for n, run in enumerate(runs) if run["entry"] == position]
    return runs[n - 1], runs[n]


def _column(run: Mapping[str, Any], name: str) -> Any:
    """A figure of every query."""
    queries = parse_times(run["export_times"] or "", SOURCE)
    return np.array([query[name] for query in queries], np.float64)
