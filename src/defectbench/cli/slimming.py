"""Verbs of network slimming: hold a cut against a network, and cut it."""

from __future__ import annotations

from .options import Change, Classes, File, Folder, Method, Settings, Train, Weights


def check_pruning(
    method: Method, classes: Classes, out: File, settings: Settings = None, change: Change = None
) -> None:
    """Hold a cut against a network, before it is trained."""
    from ..base.commandline import parse_settings
    from ..base.compressions import Slimming
    from ..base.steps import PruningCheck
    from ..compression.slimming.pruning_check import check_pruning
    from .checks import load_prunable

    check = parse_settings(PruningCheck, settings, change or [])
    loaded = load_prunable(method, Slimming, check.recipe)
    figures = check_pruning(loaded, classes, check.how_much_goes, check.kd, out)["figures"]
    text = "{size_mib:.2f} MiB, {channels} channels in {groups} groups, {units} residual units"
    print(text.format(**figures))  # noqa: T201


def prune(
    method: Method,
    weights: Weights,
    train: Train,
    out: Folder,
    settings: Settings = None,
    change: Change = None,
) -> None:
    """Prune a network after sparse training and export it."""
    from ..base.commandline import parse_settings
    from ..base.compressions import Slimming
    from ..base.steps import ChannelPruning
    from ..compression.slimming.prune_detector import prune_detector
    from ..deploy.export_run import export_run
    from .checks import load_prunable

    cut = parse_settings(ChannelPruning, settings, change or [])
    loaded = load_prunable(method, Slimming)
    prune_detector(
        weights,
        train,
        loaded,
        out,
        cut.how_much_goes,
        cut.seed,
        batches=cut.batches,
        batch=cut.batch,
        threads=cut.threads,
        device=cut.device,
        channels_alone=cut.channels_alone,
    )
    export_run(out, loaded, "prune")


VERBS = {"check-pruning": check_pruning, "prune": prune}
