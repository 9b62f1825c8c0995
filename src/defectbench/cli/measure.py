"""Verbs of measures: what a cell's model file scores, costs and how fast it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..base.bounds import LAST_SEED
from .options import (
    Annotations,
    Change,
    Dataset,
    File,
    Forms,
    Groups,
    Images,
    Model,
    Protocol,
    Settings,
    SplitSeed,
    Val,
)


def measure(
    model: Model,
    test: Annotated[Path, Option(help="Pack of the test part.")],
    annotations: Annotations,
    images: Images,
    groups: Groups,
    val: Annotated[
        Path | None,
        Option(help="Pack of the validation part, that a detector's threshold is chosen on."),
    ] = None,
) -> None:
    """Choose a threshold, predict, evaluate and count; the records lie beside the model."""
    from ..measure.cell import Truth, measure_cell

    measure_cell(model, test, Truth(annotations, images, groups), val)


def choose_threshold(model: Model, val: Val, out: File) -> None:
    """Choose the deployment threshold on validation."""
    from ..measure.operating_point import choose_operating_point

    choose_operating_point(model, val, out)


def predict(model: Model, pack: Annotated[Path, Option(help="Pack of a part.")], out: File) -> None:
    """Run a model file over a pack."""
    from ..deploy.predict import predict

    predict(model, pack, out)


def evaluate(
    annotations: Annotations,
    predictions: Annotated[Path, Option(help="predictions.json to score.")],
    images: Images,
    groups: Groups,
    out: File,
) -> None:
    """Score predictions against the truth."""
    from ..measure.cell import Truth, evaluate_predictions

    evaluate_predictions(predictions, Truth(annotations, images, groups), out)


def count(model: Model, out: File) -> None:
    """Count parameters and multiply-adds of a model file."""
    from ..measure.complexity import count

    count(model, out)


_KINDS = "memoriser, class_prior, oracle, label_jitter, label_jitter_ranked or label_jitter_half"


def control(
    kind: Annotated[str, Option(help=f"{_KINDS}.")],
    dataset: Dataset,
    protocol: Protocol,
    out: File,
    seed: Annotated[int, Option(help="Seed of what is drawn.", min=0, max=LAST_SEED)] = 0,
    split_seed: SplitSeed = 0,
) -> None:
    """Predict with a program that learns nothing."""
    from ..measure.cell import predict_control
    from .checks import check_kinds, check_protocol

    check_kinds([kind])
    check_protocol(protocol)
    predict_control(kind, dataset, protocol, out, seed, split_seed)


def measure_controls(
    kind: Annotated[
        list[str],
        Option(help=f"{_KINDS}; repeat it for more."),
    ],
    dataset: Dataset,
    protocol: Protocol,
    out: Annotated[
        Path,
        Option(
            help="Folder of the cells of this dataset and protocol, <runs>/<dataset>/<protocol>."
        ),
    ],
    split_seed: SplitSeed = 0,
) -> None:
    """Predict with programs that learn nothing, and score them."""
    from ..measure.cell import measure_controls
    from .checks import check_kinds, check_protocol

    check_kinds(kind)
    check_protocol(protocol)
    measure_controls(kind, dataset, protocol, out, split_seed)


def race(
    cells: Annotated[list[Path], Argument(help="Folders of cells, each with its model.onnx.")],
    settings: Settings = None,
    change: Change = None,
    form: Forms = None,
) -> None:
    """Time the models of all cells in one race, by one engine or several."""
    from ..base.commandline import parse_settings
    from ..base.studies import LatencySettings
    from ..measure.race import entries_of, note_absences, race
    from .checks import check_forms

    protocol = parse_settings(LatencySettings, settings, change or [])
    forms = check_forms(form)
    note_absences(cells, forms)
    race(entries_of(cells, forms), protocol)


VERBS = {
    "measure": measure,
    "measure-controls": measure_controls,
    "choose-threshold": choose_threshold,
    "predict": predict,
    "evaluate": evaluate,
    "count": count,
    "control": control,
    "race": race,
}
