"""Costs of jobs: each that a run starts through bash is measured and named; what fails leaves no table."""

import sys

import pytest

from job_costs import job_name, measured, table

RUN = """
import subprocess, sys
for line in ({lines}):
    subprocess.run(line, shell=True, executable=__import__("shutil").which("bash"), check=True)
"""
BUSY = "python3 -c 'sum(range(20_000_000))'"


def run(folder, *lines):
    script = folder / "run.py"
    script.write_text(RUN.format(lines="".join(f"{line!r}, " for line in lines)))
    return measured([sys.executable, str(script)], folder)


def test_jobs_are_measured_with_what_they_start(tmp_path):
    jobs, total, wall = run(tmp_path, f"{BUSY} | cat", "true")
    assert [job["command"].split()[0] for job in jobs] == ["python3", "true"]
    assert jobs[0]["cpu_s"] > 0.15 > jobs[1]["cpu_s"]
    assert total > jobs[0]["cpu_s"] + jobs[1]["cpu_s"]
    assert wall >= jobs[0]["wall_s"]
    assert jobs[0]["memory_mib"] > 1


def test_a_job_that_fails_ends_the_measurement(tmp_path):
    with pytest.raises(SystemExit, match="nothing is written"):
        run(tmp_path, "exit 3")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("set -eu; defectbench train --method models/lidd_net --out x", ("train", "lidd_net")),
        ("defectbench measure --cell results/a/runs/s/clean/nano/seed0", ("measure", "nano")),
        ("defectbench prune results/runs/s/clean/nano+slim2.2mib/seed0/pruned", ("prune", "nano")),
        ("defectbench race r/clean/a/seed0 r/clean/b/seed0", ("race", "")),
        ("defectbench measure r/s/clean/control_oracle/seed0", ("measure", "")),
        ("defectbench pack r/s/clean/split0/train.txt", ("pack", "")),
        ("python workflow/programs/train_x.py --method=models/m", ("train_x", "m")),
    ],
)
def test_jobs_are_named_by_verb_and_method(command, expected):
    assert job_name(command) == expected


def test_rows_go_by_cost_and_add_up():
    jobs = [
        {"command": f"defectbench {verb} models/m", "cpu_s": cost, "wall_s": 2.0, "memory_mib": 5.0}
        for verb, cost in (("measure", 1.0), ("train", 7.0), ("measure", 2.0))
    ]
    rows = table(jobs, total_s=11.5, wall_s=9.0)
    assert [(r["job"], r["jobs"], r["cpu_s"]) for r in rows] == [
        ("train", 1, 7.0),
        ("measure", 2, 3.0),
        ("snakemake", "", 1.5),
        ("in all", 3, 11.5),
    ]
