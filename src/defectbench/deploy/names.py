"""Outputs of a model file by task. A file of its own, so that a timed process loads nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.tasks import DETECTION, TASKS

OUTPUTS = {task.name: task.outputs for task in TASKS.values()}


def task_of_outputs(names: Sequence[str]) -> str:
    """Task of a model file with such outputs; detection where they are those of no task."""
    tasks = (task for task, outputs in OUTPUTS.items() if outputs == tuple(names))
    return next(tasks, DETECTION.name)
