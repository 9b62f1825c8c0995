"""The verbs of published weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from ..base.bounds import LARGEST_SIDE, LAST_SEED
from .options import Folder, Method

Name = Annotated[
    str | None,
    Option(help="Which weights of the method's card; the only ones by default."),
]


def check_weights(
    method: Method,
    weights: Annotated[Path, Option(help="Folder of the published files, or one of them.")],
    size: Annotated[
        int | None,
        Option(
            help="Side of the images, a multiple of 32 pixels; the published one by default.",
            min=32,
            max=LARGEST_SIDE,
        ),
    ] = None,
    images: Annotated[
        int | None, Option(help="Number of images; 3 by default.", min=1, max=10_000)
    ] = None,
    seed: Annotated[
        int | None, Option(help="Seed of the images; 0 by default.", min=0, max=LAST_SEED)
    ] = None,
    name: Name = None,
    record: Annotated[Path | None, Option(help="JSON file to write the outcome to.")] = None,
) -> None:
    """Prove a method's architecture by published weights; status 1 where an output is over its bound."""
    from ..base.methods import load_method
    from ..weights.check import check_weights, trial_asked_for
    from ..weights.outcome import proof_lines, write_proof

    loaded = load_method(method.name, method.parent)
    start = time.perf_counter()
    trial = trial_asked_for(loaded, size, images, seed, name)
    proof = check_weights(loaded, weights, trial, name)
    seconds = time.perf_counter() - start
    print(*proof_lines(proof), sep="\n")  # noqa: T201
    if record:
        write_proof(proof, record, seconds)
    if not proof.holds:
        raise Exit(1)


def fetch_weights(
    method: Method,
    name: Annotated[str, Option(help="Which weights of the method's card, such as coco.")],
    out: Folder,
    mirror: Annotated[
        str | None,
        Option(
            metavar="FOLDER",
            help="Folder that holds the published files, under any names, or one of them; the card's addresses else.",
        ),
    ] = None,
) -> None:
    """Get published weights, verify them and write them as safetensors to start trainings from."""
    from ..base.methods import load_method
    from ..weights.fetching import fetch_weights

    fetch_weights(load_method(method.name, method.parent), name, out, mirror)


VERBS = {"check-weights": check_weights, "fetch-weights": fetch_weights}
