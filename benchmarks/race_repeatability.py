"""The same files raced several times: how far does the ratio of each move from race to race?

Each race is one of its own, with fresh processes and fresh orders of turns. The spread of a ratio is its largest value
minus its smallest, over its median. Files that an engine needs and a cell lacks are made in a folder that is deleted.

    python benchmarks/race_repeatability.py --out races.json results/demo/runs/demo-steel/clean/{yolo*,nano*}/seed0
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from defectbench.base.engines import CONVERTED, REFERENCE, Form
from defectbench.base.records import read_record, write_record
from defectbench.base.studies import LatencySettings
from defectbench.cli.checks import check_forms
from defectbench.deploy.convert_model import convert_model
from defectbench.measure.race import RaceEntry, entries_of, race

# 200 blocks of a file in a race: one block alone moves by a tenth on a shared machine
MANY = LatencySettings(processes=5, rounds=40, block_calls=4, warmup=5, burst_calls=0)
FORMS = (REFERENCE, "openvino", "ncnn")
RATIO, WALL = "ratio_to_reference", "latency_ms_p50"
MOST_SPREAD = 0.05


def method_of(entry):
    """Name of the method that an entry is of."""
    return (entry.base or entry.model).absolute().parent.parent.name


def converted(form, cell, folder):
    """What a form runs of a cell: its file there, or one made in a folder."""
    there = cell / form.model
    if form.engine not in CONVERTED or there.is_dir():
        return there
    made = folder / cell.absolute().parent.name / form.model
    if not made.is_dir():
        convert_model(cell / Form(REFERENCE).model, form, made)
    return made


def all_entries(cells, forms, folder):
    """The entries of all cells in all forms; a form that an engine cannot run is left out."""
    entries = entries_of(cells)
    for cell, artifact in zip(cells, list(entries), strict=True):
        for form in forms:
            model = converted(form, cell, folder)
            runs = model.is_file() or (model.is_dir() and any(model.iterdir()))
            if not runs:
                print(f"{form.name} does not run {cell}: it is left out", flush=True)
            elif not form.is_artifact:
                made = replace(artifact, model=model, engine=form.engine, base=artifact.model)
                entries.append(made)
    return entries


def race_once(entries: list[RaceEntry], settings):
    """One race: figures by method and form, and the load of the machine."""
    keys = (RATIO, f"{RATIO}_low", f"{RATIO}_high", WALL, "reference_ms_p50", "valid")
    with tempfile.TemporaryDirectory() as folder:
        outs = [replace(e, out=Path(folder) / f"{n}.json") for n, e in enumerate(entries)]
        start = time.perf_counter()
        race(outs, settings)
        seconds = time.perf_counter() - start
        records = [read_record(entry.out, "latency") for entry in outs]
    evidence = records[0]["evidence"]
    return {
        "wall_s": round(seconds, 2),
        "foreign_cores_busy": [seen["foreign_cores_busy"] for seen in evidence],
        "load_average": [evidence[0]["load_average_before"], evidence[-1]["load_average_after"]],
        "models": {
            name_of(entry): {key: record["figures"][key] for key in keys}
            for entry, record in zip(entries, records, strict=True)
        },
    }


def name_of(entry):
    """What an entry is called in the record: method and form."""
    precision = "-int8" if "int8" in entry.model.parts else ""
    precision = "-fp16" if entry.model.parent.name.endswith("-fp16") else precision
    return f"{method_of(entry)} {entry.engine}{precision}"


def spread(values):
    """Largest minus smallest, over the median."""
    return (max(values) - min(values)) / statistics.median(values)


def compare(races):
    """How far each file's ratio and milliseconds move from race to race."""
    rows = {}
    for name in races[0]["models"]:
        ratios = [race["models"][name][RATIO] for race in races]
        milliseconds = [race["models"][name][WALL] for race in races]
        rows[name] = {
            "ratio": statistics.median(ratios),
            "spread": spread(ratios),
            "sd": statistics.stdev(ratios) / statistics.fmean(ratios),
            "spread_of_milliseconds": spread(milliseconds),
            "valid": sum(race["models"][name]["valid"] for race in races),
        }
    spreads = [row["spread"] for row in rows.values()]
    return {
        "largest_spread": max(spreads),
        "median_spread": statistics.median(spreads),
        "share_under_5_percent": statistics.fmean(value < MOST_SPREAD for value in spreads),
        "largest_sd": max(row["sd"] for row in rows.values()),
        "largest_spread_of_milliseconds": max(
            row["spread_of_milliseconds"] for row in rows.values()
        ),
        "n_races": len(races),
        "n_files": len(rows),
        "files": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cells", type=Path, nargs="+", help="folders of cells, one of each method")
    parser.add_argument("--form", action="append", help=f"engine and precision; {', '.join(FORMS)}")
    parser.add_argument(
        "--settings", help="JSON of the latency protocol; 200 blocks of a file without"
    )
    parser.add_argument("--races", type=int, default=5, help="races of all files")
    parser.add_argument("--out", type=Path, required=True, help="the record to make")
    args = parser.parse_args()
    if args.races < 2:
        parser.error("--races: one race has no spread")
    if len({cell.absolute().parent.name for cell in args.cells}) < len(args.cells):
        parser.error("name one cell of each method")
    settings = LatencySettings.model_validate_json(args.settings) if args.settings else MANY
    forms = check_forms(args.form or FORMS)
    races = []
    with tempfile.TemporaryDirectory() as folder:
        entries = all_entries(args.cells, forms, Path(folder))
        for _ in range(args.races):
            races.append(race_once(entries, settings))
            shown = {key: value for key, value in races[-1].items() if key != "models"}
            print(json.dumps(shown), flush=True)
    figures = compare(races)
    print(json.dumps(figures, indent=1))
    inputs = {cell.absolute().parent.name: cell / Form(REFERENCE).model for cell in args.cells}
    asked = {"latency": settings.model_dump(), "forms": [form.name for form in forms]}
    extra = {"settings": asked, "races": races}
    write_record(args.out, "race_repeatability", figures, inputs, None, extra)
    return 0 if figures["largest_spread"] < MOST_SPREAD else 1


if __name__ == "__main__":
    sys.exit(main())
