"""The trained cells of a study: where their records lie, what they score on validation, and what must hold of that.

Two checks a cell, both of its artifact, on the validation part:

1. It has learnt: its score is not below the floor of its method (``floors.py``).
2. It is what was trained: its score agrees with that of the network at the end of training. This needs no floor and
   holds on any machine, but it sees a fault only as far as it moves the score. What the engine trained is held by its
   outputs as well (``outputs.py``), which hide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from defectbench.base.planning import plan_study
from defectbench.base.records import read_record
from defectbench.base.studies import Cell, load_study
from defectbench.base.tasks import CLASSIFICATION, DETECTION, TASKS

from .floors import Floor

SCORES = {name: task.validation_key for name, task in TASKS.items()}
# The engine's validation and the artifact's share suppression and measures; only rounding differs between runtimes.
# Every cell that was looked at agreed to the last digit; the bounds leave room for a detection that changes its rank,
# and for one of the 30 images of the embedded set of classes.
AGREEMENT = {DETECTION.name: 0.01, CLASSIFICATION.name: 0.04}
# A foreign program scores by its own suppression, in its own batches and at its own letterbox.
AGREEMENT_OF_PROGRAMS = 0.06


@dataclass(frozen=True)
class TrainedCell:
    """A cell and its two scores on the validation part.

    Attributes:
        method: Name of the method.
        task: What it solves.
        family: ``engine`` or ``program``: who validated it while it was trained.
        trained: Score of the network at the end of training, 0..1.
        artifact: Score of ``model.onnx``, 0..1.
    """

    method: str
    task: str
    family: str
    trained: float
    artifact: float


def runs_of(report: Path) -> Path:
    """Folder of the cells of a study, whose report lies beside it."""
    return report.parent / "runs"


def cells_of(study: str) -> list[Cell]:
    """The cells of a study file, controls left out."""
    return plan_study(load_study(study), study).trained


def read_cell(folder: Path, method: str, task: str, family: str) -> TrainedCell:
    """A cell's scores from its records.

    Raises:
        AssertionError: A record lacks its score.
    """
    key = SCORES[task]
    trained = read_record(folder / "train.json", "train")["figures"].get(key)
    artifact = read_record(folder / "operating_point.json", "operating_point")["figures"].get(key)
    assert trained is not None, f"{folder / 'train.json'} lacks {key}"
    assert artifact is not None, f"{folder / 'operating_point.json'} lacks {key}"
    return TrainedCell(method, task, family, trained, artifact)


def check_learnt(cell: TrainedCell, floor: Floor, twice_prior: float) -> None:
    """The artifact's score reaches the floor of its method.

    Args:
        cell: What was trained.
        floor: What a run of this method comes to at least.
        twice_prior: Twice what the class prior scores in this very study.

    Raises:
        AssertionError: It does not.
    """
    least = max(floor.floor, twice_prior)
    assert cell.artifact >= least, (
        f"{cell.method} has not learnt: {SCORES[cell.task]} of model.onnx is {cell.artifact:.3f}, below {least:.3f} "
        f"({floor.n} runs: {floor.mean:.3f} with standard deviation {floor.sd:.3f})"
    )


def check_export(cell: TrainedCell) -> None:
    """The artifact scores what the network scored when it was trained.

    Raises:
        AssertionError: It does not.
    """
    bound = AGREEMENT[cell.task] if cell.family == "engine" else AGREEMENT_OF_PROGRAMS
    gap = abs(cell.artifact - cell.trained)
    assert gap <= bound, (
        f"{cell.method}: the export is not what was trained: {SCORES[cell.task]} of model.onnx is {cell.artifact:.3f}, "
        f"of the network at training time {cell.trained:.3f}; {gap:.3f} apart, {bound} allowed"
    )
