"""A workflow that is really run, killed while it works, and taken up again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.e2e.planning import snakemake
from tests.faults.conftest import Plant

ROOT = Path(__file__).parents[2]
LINKS = ("Snakefile", "workflow", "profiles", "config", "models", "reports")
STUDY = {
    "study": "killed",
    "mirrors": {"my-steel": "plates"},
    "blocks": [
        {
            "datasets": ["my-steel"],
            "protocols": ["clean"],
            "methods": [],
            "controls": ["class_prior"],
        }
    ],
}
DATA = Path("results/data/my-steel")
CELL = Path("results/killed/runs/my-steel/clean/control_class_prior/seed0")
PATIENCE_S = 600
# the rules call `defectbench`, which lies beside this Python
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
}

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path):
    """A working copy with results of its own and a study without a training."""
    for name in LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    plant = Plant(tmp_path)
    plant.draw(count=20, side=64)
    plant.card()
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


ASKED = ("scores", "--cores", "2", "--configfile", "mine.yaml")


def kill_when_there(folder, path):
    """Start the workflow and kill it with all its jobs as soon as a file is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *ASKED],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + PATIENCE_S
    while not (folder / path).exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    was_running = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_running


def test_a_killed_workflow_goes_on_and_ends_whole(checkout):
    assert kill_when_there(checkout, DATA / "conversion.json")
    assert not (checkout / CELL / "accuracy.json").exists()
    before = (checkout / DATA / "source.json").stat().st_mtime_ns

    status, said = snakemake(checkout, *ASKED)
    assert status != 0
    assert "--unlock" in said
    assert snakemake(checkout, *ASKED, "--unlock")[0] == 0
    status, said = snakemake(checkout, *ASKED)
    assert status == 0, said

    assert (checkout / DATA / "source.json").stat().st_mtime_ns == before
    record = json.loads((checkout / CELL / "accuracy.json").read_text())
    for name in ("annotations", "predictions", "images", "groups"):
        seen = record["inputs"][name]
        digest = hashlib.sha256((checkout / seen["path"]).read_bytes()).hexdigest()
        assert digest == seen["sha256"], name
    status, said = snakemake(checkout, *ASKED)
    assert status == 0
    assert "Nothing to be done" in said
