"""The race on a quiet and on a loaded machine: how far do the ratios move, and how many rows stay valid?

A load generator on one core is switched on and off by turns while a race runs. Races without and with it alternate; a
model's ratios with load are held against the mean of those without, and those without against each other.

    python benchmarks/race_under_load.py --out race.json results/demo/runs/demo-steel/clean/yolo*/seed0
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from defectbench.base.records import read_record, write_record
from defectbench.base.studies import LatencySettings
from defectbench.measure.machine_watch import machine_seconds
from defectbench.measure.race import entries_of, race

DEMO = LatencySettings(processes=5, rounds=12, block_calls=4, warmup=5, burst_calls=3)
MOST_CHANGE = 0.10
LEAST_VALID = 0.9


def make_load(core, on, off):
    """Multiply matrices on one core for some seconds, pause, and so on."""
    import numpy as np

    os.sched_setaffinity(0, {core})
    values = np.random.default_rng(0).random((512, 512), np.float32)
    while True:
        end = time.perf_counter() + on
        while time.perf_counter() < end:
            np.matmul(values, values)
        time.sleep(off)


@contextmanager
def load(args):
    """The load generator, while the block runs."""
    options = {"--load-core": args.core, "--on": args.on, "--off": args.off}
    command = [sys.executable, __file__, *(str(part) for o in options.items() for part in o)]
    process = subprocess.Popen(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("the load generator has ended; is there such a core?")
    finally:
        process.kill()
        process.wait()


def run_once(entries, settings, loaded, args):
    """One race: figures by model, and what it took."""
    keys = ("ratio_to_reference", "ratio_to_reference_low", "ratio_to_reference_high")
    keys += ("latency_ms_p50", "reference_ms_p50", "waiting_share", "valid", "invalid_because")
    with tempfile.TemporaryDirectory() as folder:
        outs = [replace(e, out=Path(folder) / f"{n}.json") for n, e in enumerate(entries)]
        start, (busy, _) = time.perf_counter(), machine_seconds()
        spent = os.times()
        if loaded:
            with load(args):
                race(outs, settings)
        else:
            race(outs, settings)
        wall, after = time.perf_counter() - start, os.times()
        records = [read_record(entry.out, "latency") for entry in outs]
    own = after.children_user + after.children_system - spent.children_user - spent.children_system
    models = {
        entry.model.parent.parent.name: {key: record["figures"][key] for key in keys}
        for entry, record in zip(entries, records, strict=True)
    }
    for name, record in zip(models, records, strict=True):
        if "ratio_to_base" in record["figures"]:
            models[name]["ratio_to_base"] = record["figures"]["ratio_to_base"]
    evidence = records[0]["evidence"]
    return {
        "loaded": loaded,
        "wall_s": round(wall, 2),
        "core_s": None if loaded else round(own, 2),  # the load generator's would count as well
        "machine_cores_busy": round((machine_seconds()[0] - busy) / wall, 3),
        "load_average": [evidence[0]["load_average_before"], evidence[-1]["load_average_after"]],
        "models": models,
    }


def relative(first, second):
    """Change of the second against the first, without sign."""
    return abs(second / first - 1)


def compare(runs) -> dict[str, Any]:
    """Changes of the ratios, medians over models: load against quiet, and quiet against quiet."""
    quiet = [run["models"] for run in runs if not run["loaded"]]
    loaded = [run["models"] for run in runs if run["loaded"]]
    names = list(quiet[0])

    def level(name, figure):
        return statistics.fmean(seen[name][figure] for seen in quiet)

    def by_wall(seen):
        return seen["latency_ms_p50"] / seen["reference_ms_p50"]

    ratio = "ratio_to_reference"
    changes = [relative(level(n, ratio), seen[n][ratio]) for seen in loaded for n in names]
    walls = [
        relative(statistics.fmean(by_wall(seen[n]) for seen in quiet), by_wall(run[n]))
        for run in loaded
        for n in names
    ]
    times = [
        relative(level(n, "latency_ms_p50"), run[n]["latency_ms_p50"])
        for run in loaded
        for n in names
    ]
    apart = [
        relative(first[n][ratio], second[n][ratio])
        for first, second in itertools.pairwise(quiet)
        for n in names
    ]
    figures = {
        "median_change_of_ratio_under_load": statistics.median(changes),
        "largest_change_of_ratio_under_load": max(changes),
        "median_change_of_wall_ratio_under_load": statistics.median(walls),
        "median_change_of_milliseconds_under_load": statistics.median(times),
        "valid_share_under_load": statistics.fmean(s[n]["valid"] for s in loaded for n in names),
        "valid_share_without_load": statistics.fmean(s[n]["valid"] for s in quiet for n in names),
        "n_models": len(names),
        "n_races_under_load": len(loaded),
        "n_races_without_load": len(quiet),
    }
    if apart:
        figures["median_change_of_ratio_between_races_without_load"] = statistics.median(apart)
    changes_by_race = [
        statistics.median(relative(level(n, ratio), seen[n][ratio]) for n in names)
        for seen in loaded
    ]
    return figures | {"median_change_of_ratio_by_race": changes_by_race}


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cells", type=Path, nargs="*", help="folders of cells")
    parser.add_argument(
        "--settings", help="JSON of the latency protocol; the default study's without"
    )
    parser.add_argument("--repeats", type=int, default=3, help="races under load; one more without")
    parser.add_argument(
        "--core", type=int, default=min(os.sched_getaffinity(0)), help="core of the load generator"
    )
    parser.add_argument("--on", type=float, default=2.0, help="seconds of load")
    parser.add_argument("--off", type=float, default=2.0, help="seconds of pause")
    parser.add_argument("--out", type=Path, help="the record to make")
    parser.add_argument("--load-core", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load_core is not None:
        make_load(args.load_core, args.on, args.off)
    if not args.cells or args.out is None:
        parser.error("name cells and --out")
    entries = entries_of(args.cells)
    if len({entry.model.parent.parent.name for entry in entries}) < len(entries):
        parser.error("name one cell of each method")
    settings = LatencySettings.model_validate_json(args.settings) if args.settings else DEMO
    runs = []
    for number in range(2 * args.repeats + 1):
        runs.append(run_once(entries, settings, bool(number % 2), args))
        shown = {key: value for key, value in runs[-1].items() if key != "models"}
        print(json.dumps(shown), flush=True)
    figures = compare(runs)
    print(json.dumps(figures, indent=1))
    inputs = {f"{e.model.parent.parent.name}": e.model for e in entries}
    asked = {"latency": settings.model_dump(), "on_s": args.on, "off_s": args.off}
    extra = {"settings": asked | {"core": args.core}, "races": runs}
    write_record(args.out, "race_under_load", figures, inputs, None, extra)
    holds = figures["median_change_of_ratio_under_load"] <= MOST_CHANGE
    return 0 if holds and figures["valid_share_under_load"] >= LEAST_VALID else 1


if __name__ == "__main__":
    sys.exit(main())
