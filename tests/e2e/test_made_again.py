"""What a change makes again: exactly the methods that use an edited block, and a dataset whose mirror was corrected."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "datasets", "models", "reports")
BLOCK = {"datasets": ["demo-steel"], "budget": {"size": 64, "epochs": 1}}

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path):
    """A working copy whose suite can be edited and whose results are its own."""
    for name in LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=skipped)
    return tmp_path


def plan(folder, study):
    """What a dry run says of a study."""
    (folder / "mine.yaml").write_text(yaml.safe_dump({"study": "mine", **study}))
    command = [sys.executable, "-m", "snakemake", "all", "--cores", "2", "--dry-run"]
    run = subprocess.run(
        [*command, "--configfile", "mine.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    return said


def rules(said):
    """Names of the planned rules."""
    return set(re.findall(r"^(?:local)?rule (\w+):", said, re.MULTILINE)) - {"all"}


def pretend_it_was_made(folder, said):
    """Give every output of a plan one time, later than all that it is made of."""
    now = time.time()
    outputs = [
        name
        for line in re.findall(r"^    output: (.*)$", said, re.MULTILINE)
        for name in line.split(", ")
    ]
    for name in outputs:
        path = folder / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / ".snakemake_timestamp").touch()
    for name in outputs:
        path = folder / name
        for file in (path, *path.glob(".snakemake_timestamp")):
            os.utime(file, (now, now))
    return now


def test_an_edit_of_a_shared_block_trains_exactly_the_methods_that_use_it(checkout):
    study = {"blocks": [{**BLOCK, "methods": ["lidd_net", "yolov4", "yolov4_thin", "yolov8n"]}]}
    now = pretend_it_was_made(checkout, plan(checkout, study))
    assert rules(plan(checkout, study)) == set()
    block = checkout / "src" / "defectbench" / "nn" / "yolov4.py"
    block.write_text(block.read_text() + "\n# a comment\n")
    os.utime(block, (now + 10, now + 10))
    trained = {rule for rule in rules(plan(checkout, study)) if rule.startswith("train_")}
    assert trained == {"train_yolov4", "train_yolov4_thin"}


def test_a_label_that_is_corrected_in_the_mirror_is_seen(checkout, tmp_path):
    mirror = tmp_path / "my steel's (2)"
    label = mirror / "ANNOTATIONS" / "crazing_1.xml"
    for file in (label, mirror / "IMAGES" / "crazing_1.jpg"):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1e9, 1e9))
    block = {"datasets": ["neu-det"], "methods": [], "controls": ["oracle"]}
    study = {"blocks": [block], "mirrors": {"neu-det": str(mirror)}}
    first = plan(checkout, study)
    told = re.search(r"rule acquire_dataset:\n    input: (.*)", first)[1].split(", ")
    assert told == [
        "datasets/neu-det.yaml",
        "datasets/manifests/neu-det.sha256.gz",
        "results/data/neu-det/.mirror.json",
    ]
    now = pretend_it_was_made(checkout, first)
    assert rules(plan(checkout, study)) == set()
    os.utime(label, (now + 10, now + 10))
    assert "acquire_dataset" in rules(plan(checkout, study))
    braces = mirror.rename(tmp_path / "my {steel}")
    plan(checkout, {**study, "mirrors": {"neu-det": str(braces)}})
