"""The speed part of the gate without any change, again and again beside a load: how often would it fail?

Each file races a copy of itself of other bytes: one line more of metadata, the same work. A load generator on one core
is switched on and off by turns. It ends with status 1 if any row of any repeat offends.

    python benchmarks/gate_under_load.py --times 10 --out gate.json results/demo/runs/demo-steel/clean/yolo*/seed0
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import onnx

from defectbench.base.records import read_record, record_beside, write_record
from defectbench.base.studies import LatencySettings
from defectbench.measure.race_versions import PROTOCOL, Versions
from defectbench.report.gate import GateSettings, is_near, race_twice
from race_under_load import load


def copy_of(model, path):
    """The same network with one more line of metadata."""
    content = onnx.load(str(model))
    line = content.metadata_props.add()
    line.key, line.value = "copy", "of other bytes"
    path.parent.mkdir(parents=True)
    onnx.save(content, str(path))
    return path


def pair_of(cell, folder):
    """A cell's file and its copy."""
    pack = read_record(record_beside(cell / "predictions.json"), "predictions")["inputs"]["pack"]
    point = cell / "operating_point.json"
    points = (point, point) if point.is_file() else (None, None)
    copied = copy_of(cell / "model.onnx", folder / cell.absolute().parent.name / "model.onnx")
    return Versions(copied, cell / "model.onnx", Path(pack["path"]), *points)


def repeat(versions, settings, args):
    """One gate: the ratio of each method, and whether it would offend."""
    with load(args):
        ratios = race_twice(dict(enumerate(versions)), settings)
    return {
        versions[n].before.parent.name: {
            "ratio": ratio.ratio,
            "low": ratio.low,
            "high": ratio.high,
            "is_told": not ratio.invalid_because,
            "offends": not ratio.invalid_because and not is_near(ratio, settings.speed_tolerance),
        }
        for n, ratio in ratios.items()
    }


def of_method(rows):
    """The ratios of one method over all repeats."""
    ratios = [row["ratio"] for row in rows]
    return {
        "n": len(rows),
        "told": sum(row["is_told"] for row in rows),
        "offends": sum(row["offends"] for row in rows),
        "median": median(ratios),
        "least": min(ratios),
        "largest": max(ratios),
    }


def summarise(repeats):
    """Counts over all repeats and methods, and each method's ratios."""
    rows = [row for one in repeats for row in one.values()]
    return {
        "n_repeats": len(repeats),
        "n_failing": sum(any(row["offends"] for row in one.values()) for one in repeats),
        "n_rows": len(rows),
        "told_share": sum(row["is_told"] for row in rows) / len(rows),
        "largest_distance_from_1": max(abs(row["ratio"] - 1) for row in rows),
        "methods": {name: of_method([one[name] for one in repeats]) for name in repeats[0]},
    }


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cells", type=Path, nargs="+", help="folders of cells, one of each method")
    parser.add_argument("--times", type=int, default=10, help="repeats")
    parser.add_argument("--settings", help="JSON of the latency protocol; the gate's without")
    parser.add_argument(
        "--core", type=int, default=min(os.sched_getaffinity(0)), help="of the load"
    )
    parser.add_argument("--on", type=float, default=2.0, help="seconds of load")
    parser.add_argument("--off", type=float, default=2.0, help="seconds of pause")
    parser.add_argument("--out", type=Path, required=True, help="the record to make")
    args = parser.parse_args()
    latency = LatencySettings.model_validate_json(args.settings) if args.settings else PROTOCOL
    settings = GateSettings(latency=latency)
    with tempfile.TemporaryDirectory() as folder:
        versions = [pair_of(cell, Path(folder)) for cell in args.cells]
        repeats = []
        for _ in range(args.times):
            repeats.append(repeat(versions, settings, args))
            print(json.dumps(repeats[-1]), flush=True)
    figures = summarise(repeats)
    print(json.dumps(figures, indent=1))
    inputs = {cell.absolute().parent.name: cell / "model.onnx" for cell in args.cells}
    asked = {"latency": latency.model_dump(), "speed_tolerance": settings.speed_tolerance}
    extra = {"settings": {**asked, "on_s": args.on, "off_s": args.off}, "repeats": repeats}
    write_record(args.out, "gate_under_load", figures, inputs, None, extra)
    return 1 if figures["n_failing"] else 0


if __name__ == "__main__":
    sys.exit(main())
