"""The command as a user meets it: help in no time, one line for what is wrong, a suggestion for a typo."""

import os
import subprocess
import sys

import pytest
from typer.main import get_command

from defectbench.cli import main
from defectbench.cli.main import TOPICS, build_app

VERBS = {name: verb for verbs in TOPICS.values() for name, verb in verbs.items()}
HEAVY = ("torch", "pandas", "numpy", "pydantic", "yaml", "onnxruntime", "cv2", "matplotlib")


def command_named(name):
    """The command of a verb, which may be of two words."""
    command = get_command(build_app())
    for word in name.split():
        command = command.commands[word]
    return command


def test_help_names_every_verb_under_its_topic(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    places = [shown.index(f" {topic} ") for topic in TOPICS]
    assert places == sorted(places)
    for name in VERBS:
        assert f" {name.partition(' ')[0]} " in shown, name


@pytest.mark.parametrize("name", VERBS)
def test_every_option_of_every_verb_has_a_line_of_help(name, capsys):
    command = command_named(name)
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name}"
        assert parameter.help.endswith("."), f"{name} {parameter.name}"
    assert main([*name.split(), "--help"]) == 0
    assert command.help.split(".")[0].split()[0] in capsys.readouterr().out


def test_help_loads_nothing_that_takes_time():
    program = (
        "import sys; from defectbench.cli import main; main(['--help']); "
        f"print('loaded', *(m for m in {HEAVY} if m in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "loaded"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "Did you mean 'train'?", "see defectbench --help"]),
        (["train", "--metod", "x"], ["--metod", "--method", "see defectbench train --help"]),
        (["pack", "--dataset", "d"], ["Missing option", "--protocol"]),
        (["pack", "--dataset=d", "--protocol=clean", "--size=big"], ["--size", "valid integer"]),
        (["convert", "--card", "no.yaml", "--raw", "r", "--out", "o"], ["ConfigError: no.yaml"]),
    ],
)
def test_what_is_wrong_is_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    for word in words:
        assert word in line


def test_what_a_notebook_has_left_does_not_stop_figures(monkeypatch):
    """Of a backend that is not installed, the import of matplotlib would end in a traceback."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_of_nobody")
    assert main(["--help"]) == 0
    assert os.environ["MPLBACKEND"] == "agg"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "defectbench.cli", "pack", "--prt", "test"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "--part" in run.stderr
