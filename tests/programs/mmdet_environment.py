"""Where mmdetection's own environment lies, the methods that it trains, and what runs in it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "workflow" / "programs"
INSIDE = PROGRAMS / "mmdetection"
ENVIRONMENT = ROOT / "results" / "envs" / "mmdet" / "installed.txt"
METHODS = sorted(path.parent.name for path in (ROOT / "models").glob("*/network.yaml"))

NEEDED = pytest.mark.skipif(
    not ENVIRONMENT.is_file(),
    reason="mmdetection's environment is not built: snakemake results/envs/mmdet/installed.txt",
)


def run_inside(script, *arguments):
    """What a script printed that ran in the environment, from the project's root."""
    made = subprocess.run(
        [ENVIRONMENT.parent / "bin" / "python", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{PROGRAMS / 'compat'}{os.pathsep}{INSIDE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout
