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
    from ..base.commandline import parse_settings
    from ..base.compressions import CFP
    from ..base.steps import RatesCheck
    from ..compression.cfp.rates_check import check_rates
    from .checks import load_prunable

    check = parse_settings(RatesCheck, settings, change or [])
    loaded = load_prunable(method, CFP, check.recipe)
    figures = check_rates(loaded, classes, check, out)["figures"]
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
    from ..base.compressions import CFP
    from ..base.steps import ChannelScores
    from ..compression.cfp.score_classifier import score_classifier
    from .checks import load_prunable

    asked = parse_settings(ChannelScores, settings, change or [])
    loaded = load_prunable(method, CFP)
    computing = {"threads": asked.threads, "device": asked.device}
    score_classifier(weights, train, loaded, out, asked.images, asked.seed, **computing)


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
    from ..base.steps import FilterPruning
    from ..compression.cfp.prune_classifier import prune_classifier
    from ..deploy.export_run import export_run
    from .checks import load_prunable

    cut = parse_settings(FilterPruning, settings, change or [])
    loaded = load_prunable(method, CFP)
    prune_classifier(weights, scores, train, loaded, out, cut, cut.seed)
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
    from ..base.steps import FineTuning
    from ..compression.cfp.fine_tune import fine_tune
    from ..deploy.export_run import export_run
    from ..measure.validation import make_validator
    from .checks import load_changed

    tuning = parse_settings(FineTuning, settings, change or [])
    loaded = load_changed(method, tuning.recipe)
    validator = make_validator(val, task=loaded.card.task)
    fine_tune(loaded, tuning, pruned, train, out, teacher_r, teacher_c, validator)
    export_run(out, loaded)


VERBS = {
    "check-rates": check_rates,
    "score-channels": score_channels,
    "prune-classifier": prune_classifier,
    "fine-tune": fine_tune,
}
