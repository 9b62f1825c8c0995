"""Verbs of network slimming: prune a network, and time it beside what it was."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Arguments = argparse.Namespace
PRUNING = {  # options of ``prune`` that are fields of its settings
    "rule": str,
    "target_mib": float,
    "percent": float,
    "layer_keep": float,
    "round_to": int,
    "drop_units": int,
}
LATENCY = {
    "processes": int,
    "warmup": int,
    "calls": int,
    "seconds": float,
    "burst_calls": int,
    "threads": int,
}


def _prune(args: Arguments) -> None:
    from .base.compressions import Pruning
    from .base.methods import load_method
    from .compression.run import prune_run
    from .deploy.run import export_run

    method = load_method(args.method.name, args.method.parent)
    given = {name: getattr(args, name) for name in PRUNING}
    known = {name: value for name, value in given.items() if value is not None}
    prune_run(
        args.weights,
        args.train,
        method,
        args.out,
        Pruning(**known, absorb=not args.no_absorb),
        args.seed,
        batches=args.batches,
        batch=args.batch,
        threads=args.threads,
        device=args.device,
    )
    export_run(args.out, method, "prune")


def _time_beside(args: Arguments) -> None:
    from .base.studies import LatencySettings
    from .measure.beside import time_beside

    settings = LatencySettings(**{field: getattr(args, field) for field in LATENCY})
    points = (args.operating_point, args.base_operating_point)
    time_beside(args.model, args.base, args.pack, args.out, settings, points)


def add_slimming_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``prune`` and ``time-beside`` to the parser of the command."""
    pruned = verb("prune", _prune, "prune a network after sparse training and export it")
    for option in ("--method", "--weights", "--train", "--out"):
        pruned.add_argument(option, type=Path, required=True)
    pruned.add_argument("--seed", type=int, required=True)
    for name, kind in PRUNING.items():
        pruned.add_argument(f"--{name.replace('_', '-')}", type=kind)
    text = "leave the constants of dead channels to the statistics that are measured anew"
    pruned.add_argument("--no-absorb", action="store_true", help=text)
    text = "batches that the statistics of what is left are measured on"
    pruned.add_argument("--batches", type=int, default=200, help=text)
    pruned.add_argument("--batch", type=int, default=16)
    pruned.add_argument("--threads", type=int)
    pruned.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    timed = verb("time-beside", _time_beside, "time a compressed model in turn with its base")
    for option in ("--model", "--base", "--pack", "--out"):
        timed.add_argument(option, type=Path, required=True)
    timed.add_argument("--operating-point", type=Path, help="record of choose-threshold")
    timed.add_argument("--base-operating-point", type=Path, help="the same of the base")
    for name, kind in LATENCY.items():
        timed.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
