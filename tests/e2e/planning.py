"""Snakemake as a user calls it, without the time that its import takes each time."""

import os
import sys
from pathlib import Path

from snakemake import cli
from tests.forks import Fork


def snakemake(folder, *options):
    """Run it in a process of its own, with the programs of the environment that the tests run in, active or not.

    Returns:
        Its exit status and what it said.
    """

    def call():
        os.chdir(folder)
        programs = str(Path(sys.executable).parent)
        os.environ["PATH"] = os.pathsep.join([programs, os.environ["PATH"]])
        cli.main(["--cores", "8", *options])

    return Fork(call).wait()
