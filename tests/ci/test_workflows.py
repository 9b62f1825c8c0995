"""Workflows of the host fit its schema, which lies beside the checker; and what they run is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from defectbench.cli.main import build_app

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def check(path):
    """Status and words of the checker, which asks no other host."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    command += ["vendor.github-workflows", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_fit_the_schema(path):
    status, said = check(path)
    assert status == 0, said


def test_a_step_that_does_not_fit_is_told(tmp_path):
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    wrong = tmp_path / "ci.yml"
    wrong.write_text(text.replace("runs-on: ubuntu-latest", "run-on: ubuntu-latest"))
    status, said = check(wrong)
    assert status == 1
    assert "run-on" in said


def commands(text):
    """Lines of the command line in a workflow, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return re.findall(r"\.venv/bin/defectbench (.*)", joined)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_verbs_and_options_that_they_run_are_there(path):
    for line in commands(path.read_text()):
        words = shlex.split(re.sub(r"\$\([^)]*\)", "x", line.partition(">")[0]))
        app: Any = get_command(build_app())
        group = app.commands[words[0]]
        verb = group.commands[words[1] if words[1] in group.commands else "check"]
        known = {name for parameter in verb.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_the_gate_and_its_renewal_are_run():
    lines = commands((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert [line.split()[:2] for line in lines] == [["gate", "results/demo"], ["gate", "accept"]]
