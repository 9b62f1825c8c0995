"""Time the parts of the suite again and again, quiet and beside a load, and write how far their ratios move.

Each repeat is a process of its own. A load generator on one core is switched on and off by turns in every second one.

    python benchmarks/record_parts.py --repeats 10 --out results/reference/benchmarks/parts.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from defectbench.base.records import write_record
from part_limits import limits_of
from parts import PARTS, ratio_of
from race_under_load import load


def measured(names):
    """Ratios of parts to their fixed work."""
    ratios = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            ratios[name] = ratio_of(PARTS[name], Path(folder))
    return ratios


def repeat(loaded, args):
    """The same in a process of its own, one thread a library."""
    command = [sys.executable, __file__, "--once", "--parts", *args.parts]
    with load(args) if loaded else nullcontext():
        run = subprocess.run(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    seen = {"loaded": loaded, "load_average": os.getloadavg()[0]}
    return seen | {"ratios": json.loads(run.stdout.splitlines()[-1])}


def summarise(repeats):
    """Middle, spread and limits of each part; and by how much a load moves it."""
    names = list(repeats[0]["ratios"])

    def of(name, *kinds):
        return [one["ratios"][name] for one in repeats if one["loaded"] in kinds]

    figures = {}
    for name in names:
        low, high = limits_of(of(name, True, False), len(names))
        middles = [statistics.geometric_mean(of(name, kind)) for kind in (True, False)]
        figures[name] = {
            "ratio": statistics.geometric_mean(of(name, True, False)),
            "lowest": low,
            "highest": high,
            "n": len(repeats),
            "loaded_over_quiet": middles[0] / middles[1],
        }
    return figures


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--repeats", type=int, default=10, help="half of them beside a load")
    parser.add_argument(
        "--core", type=int, default=min(os.sched_getaffinity(0)), help="of the load"
    )
    parser.add_argument("--on", type=float, default=2.0, help="seconds of load")
    parser.add_argument("--off", type=float, default=2.0, help="seconds of pause")
    parser.add_argument("--once", action="store_true", help="measure here and print the ratios")
    parser.add_argument("--out", type=Path, help="the record to make")
    args = parser.parse_args()
    if args.once:
        print(json.dumps(measured(args.parts)))
        return
    if args.out is None or args.repeats < 4:
        parser.error("name the record, --out, and at least 4 --repeats")
    repeats = []
    for n in range(args.repeats):
        repeats.append(repeat(bool(n % 2), args))
        print(json.dumps(repeats[-1]), flush=True)
    figures = summarise(repeats)
    print(json.dumps(figures, indent=1))
    settings = {"on_s": args.on, "off_s": args.off}
    write_record(args.out, "parts", figures, {}, None, {"settings": settings, "repeats": repeats})


if __name__ == "__main__":
    main()
