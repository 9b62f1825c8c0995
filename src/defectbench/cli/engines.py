"""Verbs of engines: which there are here, and a model in the form that one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from .options import Annotations, File, Folder, Groups, Images, Model

FormName = Annotated[
    str, Option("--form", help="Engine and precision, such as openvino-int8 or ncnn.")
]


def engines() -> None:
    """List the engines, their versions and what each can do here."""
    from ..deploy.engines import find_engines

    for state in find_engines():
        print(f"{state.name:16} {state.told}")  # noqa: T201


def quantise(
    model: Model,
    train: Annotated[Path, Option(help="Pack of the training part, whose images calibrate it.")],
    out: File,
    images: Annotated[int, Option(help="Most images to calibrate with.", min=1, max=100_000)] = 128,
) -> None:
    """Write a model file in eight bits, which every engine that has them runs."""
    from ..deploy.quantise import quantise

    quantise(model, train, out, images)


def convert_model(
    model: Model,
    form: FormName,
    out: Folder,
    method: Annotated[
        Path | None,
        Option(help="Folder of the method, models/<method>, where torch runs its network."),
    ] = None,
) -> None:
    """Make the files of an engine that does not run the model file itself."""
    from ..deploy.convert_model import convert_model
    from .checks import check_form

    convert_model(model, check_form(form), out, method)


def measure_form(
    cell: Annotated[Path, Option(help="Folder of the cell, with its model.onnx.", file_okay=False)],
    form: FormName,
    test: Annotated[Path, Option(help="Pack of the test part.")],
    annotations: Annotations,
    images: Images,
    groups: Groups,
) -> None:
    """Predict and score by one engine and precision; the records lie in the cell's engines/<form>."""
    from ..measure.cell import Truth
    from ..measure.forms import measure_form
    from .checks import check_form

    measure_form(cell, check_form(form), test, Truth(annotations, images, groups))


VERBS = {
    "engines": engines,
    "quantise": quantise,
    "convert-model": convert_model,
    "measure-form": measure_form,
}
