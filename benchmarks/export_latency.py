"""Latency of one architecture exported twice: by the engine and by `yolo export`, timed in turn.

Both files have random weights, hold the artifact signature and run on the same engine. A round times
them in a fresh process of its own, call by call in turn, so that load makes both slower.

    python benchmarks/export_latency.py --size 224 --out results/benchmarks/export.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

from defectbench.base.files import atomic_write_json, read_json
from defectbench.base.records import hardware_card
from defectbench.deploy.adapt import adapt_centre_form
from defectbench.deploy.runtime import OnnxDetector
from defectbench.measure.complexity import count_params, declared_macs
from random_export import export_random

ROOT = Path(__file__).parents[1]
CLASSES = 80  # what the program builds from its own description of the network
FILES = ("engine", "program")


def export_program(network, size, folder):
    """Let the program export its network and adapt the file to the artifact signature."""
    sys.path.insert(0, str(ROOT / "workflow" / "programs"))
    from yolo_program import run_program

    options = {"model": network, "format": "onnx", "dynamic": True, "opset": 17, "simplify": True}
    options |= {"imgsz": size, "device": "cpu"}
    work = folder / "work"
    work.mkdir()
    run_program(["export", *(f"{key}={value}" for key, value in options.items())], work, 1)
    classes = [f"class{n}" for n in range(CLASSES)]
    provenance = {"method": "yolo", "dataset": "none", "protocol": "clean", "seed": 0}
    provenance["weights_sha256"] = "random"
    (exported,) = work.rglob("*.onnx")
    adapt_centre_form(exported, folder / "program.onnx", size, classes, provenance)


def time_in_turn(args, folder):
    """Milliseconds of each call of each file: [calls, 2]."""
    image = np.random.default_rng(0).random((1, 3, args.size, args.size), np.float32)
    detectors = [OnnxDetector(folder / f"{name}.onnx", threads=args.threads) for name in FILES]
    found = np.empty((args.calls, len(FILES)))
    for call in range(-(args.calls // 10), args.calls):
        # which one goes first changes, for the first finds the other's data in the caches
        for column in (0, 1) if call % 2 else (1, 0):
            started = time.perf_counter()
            detectors[column](image)
            if call >= 0:
                found[call, column] = 1000 * (time.perf_counter() - started)
    return found


def one_round(args, folder):
    """Median milliseconds of both, and the median of the ratios of the pairs."""
    found = time_in_turn(args, folder)
    medians = {f"{name}_ms_p50": float(np.median(found[:, n])) for n, name in enumerate(FILES)}
    return medians | {"program_over_engine": float(np.median(found[:, 1] / found[:, 0]))}


def describe(folder, size):
    """Multiply-adds and parameters of both files."""
    found = {}
    for name in FILES:
        model = onnx.load(folder / f"{name}.onnx")
        found[f"{name}_macs"] = declared_macs(model, size).total
        found[f"{name}_params"] = count_params(model)
    return found


def measure(args):
    """Export both, time them ``rounds`` times; figures are medians over the rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_random(args.method, CLASSES, args.size, folder / "engine.onnx")
        export_program(args.network, args.size, folder)
        rounds = []
        for number in range(args.rounds):
            out = folder / "round.json"
            command = [sys.executable, __file__, *sys.argv[1:], "--files", name, "--round-out", out]
            subprocess.run([str(part) for part in command], check=True)
            rounds.append(read_json(out))
            print(f"round {number + 1}:", json.dumps(rounds[-1]), flush=True)
        figures = {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}
        figures = {key: round(value, 4) for key, value in figures.items()}
        settings = ("method", "network", "size", "threads", "calls")
        asked = {key: getattr(args, key) for key in settings}
        counts = describe(folder, args.size)
    return {"figures": figures | counts, "rounds": rounds, **asked, "hardware": hardware_card()}


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", default="yolov8n", help="the method of the engine")
    parser.add_argument("--network", default="yolov8n.yaml", help="the program's name of the same")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--files", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--round-out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.files:
        atomic_write_json(args.round_out, one_round(args, args.files))
        return
    found = measure(args)
    atomic_write_json(args.out, found)
    print(json.dumps(found["figures"], indent=1))


if __name__ == "__main__":
    main()
