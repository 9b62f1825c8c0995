"""Tasks: the one place that knows what a task is. Whatever depends on a task asks its object; no name is compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import ConfigError


@dataclass(frozen=True)
class Task:
    """What is to be solved.

    Attributes:
        name: Name on cards, in packs and in model files.
        side_multiple: Sides of inputs are multiples of this, pixels.
        controls: Programs that learn nothing and mark floor and ceiling of its scores, as a study names them.
        rows_of_controls: The rows of those that have several.
        headline_figure: Key of the figure in ``accuracy.json`` that stands for a method, 0..1.
        validation_key: Key of the validation score in ``history.csv`` and ``train.json``, 0..1.
        validation_title: Words for that score.
        finds_boxes: Whether the truth is boxes that are to be found; else an image has one class, and its one box
            is the whole image, or it is free of defects and has none.
        learns_defect_free: Whether methods learn from images that are free of defects, and from no others: a split
            keeps defects out of the training part, and a card says which class means that there is none.
        shares: Shares of the images that training, validation and test part have.
        label_formats: Formats of labels that a card's layout may name.
        outputs: Names of the outputs of a model file.
    """

    name: str
    side_multiple: int
    controls: tuple[str, ...]
    rows_of_controls: Mapping[str, tuple[str, ...]]
    headline_figure: str
    validation_key: str
    validation_title: str
    finds_boxes: bool
    label_formats: tuple[str, ...]
    outputs: tuple[str, ...]
    learns_defect_free: bool = False
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)

    def control_rows(self, controls: Iterable[str]) -> list[str]:
        """The rows that controls have in tables, in the task's order."""
        named = set(controls)
        return [
            row
            for kind in self.controls
            if kind in named
            for row in self.rows_of_controls.get(kind, (kind,))
        ]


DETECTION = Task(
    name="detection",
    side_multiple=32,
    controls=("memoriser", "class_prior", "oracle", "label_jitter"),
    rows_of_controls={"label_jitter": ("label_jitter", "label_jitter_ranked", "label_jitter_half")},
    headline_figure="map50",
    validation_key="val_map50_95",
    validation_title="val mAP50-95",
    finds_boxes=True,
    label_formats=("voc", "yolo", "coco", "labelme", "masks", "deeppcb"),
    outputs=("boxes", "scores"),
)
CLASSIFICATION = Task(
    name="classification",
    side_multiple=8,
    controls=("memoriser", "class_prior"),
    rows_of_controls={},
    headline_figure="balanced_accuracy",
    validation_key="val_accuracy",
    validation_title="val accuracy",
    finds_boxes=False,
    label_formats=("folders", "names", "lists"),
    outputs=("probabilities",),
)
ANOMALY = Task(
    name="anomaly",
    side_multiple=8,
    controls=("random_score", "mean_grey", "grey_deviation"),
    rows_of_controls={},
    headline_figure="auroc",
    validation_key="val_auroc",
    validation_title="val AUROC",
    finds_boxes=False,
    label_formats=CLASSIFICATION.label_formats,
    outputs=("anomaly",),
    learns_defect_free=True,
    # a threshold is a quantile of the defect-free validation images: they have to be many
    shares=(0.6, 0.2, 0.2),
)
TASKS: Mapping[str, Task] = {task.name: task for task in (DETECTION, CLASSIFICATION, ANOMALY)}


def task_named(name: str) -> Task:
    """The task of a name.

    Raises:
        ConfigError: There is no such task.

    Example:
        >>> task_named("classification").side_multiple
        8
    """
    if name not in TASKS:
        raise ConfigError("task", "name", name, f"name one of {', '.join(TASKS)}")
    return TASKS[name]
