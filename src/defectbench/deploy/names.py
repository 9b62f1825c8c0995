"""Outputs of a model file by task. A file of its own, so that a timed process loads nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence

OUTPUTS = {"detection": ("boxes", "scores"), "classification": ("probabilities",)}


def task_of_outputs(names: Sequence[str]) -> str:
    """Task of a model file with such outputs: classification, or else detection, whatever they are."""
    return "classification" if tuple(names) == OUTPUTS["classification"] else "detection"
