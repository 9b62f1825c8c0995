"""Verbs of collaborative filter pruning: check rates, score channels, cut a classifier, fine-tune it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from .base.compressions import CFP

Arguments = argparse.Namespace
CHOICES = {  # options that are fields of the settings
    "ratio": float,
    "choose": str,
    "scale": float,
    "most_clusters": int,
    "min_per_cluster": int,
    "inherit": str,
}


def _check(args: Arguments) -> None:
    from .base.methods import changed_recipe, load_method
    from .compression.rates_run import check_rates

    method = load_method(args.method.name, args.method.parent)
    method = replace(method, recipe=changed_recipe(method.recipe, args.set))
    settings = _settings(args, ("ratio",), {"rates": _rates(args.rates)})
    found = check_rates(method, args.classes, settings, args.out)["figures"]
    counts = (found["params_before"], found["params"], found["params_ratio"])
    print("{:,} parameters, {:,} left, {:.2f}x".format(*counts))  # noqa: T201


def _score(args: Arguments) -> None:
    from .base.methods import load_method
    from .compression.cfp_run import score_run

    method = load_method(args.method.name, args.method.parent)
    work = {"threads": args.threads, "device": args.device}
    score_run(args.weights, args.train, method, args.out, args.images, args.seed, **work)


def _prune(args: Arguments) -> None:
    from .base.methods import load_method
    from .compression.cfp_run import prune_classifier
    from .deploy.run import export_run

    method = load_method(args.method.name, args.method.parent)
    settings = _settings(args, CHOICES, {"rates": _rates(args.rates)})
    files = (args.weights, args.scores, args.train)
    prune_classifier(*files, method, args.out, settings, args.seed)
    export_run(args.out, method, "prune")


def _fine_tune(args: Arguments) -> None:
    from .base.methods import changed_recipe, load_method
    from .base.settings import TrainingSettings
    from .compression.cfp_run import fine_tune
    from .deploy.run import export_run
    from .measure.validation import make_validator

    method = load_method(args.method.name, args.method.parent)
    method = replace(method, recipe=changed_recipe(method.recipe, args.set))
    compression = _settings(args, ("choose", "teachers"), {"rates": "0"})
    fields = ("seed", "epochs", "batch", "threads", "device")
    settings = TrainingSettings(**{name: getattr(args, name) for name in fields})
    validator = make_validator(args.val, task=method.card.task)
    teachers = {"r": args.teacher_r, "c": args.teacher_c}
    files = (args.pruned, args.train, args.out)
    fine_tune(method, settings, compression, *files, **teachers, validator=validator)
    export_run(args.out, method)


def _rates(text: str) -> str | dict[str, float]:
    """Rates as they stand in a study: words, or JSON of a rate by name."""
    import json

    return json.loads(text) if text.startswith("{") else text


def _settings(args: Arguments, names: Iterable[str], more: dict[str, object]) -> CFP:
    from pydantic import ValidationError

    from .base.errors import ConfigError

    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    try:
        return CFP.model_validate({"method": args.method.name, "how": "cfp", **given, **more})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError("options", field, first.get("input"), first["msg"]) from error


def add_cfp_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``check-rates``, ``score-channels``, ``prune-classifier`` and ``fine-tune`` to the parser of the command."""
    checked = verb("check-rates", _check, "hold rates against a classifier, before it is trained")
    scored = verb("score-channels", _score, "score the channels of a trained classifier on images")
    cut = verb("prune-classifier", _prune, "cut a trained classifier by scores and export it")
    tuned = verb("fine-tune", _fine_tune, "train a cut classifier with two teachers and export it")
    for parser in (checked, scored, cut, tuned):
        for option in ("--method", "--out"):
            parser.add_argument(option, type=Path, required=True)
    for parser in (scored, cut, tuned):
        parser.add_argument("--train", type=Path, required=True)
        parser.add_argument("--seed", type=int, required=True)
    for parser in (scored, cut):
        parser.add_argument("--weights", type=Path, required=True, help="of the base's cell")
    scored.add_argument("--images", type=int, default=640)
    cut.add_argument("--scores", type=Path, required=True, help="record of score-channels")
    text = "a name on the method's card, a list such as .4*5,.5*7, or JSON of a rate by name"
    for parser in (checked, cut):
        parser.add_argument("--rates", required=True, help=text)
    checked.add_argument("--ratio", type=float, help="of parameters, that the rates are scaled to")
    checked.add_argument("--classes", type=int, required=True)
    for name, kind in CHOICES.items():
        cut.add_argument(f"--{name.replace('_', '-')}", type=kind)
    for option in ("--val", "--pruned"):
        tuned.add_argument(option, type=Path, required=True)
    tuned.add_argument("--choose", help="thin: train from scratch on labels")
    tuned.add_argument("--teachers", help="r_to_c, r, c, half or none")
    tuned.add_argument("--teacher-r", type=Path, help="weights of the instance-balanced teacher")
    tuned.add_argument("--teacher-c", type=Path, help="weights of the class-balanced teacher")
    for option in ("--epochs", "--batch"):
        tuned.add_argument(option, type=int)
    text = "a field of the recipe, such as optimizer.lr=0.00005"
    for parser in (checked, tuned):
        parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    for parser in (scored, tuned):
        parser.add_argument("--threads", type=int)
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
