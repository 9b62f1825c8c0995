"""The command ``defectbench``: one verb a step. Rules of the workflow call verbs; every verb runs without Snakemake."""

from .main import main

__all__ = ["main"]
