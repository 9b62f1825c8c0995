"""The cut of a trained classifier as a step with a record: channels that stay by scores, or a control of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from ...base.files import atomic_write_json, sha256_file
from ...base.filter_pruning import AFRESH, FilterCut
from ...base.methods import Method, build_network
from ...base.records import write_record
from ...base.tasks import CLASSIFICATION
from ...data.pack import load_pack
from ...nn.classifier import Classifier
from ...nn.size import stored_mib
from ...training.randomness import derived_seed
from ...training.start import StartedFrom, origin_words, read_start
from ..cut_files import write_weights
from .filters import LayerScores
from .rates_check import rates_of
from .score_classifier import read_classifier, read_scores
from .selection import (
    Kept,
    select_at_random,
    select_by_norm,
    select_by_rank,
    select_cfp,
    widths_of,
)
from .surgery import cut_classifier
from .widths import Rates, parameters_at


def choose_channels(
    network: Classifier,
    scores: Mapping[str, LayerScores],
    settings: FilterCut,
    rates: Rates,
    seed: int,
) -> Kept:
    """Channels that stay, by the choice of a study; controls have the widths of collaborative filter pruning."""
    clustering = (settings.scale, settings.most_clusters, settings.min_per_cluster)
    kept = select_cfp(network, scores, rates, *clustering)
    if settings.choose == "rank":
        return select_by_rank(network, scores, widths_of(kept))
    if settings.choose == "l1":
        return select_by_norm(network, widths_of(kept))
    if settings.choose == "random":
        return select_at_random(network, widths_of(kept), seed)
    return kept


def prune_classifier(
    base: str | Path,
    scores: str | Path,
    train_pack: str | Path,
    method: Method,
    out_dir: str | Path,
    settings: FilterCut,
    seed: int,
) -> dict[str, Any]:
    """Cut a trained classifier; writes ``plan.json``, ``weights.safetensors`` and ``prune.json``.

    Where a study chooses ``fresh`` or ``thin``, the network has the widths and weights as they start.

    Args:
        base: ``weights.safetensors`` of the classifier, ``train.json`` beside it.
        scores: Record of ``score_classifier`` on these weights.
        train_pack: Pack of the training part, for its classes.
        method: What the weights are of.
        out_dir: Folder to write to.
        settings: What stays.
        seed: Of random choices and of what starts afresh.

    Raises:
        ConfigError: The weights lack their record or are of another method.
        CompressionError: Scores or rates do not fit the network, or the ratio is not to be had.
    """
    began = time.perf_counter()
    pack, start = load_pack(train_pack, False, CLASSIFICATION.name), read_start(base)
    folder = Path(out_dir)
    network = read_classifier(start, method, len(pack.classes))
    scores_by_set, score_s = read_scores(scores, start.weights)
    rates = rates_of(settings, method, network)
    kept = choose_channels(network, scores_by_set, settings, rates, seed)
    scratch = settings.choose == "thin"
    if fresh := settings.choose in AFRESH:
        made = _fresh(start, method, network, widths_of(kept), seed)
    else:
        made = cut_classifier(network, kept, settings.inherit, seed)
    plan = {"network": made.name, "widths": made.widths}
    chosen = {} if fresh else {"base_widths": network.widths, "kept": kept}
    weights = write_weights(made, folder)
    atomic_write_json(folder / "plan.json", {**plan, **chosen})
    seconds = round(time.perf_counter() - began, 3)
    # what is behind this cell before its own training: nothing where no teacher waits for it
    spent = start.train_s + score_s + seconds
    behind = (0.0, 0, ()) if scratch else (round(spent, 3), start.epochs, start.lineage)
    costs = {"score_s": score_s, "prune_s": seconds, "train_s": behind[0], "epochs": behind[1]}
    figures = {**_sizes(network, made, widths_of(kept)), "size_px": pack.size, **costs}
    extra = {
        "method": method.card.name,
        "seed": seed,
        "settings": {"how": "cfp", **settings.model_dump(include={*FilterCut.model_fields})},
        "rates": rates if isinstance(rates, str) else dict(cast("Mapping[str, float]", rates)),
        "recipe": {"options": {"plan": plan}},
        "widths": {name: [width, len(kept[name])] for name, width in network.widths.items()},
        "weights_sha256": sha256_file(weights),
        "lineage": behind[2],
        **({} if scratch else origin_words(start)),
    }
    inputs = {"pack": train_pack, "start": start.weights, "start_record": start.record}
    inputs |= {"scores": scores, "plan": folder / "plan.json"}
    return write_record(folder / "prune.json", "prune", figures, inputs, seconds, extra)


def _fresh(
    start: StartedFrom, method: Method, network: Classifier, widths: Mapping[str, int], seed: int
) -> Classifier:
    """A network of other widths in training form, with weights as they start."""
    whole = build_network(method, network.nc, start.content["recipe"]["options"])
    torch.manual_seed(derived_seed(seed, 0, "thin"))
    return build_network(method, network.nc, {"plan": {"network": whole.name, "widths": widths}})


def _sizes(network: Classifier, made: Classifier, widths: Mapping[str, int]) -> dict[str, float]:
    """What is stored, parameters and channels before and after the cut; parameters in the form that is cut."""
    before, after = parameters_at(network), parameters_at(network, widths)
    return {
        "size_mib_before": stored_mib(network),
        "size_mib": stored_mib(made),
        "params_before": before,
        "params": after,
        "params_ratio": before / after,
        "channels_before": sum(network.widths.values()),
        "channels": sum(made.widths.values()),
    }
