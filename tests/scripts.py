"""A script as its command line would run it, but in this process, which has imported already what takes long."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]


def run_script(command, **environment):
    """Run a command line ``[python, script, ...]`` from the project's root and catch what it prints."""
    _, script, *arguments = map(str, command)
    printed, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(ROOT),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [script, *arguments]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(command, status, printed.getvalue(), errors.getvalue())
