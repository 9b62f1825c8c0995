"""Verbs of network slimming: check a cut, prune a network, and time it beside what it was."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base.compressions import Pruning

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


def _pruning(args: Arguments) -> Pruning:
    from .base.compressions import Pruning

    given = {name: getattr(args, name) for name in PRUNING}
    known = {name: value for name, value in given.items() if value is not None}
    return Pruning(**known, absorb=not args.no_absorb)


def _check(args: Arguments) -> None:
    from .base.methods import changed_recipe, load_method
    from .compression.slimming.pruning_check import check_pruning

    method = load_method(args.method.name, args.method.parent)
    method = replace(method, recipe=changed_recipe(method.recipe, args.set))
    found = check_pruning(method, args.classes, _pruning(args), args.kd, args.out)["figures"]
    text = "{size_mib:.2f} MiB, {channels} channels in {groups} groups, {units} residual units"
    print(text.format(**found))  # noqa: T201


def _prune(args: Arguments) -> None:
    from .base.methods import load_method
    from .compression.slimming.prune_detector import prune_detector
    from .deploy.run import export_run

    method = load_method(args.method.name, args.method.parent)
    prune_detector(
        args.weights,
        args.train,
        method,
        args.out,
        _pruning(args),
        args.seed,
        batches=args.batches,
        batch=args.batch,
        threads=args.threads,
        device=args.device,
        channels_alone=args.channels_alone,
    )
    export_run(args.out, method, "prune")


def _time_beside(args: Arguments) -> None:
    from .base.studies import LatencySettings
    from .measure.beside import time_beside

    settings = LatencySettings(**{field: getattr(args, field) for field in LATENCY})
    points = (args.operating_point, args.base_operating_point)
    time_beside(args.model, args.base, args.pack, args.out, settings, points)


def add_slimming_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``check-pruning``, ``prune`` and ``time-beside`` to the parser of the command."""
    checked = verb("check-pruning", _check, "hold a cut against a network, before it is trained")
    pruned = verb("prune", _prune, "prune a network after sparse training and export it")
    text = "leave the constants of dead channels to the statistics that are measured anew"
    for parser in (checked, pruned):
        for option in ("--method", "--out"):
            parser.add_argument(option, type=Path, required=True)
        for name, kind in PRUNING.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
        parser.add_argument("--no-absorb", action="store_true", help=text)
    checked.add_argument("--classes", type=int, required=True)
    checked.add_argument("--kd", default="none", help="how the base teaches the recovery")
    text = "a field of the recipe, such as options.width=0.5"
    checked.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    text = "leave in the residual units that go, to see what the channels alone cost"
    pruned.add_argument("--channels-alone", action="store_true", help=text)
    for option in ("--weights", "--train"):
        pruned.add_argument(option, type=Path, required=True)
    pruned.add_argument("--seed", type=int, required=True)
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
