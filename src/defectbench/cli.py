"""One verb per step. Every rule of the workflow calls a verb; every verb runs without Snakemake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .base.errors import DefectBenchError
from .cli_cfp import add_cfp_verbs
from .cli_slimming import add_slimming_verbs

Arguments = argparse.Namespace
ROLES = ("teacher", "sparse", "recovery")


def _acquire(args: Arguments) -> None:
    from .base.cards import load_dataset_card
    from .data.acquire import acquire

    acquire(load_dataset_card(args.card), args.out, mirror=args.mirror)


def _convert(args: Arguments) -> None:
    from .base.cards import load_dataset_card
    from .data.convert import convert

    convert(load_dataset_card(args.card), args.raw, args.out)


def _synthesize(args: Arguments) -> None:
    from .data.synthetic import synthesize

    synthesize(args.out, seed=args.seed)


def _find_overlaps(args: Arguments) -> None:
    from .data.overlap import find_overlaps

    find_overlaps(args.dataset)


def _group(args: Arguments) -> None:
    from .data.groups import group_images

    group_images(args.dataset)


def _split(args: Arguments) -> None:
    from .data.split import split

    files = {"published": args.published, "train_list": args.train_list}
    split(args.dataset, args.protocol, args.seed, **files)


def _draw_lists(args: Arguments) -> None:
    from .base.cards import load_dataset_card
    from .base.errors import ConfigError
    from .data.published import draw_lists, write_rows

    card = load_dataset_card(args.card)
    if args.thin and len(args.thin) != len(card.classes):
        fix = f"give one number a class, {len(card.classes)} of them"
        raise ConfigError(args.card, "--thin", args.thin, fix)
    counts = dict(zip(card.classes, args.thin or [], strict=False))
    rows, thin = draw_lists(card, counts, args.seed)
    write_rows(args.out, ("file_name", "part"), rows)
    if args.thin_out:
        write_rows(args.thin_out, ("file_name", "class"), thin)


def _augment_offline(args: Arguments) -> None:
    from .data.augment import augment_offline

    augment_offline(args.dataset, seed=args.seed)


def _certify(args: Arguments) -> None:
    from .data.certificate import certify

    certify(args.dataset, args.protocol, args.seed)


def _pack(args: Arguments) -> None:
    from .data.pack import pack

    pack(args.dataset, args.protocol, args.part, args.size, args.out)


def _train(args: Arguments) -> None:
    from .base.methods import changed_recipe, load_method
    from .base.settings import TrainingSettings
    from .deploy.run import export_run
    from .measure.validation import make_validator
    from .training.loop import train
    from .training.sources import Sources

    method = load_method(args.method.name, args.method.parent)
    method = replace(method, recipe=changed_recipe(method.recipe, args.set))
    fields = ("seed", "epochs", "batch", "threads", "device", "role")
    settings = TrainingSettings(**{name: getattr(args, name) for name in fields})
    sources = Sources(args.train, args.teacher, args.start, args.plan)
    validator = make_validator(args.val, task=method.card.task)
    train(method, settings, sources, args.out, validator)
    export_run(args.out, method)


def _choose_threshold(args: Arguments) -> None:
    from .measure.operating_point import choose_operating_point

    choose_operating_point(args.model, args.val, args.out)


def _predict(args: Arguments) -> None:
    from .deploy.predict import predict

    predict(args.model, args.pack, args.out)


def _control(args: Arguments) -> None:
    from .data.coco import protocol_coco
    from .measure.class_controls import control_classes
    from .measure.controls import control

    if protocol_coco(args.dataset, args.protocol)[0].task == "classification":
        control_classes(args.kind, args.dataset, args.protocol, args.out)
    else:
        control(args.kind, args.dataset, args.protocol, args.out, args.seed)


def _evaluate(args: Arguments) -> None:
    from .base.files import read_json
    from .data.coco import task_of
    from .measure.accuracy import evaluate
    from .measure.classification import evaluate_classes

    task = task_of(read_json(args.annotations))
    score = evaluate_classes if task == "classification" else evaluate
    score(args.annotations, args.predictions, args.images, args.groups, args.out)


def _count(args: Arguments) -> None:
    from .measure.complexity import count

    count(args.model, args.out)


def _time(args: Arguments) -> None:
    from .base.studies import LatencySettings
    from .measure.latency import time_latency

    settings = {field: getattr(args, field) for field in LatencySettings.model_fields}
    point = args.operating_point
    time_latency(args.model, args.pack, args.out, LatencySettings(**settings), point)


def _report(args: Arguments) -> None:
    from .report.render import render_report
    from .report.writers.terminal import print_tables

    report = render_report(args.runs, args.out, args.study, args.models)
    print_tables(report.tables, page=str(args.out / "index.html"))


def _show(args: Arguments) -> None:
    from .report.writers.stored import stored_tables
    from .report.writers.terminal import print_tables

    print_tables(stored_tables(args.table))


def _add_data_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    made = verb("synthesize", _synthesize, "make the embedded synthetic steel set")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--seed", type=int, default=0)
    got = verb("acquire", _acquire, "fetch, verify and unpack a dataset")
    got.add_argument("--card", type=Path, required=True)
    got.add_argument("--out", type=Path, required=True)
    got.add_argument("--mirror", help="local archive or folder, or an address; tried first")
    text = "draw lists to publish for a set for classification, with a thin training list"
    drawn = verb("draw-lists", _draw_lists, text)
    drawn.add_argument("--card", type=Path, required=True)
    drawn.add_argument("--seed", type=int, default=0)
    drawn.add_argument("--out", type=Path, required=True, help="CSV of file_name,part")
    text = "training images of each class, in the card's order"
    drawn.add_argument("--thin", type=int, nargs="+", help=text)
    drawn.add_argument("--thin-out", type=Path, help="CSV of file_name,class")
    converted = verb("convert", _convert, "turn raw labels into COCO annotations")
    for option in ("--card", "--raw", "--out"):
        converted.add_argument(option, type=Path, required=True)
    for name, action, text in (
        ("find-overlaps", _find_overlaps, "find images that show the same surface"),
        ("group", _group, "join overlapping images into groups"),
        ("split", _split, "divide a dataset into train, val and test"),
        (
            "augment-offline",
            _augment_offline,
            "enlarge a set before its split (paper)",
        ),
        ("certify", _certify, "prove from pixels what the parts of a split share"),
        ("pack", _pack, "decode one part into one file"),
    ):
        parser = verb(name, action, text)
        parser.add_argument("--dataset", type=Path, required=True, help="results/data/<dataset>")
        if name in {"split", "certify", "pack"}:
            parser.add_argument("--protocol", required=True)
        if name in {"split", "certify", "augment-offline"}:
            parser.add_argument("--seed", type=int, default=0)
        if name == "split":
            text = "CSV of file_name,part to take instead of a draw"
            parser.add_argument("--published", type=Path, help=text)
            text = "CSV of file_name,class: training images that stay, for <protocol>-<list>"
            parser.add_argument("--train-list", type=Path, help=text)
        if name == "pack":
            parser.add_argument("--part", required=True, choices=("train", "val", "test"))
            parser.add_argument("--size", type=int, required=True, help="pixels")
            parser.add_argument("--out", type=Path, required=True)


def _add_cell_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    trained = verb("train", _train, "train a method of the engine and export it")
    for option in ("--method", "--train", "--val", "--out"):
        trained.add_argument(option, type=Path, required=True)
    trained.add_argument("--seed", type=int, required=True)
    for option in ("--epochs", "--batch", "--threads"):
        trained.add_argument(option, type=int)
    trained.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    text = "weights.safetensors to learn from as well, its train.json beside it"
    trained.add_argument("--teacher", type=Path, help=text)
    text = "weights.safetensors to start from, the record of what made it beside it"
    trained.add_argument("--start", type=Path, help=text)
    text = "plan.json of a pruned network, whose widths the network then has"
    trained.add_argument("--plan", type=Path, help=text)
    text = (
        "draw from a seed of its own, derived from --seed and this; for a run that serves another"
    )
    trained.add_argument("--as", dest="role", choices=ROLES, help=text)
    text = "a field of the recipe, such as optimizer.lr=0.002"
    trained.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help=text)
    predicted = verb("predict", _predict, "run a model file over a pack")
    for option in ("--model", "--pack", "--out"):
        predicted.add_argument(option, type=Path, required=True)
    control = verb("control", _control, "predict with a program that learns nothing")
    control.add_argument("--kind", required=True)
    control.add_argument("--dataset", type=Path, required=True)
    control.add_argument("--protocol", required=True)
    control.add_argument("--seed", type=int, default=0)
    control.add_argument("--out", type=Path, required=True)
    scored = verb("evaluate", _evaluate, "score predictions against the truth")
    for option in ("--annotations", "--predictions", "--images", "--groups", "--out"):
        scored.add_argument(option, type=Path, required=True)
    counted = verb("count", _count, "count parameters and multiply-adds of a model file")
    counted.add_argument("--model", type=Path, required=True)
    counted.add_argument("--out", type=Path, required=True)
    chosen = verb(
        "choose-threshold", _choose_threshold, "choose the deployment threshold on validation"
    )
    for option in ("--model", "--val", "--out"):
        chosen.add_argument(option, type=Path, required=True)
    timed = verb("time", _time, "time a model file on real images")
    for option in ("--model", "--pack", "--out"):
        timed.add_argument(option, type=Path, required=True)
    timed.add_argument("--operating-point", type=Path, help="record of choose-threshold")
    for option, kind in (
        ("--processes", int),
        ("--warmup", int),
        ("--calls", int),
        ("--seconds", float),
        ("--burst-calls", int),
        ("--threads", int),
    ):
        timed.add_argument(option, type=kind, required=True)


def _add_report_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    report = verb("report", _report, "render tables, figures and a page; print the table")
    report.add_argument("runs", type=Path, nargs="+", help="folders of cells")
    report.add_argument("--study", required=True)
    report.add_argument("--out", type=Path, required=True)
    report.add_argument("--models", type=Path, default=Path("models"), help="folder of the cards")
    shown = verb("show", _show, "print the comparison table")
    shown.add_argument("table", type=Path)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the ``defectbench`` command."""
    parser = argparse.ArgumentParser(prog="defectbench", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    def verb(name: str, action: Callable[[Arguments], None], text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(action=action)
        return made

    _add_data_verbs(verb)
    _add_cell_verbs(verb)
    add_slimming_verbs(verb)
    add_cfp_verbs(verb)
    _add_report_verbs(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 when it is done, 2 when a named error stopped it (one line on stderr).
    """
    args = build_parser().parse_args(argv)
    try:
        args.action(args)
    except DefectBenchError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
