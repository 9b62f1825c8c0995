"""The stages of collaborative filter pruning as steps with records: scores, the cut, fine-tuning from two teachers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..base.compressions import AFRESH, CFP
from ..base.devices import device_name, fix_arithmetic, resolve_device
from ..base.errors import CompressionError, ConfigError
from ..base.files import atomic_path, atomic_write_json, sha256_file
from ..base.methods import Method, build_network, override_recipe
from ..base.records import read_record, write_record
from ..base.settings import TrainingSettings
from ..base.tasks import CLASSIFICATION
from ..data.pack import load_pack
from ..nn.classifier import Classifier
from ..nn.classifiers import build_planned
from ..nn.size import stored_mib
from ..training.loop import Validator, train
from ..training.objective import Objective, OutputLoss
from ..training.preparation import refuse_leak
from ..training.randomness import derived_seed
from ..training.sampling import balanced_subset
from ..training.sources import Sources
from ..training.start import StartedFrom, read_start, trained_network
from .cfp import Scores
from .fusion import Teachers, fused_loss, share_of_r
from .rates import Rates, parameters_at
from .rates_run import rates_of
from .scoring import score_channels
from .selection import (
    Kept,
    select_at_random,
    select_by_norm,
    select_by_rank,
    select_cfp,
    widths_of,
)
from .surgery import prune

BATCH = 32  # images that are scored at once


def read_classifier(start: StartedFrom, method: Method, nc: int) -> Classifier:
    """A trained classifier in its pruning form and in eval mode.

    Raises:
        ConfigError: The weights are of another method, or do not fit it.
    """
    return trained_network(start, method, nc).pruning_form().eval()


def score_run(
    base: str | Path,
    train_pack: str | Path,
    method: Method,
    out: str | Path,
    images: int = 640,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Score every set of channels of a trained classifier on training images, balanced over the classes.

    Args:
        base: ``weights.safetensors`` of the classifier, ``train.json`` beside it.
        train_pack: Pack of the training part.
        method: What the weights are of.
        out: Record to write, ``scores.json``; ranks and distances by set lie beside it, ``scores.safetensors``.
        images: Images to look at; all where there are fewer.
        seed: Of their choice.
        threads: Processor threads.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        ConfigError: The weights lack their record or are of another method.
        LeakageError: The pack is of the protocol ``clean`` and its certificate does not show zero shared pixels.
    """
    began = time.perf_counter()
    torch.set_num_threads(threads or torch.get_num_threads())
    where = resolve_device(device)
    fix_arithmetic(where)
    pack, start = load_pack(train_pack, task=CLASSIFICATION.name), read_start(base)
    refuse_leak(pack)
    network = read_classifier(start, method, len(pack.classes)).to(where)
    rows = balanced_subset(pack.labels[:, 0], images, derived_seed(seed, 0, "scores"))
    batches = (pack.images[part].float() / 255 for part in rows.split(BATCH))
    found = score_channels(network, batches)
    arrays = Path(out).with_suffix(".safetensors")
    tensors = {
        f"{name}/{kind}": torch.from_numpy(np.ascontiguousarray(getattr(scores, kind)))
        for name, scores in found.items()
        for kind in ("ranks", "distances")
    }
    with atomic_path(arrays) as part:
        save_file(tensors, part)
    counts = torch.bincount(pack.labels[rows, 0], minlength=len(pack.classes)).tolist()
    seconds = time.perf_counter() - began
    figures = {"images": len(rows), "size_px": pack.size, "sets": len(found), "score_s": seconds}
    extra = {
        "method": method.card.name,
        "seed": seed,
        "device": device_name(where),
        "images_per_class": dict(zip(pack.classes, counts, strict=True)),
        "mean_rank": {name: float(scores.ranks.mean()) for name, scores in found.items()},
    }
    inputs = {"pack": train_pack, "weights": start.weights, "arrays": arrays}
    return write_record(out, "scores", figures, inputs, seconds, extra)


def read_scores(record: str | Path, weights: str | Path) -> tuple[dict[str, Scores], float]:
    """Scores by set and the seconds that they took.

    Raises:
        CompressionError: They are of other weights, or the arrays are not those of the record.
    """
    content = read_record(record, "scores")
    arrays = Path(record).with_suffix(".safetensors")
    for name, path in (("weights", weights), ("arrays", arrays)):
        said = content["inputs"][name]["sha256"]
        if not Path(path).is_file() or sha256_file(path) != said:
            fix = f"{path} is another file; score the channels again"
            raise CompressionError(record, f"inputs.{name}.sha256", said, fix)
    tensors, images = load_file(arrays), content["figures"]["images"]
    names = dict.fromkeys(name.rpartition("/")[0] for name in tensors)
    scores = {
        name: Scores(tensors[f"{name}/ranks"].numpy(), tensors[f"{name}/distances"].numpy(), images)
        for name in names
    }
    return scores, content["figures"]["score_s"]


def choose_channels(
    network: Classifier, scores: Mapping[str, Scores], settings: CFP, rates: Rates, seed: int
) -> Kept:
    """Channels that stay, by the choice of a study; controls have the widths of collaborative filter pruning."""
    own = (settings.scale, settings.most_clusters, settings.min_per_cluster)
    kept = select_cfp(network, scores, rates, *own)
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
    settings: CFP,
    seed: int,
) -> dict[str, Any]:
    """Cut a trained classifier; writes ``plan.json``, ``weights.safetensors`` and ``prune.json``.

    Where a study chooses ``fresh`` or ``thin``, the network has the widths and weights as they start.

    Args:
        base: ``weights.safetensors`` of the classifier, ``train.json`` beside it.
        scores: Record of ``score_run`` on these weights.
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
    found, score_s = read_scores(scores, start.weights)
    rates = rates_of(settings, method, network)
    kept = choose_channels(network, found, settings, rates, seed)
    scratch = settings.choose == "thin"
    if fresh := settings.choose in AFRESH:
        made = _fresh(start, method, network, widths_of(kept), seed)
    else:
        made = prune(network, kept, settings.inherit, seed)
    plan = {"network": made.name, "widths": made.widths}
    chosen = {} if fresh else {"base_widths": network.widths, "kept": kept}
    weights = _write(folder, made, {**plan, **chosen})
    seconds = round(time.perf_counter() - began, 3)
    # what is behind this cell before its own training: nothing where no teacher waits for it
    spent = start.train_s + score_s + seconds
    behind = (0.0, 0, ()) if scratch else (round(spent, 3), start.epochs, start.lineage)
    costs = {"score_s": score_s, "prune_s": seconds, "train_s": behind[0], "epochs": behind[1]}
    figures = {**_sizes(network, made, widths_of(kept)), "size_px": pack.size, **costs}
    extra = {
        "method": method.card.name,
        "seed": seed,
        "settings": settings.model_dump(),
        "rates": rates if isinstance(rates, str) else dict(cast("Mapping[str, float]", rates)),
        "recipe": {"options": {"plan": plan}},
        "widths": {name: [width, len(kept[name])] for name, width in network.widths.items()},
        "weights_sha256": sha256_file(weights),
        "lineage": behind[2],
    }
    inputs = {"pack": train_pack, "start": start.weights, "start_record": start.record}
    inputs |= {"scores": scores, "plan": folder / "plan.json"}
    return write_record(folder / "prune.json", "prune", figures, inputs, seconds, extra)


def _write(folder: Path, made: Classifier, plan: Mapping[str, Any]) -> Path:
    """Write ``plan.json`` and ``weights.safetensors``; returns the weights' place."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_json(folder / "plan.json", dict(plan))
    weights = folder / "weights.safetensors"
    with atomic_path(weights) as part:
        save_file({name: value.contiguous() for name, value in made.state_dict().items()}, part)
    return weights


def _fresh(
    start: StartedFrom, method: Method, network: Classifier, widths: Mapping[str, int], seed: int
) -> Classifier:
    """A network of other widths in training form, with weights as they start."""
    whole = build_network(method, network.nc, start.content["recipe"]["options"])
    torch.manual_seed(derived_seed(seed, 0, "thin"))
    return build_planned(whole.name, network.nc, plan={"network": whole.name, "widths": widths})


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


def fine_tune(
    method: Method,
    settings: TrainingSettings,
    compression: CFP,
    pruned: str | Path,
    pack: str | Path,
    out_dir: str | Path,
    r: str | Path | None = None,
    c: str | Path | None = None,
    validator: Validator | None = None,
    checkpoint_s: float = 30.0,
) -> None:
    """Train a cut network with what its two teachers know, or a thin one from scratch; as ``training.loop.train``.

    Args:
        method: The base, with the recipe of this training.
        settings: Seed of the cell, budget and device; this training draws from a seed of its own.
        compression: Which teachers; ``thin`` has none and learns labels, for as many epochs as the budget says.
        pruned: ``weights.safetensors`` of ``prune_classifier``.
        pack: Pack of the training part.
        out_dir: The cell's folder.
        r: Weights of the instance-balanced teacher, which was cut.
        c: Weights of the class-balanced teacher.
        validator: Scores the network on the validation part.
        checkpoint_s: Least seconds between two checkpoints.

    Raises:
        ConfigError: The plan is of other weights, a teacher that the settings ask for is missing, or R is not what
            was cut.
        CompressionError: The plan is missing, or is of no such network.
    """
    thin = compression.choose == "thin"
    # the plan says all of the widths, so that no option of the base's has a say in them
    recipe = override_recipe(method.recipe, settings.recipe, "settings")
    method = replace(method, recipe=recipe.model_copy(update={"options": {}}))
    role = "thin" if thin else "fine-tuning"
    settings = settings.model_copy(update={"role": role, "recipe": {}})
    plan = Path(pruned).with_name("plan.json")
    sources = Sources(Path(pack), start=None if thin else Path(pruned), plan=plan)
    if thin or compression.teachers == "none":
        train(method, settings, sources, out_dir, validator, None, checkpoint_s)
        return
    weights = {"r": r, "c": c}
    needed: dict[str, Path] = {}
    for name in compression.taught_by:
        if (path := weights[name]) is None:
            raise ConfigError("fine-tune", name, None, f"teachers={compression.teachers} needs it")
        needed[name] = Path(path)
    _check_cut_from(pruned, needed.get("r"))
    classes = load_pack(pack, False, CLASSIFICATION.name).classes
    networks = [read_classifier(read_start(path), method, len(classes)) for path in needed.values()]
    epochs = settings.epochs or recipe.epochs
    hashes = {name: sha256_file(path) for name, path in needed.items()}
    objective = Objective(
        {"teachers": compression.teachers, **hashes},
        fused_objective(Teachers(networks[0], networks[-1]), epochs, compression.teachers),
    )
    sources = replace(sources, teacher=needed.get("c"))
    train(method, settings, sources, out_dir, validator, objective, checkpoint_s)


def _check_cut_from(pruned: str | Path, r: str | Path | None) -> None:
    """Teacher R is the network that was cut, whose cost the cut one holds."""
    if r is not None and sha256_file(r) not in read_start(pruned).lineage:
        raise ConfigError(r, "teacher R", "other weights", f"give those that {pruned} was cut from")


def fused_objective(teachers: Teachers, epochs: int, schedule: str) -> OutputLoss:
    """The loss of logits that two teachers make, whose shares slide over the epochs by a schedule."""

    def loss(logits: Tensor, images: Tensor, epoch: int) -> Tensor:
        for network in (teachers.r, teachers.c):
            network.to(images.device)
        return fused_loss(logits, teachers(images), share_of_r(epoch, epochs, schedule))

    return loss
