"""The rule behind ``prune``: weights after sparse training to a plan, smaller weights and a record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...base.devices import device_name, take_device
from ...base.files import sha256_file
from ...base.methods import Method
from ...base.records import write_record
from ...base.slimming import Pruning
from ...data.pack import Pack, load_pack
from ...nn.plan import Plan, write_plan
from ...training.batches import PackBatches
from ...training.preparation import refuse_leak
from ...training.start import files_before, origin_words, read_start, trained_network
from ..cut_files import write_weights
from .cut import cut_detector
from .masks import EDGES, scale_histogram

BATCHES = 200


def prune_detector(
    weights: str | Path,
    train_pack: str | Path,
    method: Method,
    out_dir: str | Path,
    settings: Pruning,
    seed: int,
    batches: int = BATCHES,
    batch: int = 16,
    threads: int | None = None,
    device: str = "cpu",
    channels_alone: bool = False,
) -> dict[str, Any]:
    """Prune a trained network; writes ``plan.json``, ``weights.safetensors`` and ``prune.json``.

    Args:
        weights: ``weights.safetensors`` of a sparse training, its ``train.json`` beside it.
        train_pack: Pack of the training part, whose images show the statistics of what is left, as they are.
        method: The method that the weights are of.
        out_dir: Folder to write to.
        settings: How much goes and by which rule.
        seed: Seed of the order of the images.
        batches: Batches that the statistics are measured on.
        batch: Images in each.
        threads: Processor threads.
        device: ``cpu``, ``cuda`` or ``auto``.
        channels_alone: Whether the units that go stay, so that what each of both cuts costs can be told.

    Returns:
        The record: figures of ``prune``, histogram of scales, widths before and after.

    Raises:
        ConfigError: The weights lack their record, or are no weights of the method.
        LeakageError: The pack is of the protocol ``clean`` and its certificate does not show zero shared pixels.
        CompressionError: The settings do not fit the network.
    """
    began, where = time.perf_counter(), take_device(device, threads)
    pack, start, folder = load_pack(train_pack), read_start(weights), Path(out_dir)
    refuse_leak(pack)
    model = trained_network(start, method, len(pack.classes))
    model.to(where, memory_format=torch.channels_last)
    histogram, before = {"from": EDGES, "count": scale_histogram(model)}, Plan.of(model)
    figures = cut_detector(
        model, settings, _batches(pack, batch, batches, seed, where), channels_alone
    )
    weights_made = write_weights(model, folder)
    write_plan(model, folder / "plan.json")
    extra = {
        **_asked(method, seed, where, settings),
        "channels_alone": channels_alone,
        **_changes(before, Plan.of(model), start.content["recipe"]["options"]),
        "scale_histogram": histogram,
        "unit_scores": figures.pop("unit_scores"),
        "weights_sha256": sha256_file(weights_made),
        "lineage": start.lineage,
        **origin_words(start),
    }
    inputs = {"pack": train_pack, "plan": folder / "plan.json", **files_before(start, None)}
    seconds = time.perf_counter() - began
    figures |= {"size_px": pack.size, "epochs": start.epochs}
    figures |= {"prune_s": round(seconds, 1), "train_s": round(start.train_s + seconds, 1)}
    return write_record(folder / "prune.json", "prune", figures, inputs, seconds, extra)


def _asked(method: Method, seed: int, device: str, settings: Pruning) -> dict[str, Any]:
    """What a record says of what was to be cut, by how much, and where."""
    asked = {"method": method.card.name, "seed": seed, "device": device_name(device)}
    return {**asked, "settings": settings.model_dump()}


def _changes(before: Plan, after: Plan, options: dict[str, Any]) -> dict[str, Any]:
    """What a record says of a cut: the options that build the network, and its widths before and after."""
    recipe = {"options": {**options, "plan": after.to_dict()}}
    return {"recipe": recipe, "widths": widths_beside(before, after)}


def widths_beside(before: Plan, after: Plan) -> dict[str, list[int]]:
    """Channels out before and after, by convolution; 0 after where its unit was dropped.

    Example:
        >>> widths_beside(Plan(widths={"a": 8, "b": 4}), Plan(widths={"a": 3}))
        {'a': [8, 3], 'b': [4, 0]}
    """
    return {name: [width, after.widths.get(name, 0)] for name, width in before.widths.items()}


def _batches(
    pack: Pack[Tensor], batch: int, count: int, seed: int, device: str
) -> Iterator[Tensor]:
    """Training images as they are, in the order that a training would show them."""
    source = PackBatches(pack, batch, seed, device)
    for number in range(count):
        epoch, position = divmod(number, source.steps_per_epoch)
        images = source.take(source.order(epoch), position).images.float() / 255
        yield images.contiguous(memory_format=torch.channels_last)
