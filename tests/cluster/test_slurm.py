"""The profile on a real Slurm of one node: data and two methods as jobs; one is killed while it trains and goes on to the same bits."""

import copy
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.cluster.slurm_node import slurm_node, why_not
from tests.e2e.planning import snakemake

from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from resilience import DATASET, STUDY, lay_out

ROOT = Path(__file__).parents[2]
METHODS = ("my_net", "tinydefectnet")
RUNS = Path(f"results/little/runs/{DATASET}/clean")
KILLED = RUNS / METHODS[0] / "seed0"
WANTED = [str(RUNS / method / "seed0" / "weights.safetensors") for method in METHODS]
DATA = ("acquire_dataset", "convert_dataset", "group_images", "split_dataset", "pack_parts")
# A cluster without accounting, asked often; steps of the data are one job.
OPTIONS = [
    *("--workflow-profile", "profiles/slurm", "--configfile", "study.yaml"),
    *("--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"),
    *("--groups", *(f"{rule}=data" for rule in DATA)),
]
PATIENCE_S = 900

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("snakemake_executor_plugin_slurm")
    if reason := why_not():
        pytest.skip(reason)
    with slurm_node():
        yield


@pytest.fixture
def checkout(tmp_path):
    """The little study with two methods and enough epochs to be caught in one."""
    folder = tmp_path / "checkout"
    lay_out(folder)
    study = copy.deepcopy(STUDY)
    study["blocks"][0]["methods"] = list(METHODS)
    study["blocks"][0]["budgets"] = {METHODS[0]: {"epochs": 20}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def environment():
    programs = str(Path(sys.executable).parent)
    paths = [programs, os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def cancel_while_it_trains(folder, run):
    """Cancel the job of a training behind its first checkpoint; returns the job's number."""
    until = time.monotonic() + PATIENCE_S
    checkpoint = folder / KILLED / "checkpoint" / "last.safetensors"
    while not checkpoint.exists() and run.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    asked = ["squeue", "--noheader", "--format=%i %k", "--states=RUNNING"]
    jobs = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    (number,) = (job.split()[0] for job in jobs if METHODS[0] in job)
    subprocess.run(["scancel", number], check=True)
    return number


def test_jobs_run_and_a_cancelled_training_goes_on_to_the_same_bits(cluster, checkout):
    command = [sys.executable, "-m", "snakemake", *OPTIONS, "--", *WANTED]
    said = checkout / "said.txt"
    with said.open("w") as file:
        run = subprocess.Popen(command, cwd=checkout, env=environment(), stdout=file, stderr=file)
    number = cancel_while_it_trains(checkout, run)
    assert not (checkout / KILLED / "weights.safetensors").exists()
    assert run.wait(PATIENCE_S) == 0, said.read_text()
    text = said.read_text()
    submitted = re.findall(r"SLURM jobid (\d+)", text)
    assert number in submitted, text
    assert len(submitted) == 4, text  # data, two trainings, one of them again

    log = (
        checkout / "results/little/logs" / DATASET / f"clean/{METHODS[0]}/seed0/train.log"
    ).read_text()
    first = re.search(r"epoch (\d+)/20", log)
    assert first is not None, log
    assert int(first[1]) > 1, log  # it went on
    figures = read_record(checkout / KILLED / "train.json", "train")["figures"]
    assert figures["epochs"] == 20

    undisturbed = checkout.with_name("undisturbed")
    shutil.copytree(checkout, undisturbed, symlinks=True)
    shutil.rmtree(undisturbed / KILLED)
    status, told = snakemake(undisturbed, WANTED[0], "--cores", "1", "--configfile", "study.yaml")
    assert status == 0, told
    hashes = {sha256_file(folder / WANTED[0]) for folder in (checkout, undisturbed)}
    assert len(hashes) == 1
