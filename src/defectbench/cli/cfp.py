"""Verbs of collaborative filter pruning: check rates, score channels, cut a classifier, fine-tune it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from .options import Change, Classes, File, Folder, Method, Settings, Train, Val, Weights


def check_rates(
    method: Method, classes: Classes, out: File, settings: Settings = None, change: Change = None
) -> None:
    """Hold rates against a classifier, before it is trained."""
    from dataclasses import replace

    from ..base.commandline import parse_settings
    from ..base.methods import load_method, override_recipe
    from ..base.steps import RatesCheck
    from ..compression.cfp.rates_check import check_rates

    told = parse_settings(RatesCheck, settings, _of_method(method, change))
    loaded = load_method(method.name, method.parent)
    loaded = replace(loaded, recipe=override_recipe(loaded.recipe, told.recipe, "recipe"))
    figures = check_rates(loaded, classes, told, out)["figures"]
    counts = (figures["params_before"], figures["params"], figures["params_ratio"])
    print("{:,} parameters, {:,} left, {:.2f}x".format(*counts))  # noqa: T201


def score_channels(
    method: Method,
    weights: Weights,
    train: Train,
    out: File,
    settings: Settings = None,
    change: Change = None,
) -> None:
    """Score the channels of a trained classifier on images."""
    from ..base.commandline import parse_settings
    from ..base.methods import load_method
    from ..base.steps import ChannelScores
    from ..compression.cfp.score_classifier import score_classifier

    told = parse_settings(ChannelScores, settings, change or [])
    loaded = load_method(method.name, method.parent)
    place = {"threads": told.threads, "device": told.device}
    score_classifier(weights, train, loaded, out, told.images, told.seed, **place)


def prune_classifier(
    method: Method,
    weights: Weights,
    scores: Annotated[Path, Option(help="Record of score-channels on these weights.")],
    train: Train,
    out: Folder,
    settings: Settings = None,
    change: Change = None,
) -> None:
    """Cut a trained classifier by scores and export it."""
    from ..base.commandline import parse_settings
    from ..base.compressions import CFP
    from ..base.methods import load_method
    from ..base.steps import FilterPruning
    from ..compression.cfp.prune_classifier import prune_classifier
    from ..deploy.export_run import export_run

    told = parse_settings(FilterPruning, settings, _of_method(method, change))
    loaded = load_method(method.name, method.parent)
    cut = CFP(**told.model_dump(exclude={"seed"}))
    prune_classifier(weights, scores, train, loaded, out, cut, told.seed)
    export_run(out, loaded, "prune")


def fine_tune(
    method: Method,
    pruned: Annotated[Path, Option(help="weights.safetensors of the cut, its plan beside them.")],
    train: Train,
    val: Val,
    out: Folder,
    settings: Settings = None,
    change: Change = None,
    teacher_r: Annotated[
        Path | None, Option(help="Weights of the instance-balanced teacher.")
    ] = None,
    teacher_c: Annotated[Path | None, Option(help="Weights of the class-balanced teacher.")] = None,
) -> None:
    """Train a cut classifier with two teachers and export it."""
    from ..base.commandline import parse_settings
    from ..base.compressions import CFP
    from ..base.methods import load_method
    from ..base.settings import TrainingSettings
    from ..base.steps import FineTuning
    from ..compression.cfp.fine_tune import fine_tune
    from ..deploy.export_run import export_run
    from ..measure.validation import make_validator

    told = parse_settings(FineTuning, settings, change or [])
    loaded = load_method(method.name, method.parent)
    cut = CFP(
        method=loaded.card.name, how="cfp", rates="0", choose=told.choose, teachers=told.teachers
    )
    training = TrainingSettings(**told.model_dump(exclude={"choose", "teachers"}))
    validator = make_validator(val, task=loaded.card.task)
    fine_tune(loaded, training, cut, pruned, train, out, teacher_r, teacher_c, validator)
    export_run(out, loaded)


def _of_method(method: Path, change: list[str] | None) -> list[str]:
    """Changes of settings that name the method which is cut, as a study does."""
    return [*(change or []), f"method={method.name}", "how=cfp"]


VERBS = {
    "check-rates": check_rates,
    "score-channels": score_channels,
    "prune-classifier": prune_classifier,
    "fine-tune": fine_tune,
}
