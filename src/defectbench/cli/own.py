"""Verbs of a user's own pictures: from a bare folder to a dataset, and to the model to deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from ..base.bounds import LAST_SEED

Overkill = Annotated[
    float, Option(help="Share of good parts that may be rejected, for the threshold.")
]


Weights = Annotated[
    Path | None,
    Option(
        help="Folder of published weights, under any names: methods that have some start from them.",
        file_okay=False,
    ),
]


def adopt(
    folder: Annotated[Path, Argument(help="Folder of pictures and their labels.")],
    name: Annotated[
        str | None,
        Option(
            help="Name of the dataset, of small letters, digits and '-'; the folder's by default."
        ),
    ] = None,
    label_format: Annotated[
        str | None,
        Option(
            "--format",
            help="Format of the labels: voc, yolo, coco, labelme, masks, deeppcb, folders or names; found by default.",
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        Option(help="Name of a folder of pictures, where several fit; repeat it for more."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        Option(help="Name of a folder of labels, where several fit; repeat it for more."),
    ] = None,
    classes: Annotated[
        str | None,
        Option(help="Class names, parted by commas; in the order of the numbers that labels have."),
    ] = None,
    unlabelled_are_empty: Annotated[
        bool,
        Option(
            "--unlabelled-are-empty",
            help="Take pictures without a label as free of defects instead of leaving them out.",
        ),
    ] = False,
    good: Annotated[
        list[str] | None,
        Option(
            help="Name of a folder of good parts, from which alone methods then learn; other folders name kinds of "
            "defects. Repeat it for more."
        ),
    ] = None,
    seed: Annotated[int, Option(help="Seed of the split.", min=0, max=LAST_SEED)] = 0,
    weights: Weights = None,
) -> None:
    """Make a dataset of a folder: find its layout, write card and study, divide it honestly."""
    from ..base.errors import ConfigError
    from ..base.studies import load_study
    from ..data.adoption.adopting import adopt
    from ..data.adoption.finding import Said
    from ..data.adoption.writing import set_name
    from ..weights.available import starts_at_hand, told_starts

    if name is not None and set_name(name) != name:
        fix = f"use small letters, digits and '-', such as {set_name(name)}"
        raise ConfigError("--name", "name", name, fix)
    listed = [part.strip() for part in (classes or "").split(",") if part.strip()]
    said = Said(label_format, images or (), labels or (), listed, unlabelled_are_empty, good or ())
    starts = starts_at_hand(folder=weights)
    made = adopt(folder, _say, said, name, seed=seed, starts=starts, weights=weights)
    if line := told_starts(load_study(made.study).blocks[0].methods, starts):
        _say(line)


def recommend(
    name: Annotated[
        str, Argument(help="Name of an adopted dataset, or the folder that was adopted.")
    ],
    minutes: Annotated[float, Option(help="Time for all of it, minutes.")] = 60,
    overkill: Overkill = 0.05,
    size: Annotated[
        int | None,
        Option(
            help="Side of the input, a multiple of 32 pixels; that of the set's study by default."
        ),
    ] = None,
    cores: Annotated[
        int | None, Option(help="Trainings side by side; all usable cores by default.", min=1)
    ] = None,
    weights: Weights = None,
    from_scratch: Annotated[
        bool,
        Option(
            "--from-scratch", help="Start from no published weights, also where some are at hand."
        ),
    ] = False,
) -> None:
    """Train the light methods on an adopted set within a time, say which to take, and write it to deploy."""
    from ..advice.recommending import Asked, recommend
    from ..data.adoption.writing import set_name

    recommend(set_name(name), _say, Asked(minutes, overkill, size, cores, weights, from_scratch))


def deploy(
    cell: Annotated[
        Path, Argument(help="Folder of the cell, with its model.onnx.", file_okay=False)
    ],
    engine: Annotated[
        str, Option(help="What runs it: onnxruntime, openvino or ncnn.")
    ] = "onnxruntime",
    precision: Annotated[str, Option(help="Its arithmetic: fp32, fp16 or int8.")] = "fp32",
    overkill: Overkill = 0.05,
    out: Annotated[
        Path | None,
        Option(
            help="Folder to write; deployments/<dataset>-<protocol>-<method>-seed<k>-<form> by default."
        ),
    ] = None,
    val: Annotated[
        Path | None,
        Option(
            help="Pack of the validation part, by which the threshold is chosen; the cell's by default.",
            dir_okay=False,
        ),
    ] = None,
    datasets: Annotated[Path, Option(help="Folder of the datasets' cards.")] = Path("datasets"),
    models: Annotated[Path, Option(help="Folder of the methods.")] = Path("models"),
) -> None:
    """Write a folder to deploy: model, threshold, script, what this very file scored; and check the script."""
    from ..advice.deploying import Shelves, deploy
    from .checks import check_engine_form

    form = check_engine_form(engine, precision)
    for line in deploy(cell, form, overkill, out, val, Shelves(datasets, models)).told():
        _say(line)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


VERBS = {"adopt": adopt, "recommend": recommend, "deploy": deploy}
