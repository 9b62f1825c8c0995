"""Verbs of measures: what a cell's model file scores, costs and how fast it is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

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


class Draw(StrEnum):
    """Which pictures are drawn."""

    FOUND = "found"
    ALL = "all"
    NONE = "none"


def predict(
    model: Model,
    folder: Annotated[
        Path | None, Argument(help="Folder of new pictures, at any depth; or give --pack.")
    ] = None,
    pack: Annotated[Path | None, Option(help="Pack of a part, in place of a folder.")] = None,
    out: Annotated[
        Path | None,
        Option(
            help="File to write of a pack; folder of new pictures' results, predictions/<folder> by default."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        Option(
            help="Score above which a box counts on new pictures; that of operating_point.json beside the model, "
            "else 0.25."
        ),
    ] = None,
    draw: Annotated[
        Draw | None,
        Option(
            help="New pictures to draw with their boxes: where something is found (default), all or none."
        ),
    ] = None,
) -> None:
    """Run a model file over new pictures, or over a pack; status 1 where a picture could not be read."""
    from ..base.errors import ConfigError

    if (folder is None) == (pack is None):
        given = "neither" if pack is None else "both"
        fix = "name a folder of pictures, or --pack with --out"
        raise ConfigError("predict", "folder or --pack", given, fix)
    if folder is not None:
        _predict_pictures(
            model, folder, out or Path("predictions") / folder.resolve().name, threshold, draw
        )
        return
    assert pack is not None
    of_folder = {"--threshold": threshold, "--draw": draw}
    odd = [name for name, value in of_folder.items() if value is not None]
    if odd:
        raise ConfigError(
            odd[0], "option", of_folder[odd[0]], "it is for a folder of pictures; leave it out"
        )
    if out is None:
        raise ConfigError(
            "--out", "file", "nothing", "name the file to write the results of the pack to"
        )
    from ..deploy.predict import predict

    predict(model, pack, out)


def _predict_pictures(
    model: Path, folder: Path, out: Path, threshold: float | None, draw: Draw | None
) -> None:
    from ..deploy.pictures import predict_pictures

    done = predict_pictures(model, folder, out, threshold, (draw or Draw.FOUND).value)
    for line in done.told(out):
        print(line)  # noqa: T201
    if done.faults:
        raise Exit(1)


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


def rescore(
    runs: Annotated[list[Path], Argument(help="Folders of cells, or folders that hold them.")],
) -> None:
    """Score stored predictions anew, without their models; say which figures have changed."""
    from ..measure.rescoring import rescore as score_anew

    count = changed = 0
    for scored in score_anew(runs):
        count += 1
        changed += bool(scored.changed)
        for name, (before, after) in scored.changed.items():
            print(f"{scored.path}: {name} was {before}, is {after}")  # noqa: T201
    print(f"{count} sets of predictions scored anew, {changed} with other figures")  # noqa: T201


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
    from ..measure.race import race_cells
    from .checks import check_forms

    protocol = parse_settings(LatencySettings, settings, change or [])
    race_cells(cells, check_forms(form), protocol)


VERBS = {
    "measure": measure,
    "measure-controls": measure_controls,
    "choose-threshold": choose_threshold,
    "predict": predict,
    "evaluate": evaluate,
    "rescore": rescore,
    "count": count,
    "control": control,
    "race": race,
}
