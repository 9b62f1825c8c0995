"""What each job of a Snakemake run costs: processor seconds, wall seconds and the largest memory, as a table.

Snakemake starts every job through `bash`; here it finds another first, which hands over to the real one, waits, and
notes what the job and all that it started have used. What Snakemake itself spends stands in a row of its own. The
table goes beside one of an earlier run, so that one sees where time went.

    python benchmarks/job_costs.py --out costs.csv -- snakemake --cores 2 all

A run that had finished jobs before measures only what it does anew: start from a clean `results/`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from defectbench.base.records import hardware_card
from seed_spread import processor

FIELDS = ("job", "method", "jobs", "cpu_s", "wall_s", "memory_mib", "cores", "processor")
SUMS = ("jobs", "cpu_s", "wall_s", "memory_mib")
# -S and -E: it starts in 10 ms, and what the job's environment says to Python does not reach it
SHIM = """#!{python} -SE
import json, os, sys, time
start = time.perf_counter()
job = os.posix_spawn({bash!r}, ["bash", *sys.argv[1:]], os.environ)
_, status, used = os.wait4(job, 0)
line = {{"command": sys.argv[-1], "cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.perf_counter() - start,
        "memory_mib": used.ru_maxrss / 1024}}
with open({log!r}, "a") as file:
    file.write(json.dumps(line) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def job_name(command: str) -> tuple[str, str]:
    """What a job's command line runs, a verb of the suite or a script, and the method that it names, if it is one."""
    verb = re.search(r"\bdefectbench ([a-z][\w-]*)", command)
    scripts = re.findall(r"(\w+)\.py\b", command)
    methods = set(re.findall(r"models/(\w+)", command))
    methods |= {
        name
        for name in re.findall(r"/(\w+)(?:\+[\w.]+)?/seed\d+\b", command)
        if not name.startswith("control_")
    }
    name = verb.group(1) if verb else (scripts[0] if scripts else command.split()[0])
    return name, methods.pop() if len(methods) == 1 else ""


def measured(command: list[str], folder: Path) -> tuple[list[dict], float, float]:
    """Run a command with the shim before `bash`: its jobs, its own processor seconds, wall seconds."""
    bash, log = shutil.which("bash"), folder / "jobs.jsonl"
    shim = folder / "bash"
    shim.write_text(SHIM.format(python=sys.executable, bash=bash, log=str(log)))
    shim.chmod(0o755)
    start = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: nothing is written")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return jobs, used.ru_utime + used.ru_stime, wall


def table(jobs: list[dict], total_s: float, wall_s: float) -> list[dict]:
    """Rows by job and method, dearest first; then Snakemake itself, and the sum."""
    rows: dict[tuple[str, str], dict] = {}
    for job in jobs:
        name, method = job_name(job["command"])
        row = rows.setdefault(
            (name, method), {"job": name, "method": method, **dict.fromkeys(SUMS, 0)}
        )
        row["jobs"] += 1
        row["cpu_s"] += job["cpu_s"]
        row["wall_s"] += job["wall_s"]
        row["memory_mib"] = max(row["memory_mib"], job["memory_mib"])
    ordered = sorted(rows.values(), key=lambda row: -row["cpu_s"])
    of_jobs = sum(row["cpu_s"] for row in ordered)
    itself = {"job": "snakemake", "method": "", "jobs": "", "cpu_s": total_s - of_jobs}
    whole = {"job": "in all", "method": "", "jobs": len(jobs), "cpu_s": total_s, "wall_s": wall_s}
    card = hardware_card()
    machine = {"cores": card["cores"], "processor": processor(card)}
    return [row | machine for row in (*ordered, itself, whole)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="table to write, CSV")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    with tempfile.TemporaryDirectory() as folder:
        rows = table(*measured(command, Path(folder)))
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    print(args.out.read_text())


if __name__ == "__main__":
    main()
