"""The verb of training with the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from .options import Change, Folder, Method, Settings, Train, Val


def train(
    method: Method,
    train: Train,
    val: Val,
    out: Folder,
    settings: Settings = None,
    change: Change = None,
    teacher: Annotated[
        Path | None,
        Option(
            help="weights.safetensors to learn from as well, its train.json beside it.",
            dir_okay=False,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        Option(
            help="weights.safetensors to start from, the record of what made it beside it.",
            dir_okay=False,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        Option(
            help="plan.json of a cut network, whose widths the network then has.", dir_okay=False
        ),
    ] = None,
) -> None:
    """Train a method of the engine and export it."""
    from ..base.commandline import parse_settings
    from ..base.settings import TrainingSettings
    from ..deploy.export_run import export_run
    from ..measure.validation import make_validator
    from ..training.fitting import fit
    from ..training.loop import train as train_network
    from ..training.sources import Sources
    from .checks import fields_of_recipe, load_changed

    budget = parse_settings(TrainingSettings, settings, change or [])
    loaded = load_changed(method, budget.recipe, fields_of_recipe(change or []), budget.epochs)
    validator = make_validator(val, task=loaded.card.task)
    learn = fit if loaded.card.fitted else train_network
    learn(loaded, budget, Sources(train, teacher, start, plan), out, validator)
    export_run(out, loaded)


VERBS = {"train": train}
