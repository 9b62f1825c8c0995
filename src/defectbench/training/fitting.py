"""Methods that look at the training part once, without gradients: fitted, validated and stored as a training is."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..base.devices import device_name, resolve_device, take_device
from ..base.errors import ConfigError, LeakageError
from ..base.files import atomic_path, atomic_write_text, exclusive_lock, sha256_file
from ..base.methods import Method, Recipe, build_network, refuse_no_training
from ..base.records import write_record
from ..base.settings import TrainingSettings
from ..base.tasks import TASKS
from ..data.pack import Pack, load_pack
from ..nn.size import stored_mib
from ..nn.trainable import Fitted
from ..weights.starting import Taken
from .loop import Validator, memory_named
from .preparation import drawn_seed, refuse_leak, refuse_side, settled_recipe, take_start
from .progress import report_fit
from .randomness import derived_seed
from .sources import Sources
from .start import (
    StartedFrom,
    files_before,
    is_published,
    read_start,
    started_words,
)

TRAIN = "train"


def fit(
    method: Method,
    settings: TrainingSettings,
    sources: Sources,
    out_dir: str | Path,
    validator: Validator | None = None,
) -> None:
    """Fit a method to the training part; writes ``weights.safetensors``, ``train.json`` and ``history.csv``.

    Args:
        method: What to fit; its card says ``fitted``.
        settings: Seed, budget, device, and changes to the method's recipe.
        sources: The training part, and published weights to start from.
        out_dir: The cell's folder.
        validator: Scores the network on the validation part.

    Raises:
        ConfigError: There is no GPU and one is asked for, the recipe has no such field, a teacher, a plan or weights of
            another run are given, or a budget of epochs.
        LeakageError: The pack is no training part, or shows a defect where the task learns without, or is of the
            protocol ``clean`` and its certificate does not show zero shared pixels.
        WeightsError: Published weights do not fit the network.
        DeviceMemoryError: The GPU, or the machine, has no room.
        BusyError: Another run works in the same folder.
    """
    take_device(settings.device, settings.threads)
    folder = Path(out_dir)
    _refuse_other_sources(method, settings, sources)
    recipe = settled_recipe(method.recipe, settings, sources)
    refuse_no_training(recipe, method.card, "settings")
    with memory_named(folder), exclusive_lock(folder / ".train.lock"):
        pack = load_pack(sources.pack, task=method.card.task)
        refuse_leak(pack)
        refuse_other_part(pack, method.card.task)
        started = time.monotonic()
        network, start, taken = _started(method, recipe, pack, settings, sources)
        device = resolve_device(settings.device)
        network.to(device).eval()
        refuse_side(network, pack, TASKS[method.card.task].side_multiple)
        seed = derived_seed(drawn_seed(settings), 0, "fit")
        facts = network.fit(partial(_batches, pack, recipe.batch, device), seed, start is None)
        seconds = time.monotonic() - started
        score = None if validator is None else validator(network.eval())
        weights = folder / "weights.safetensors"
        with atomic_path(weights) as part:
            save_file(
                {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, part
            )
        key = TASKS[method.card.task].validation_key
        figures = {
            "epochs": 1,
            "steps": -(-len(pack) // recipe.batch),
            "batch": recipe.batch,
            "size_px": pack.size,
            "train_images": len(pack),
            "train_s": round(seconds, 2),
            "images_per_s": round(len(pack) / max(seconds, 1e-9), 2),
            "best_epoch": 1,
            key: score,
            f"{key}_last": score,
            "threads": torch.get_num_threads(),
            "stored_mib": stored_mib(network),
        }
        _write_history(folder, {"epoch": 1, **facts, **({key: score} if score is not None else {})})
        inputs = {"pack": sources.pack, **files_before(start, None)}
        extra: dict[str, Any] = {
            "method": method.card.name,
            "seed": drawn_seed(settings),
            "device": device_name(device),
            "recipe": recipe.model_dump(mode="json"),
            "fit": facts,
            "fitted_to": {"part": TRAIN, "image_ids": pack.image_ids.tolist()},
            "weights_sha256": sha256_file(weights),
            **({"start": started_words(start, taken)} if start and taken else {}),
        }
        write_record(folder / "train.json", "train", figures, inputs, seconds, extra)
        report_fit(folder, len(pack), seconds, method.card.task, score)


def refuse_other_part(pack: Pack[Tensor], task: str) -> None:
    """Stop before anything but a training part is learnt from, or a defect where a task learns without.

    Args:
        pack: The pack.
        task: What the method solves.

    Raises:
        LeakageError: It is another part, or an image of it shows a defect.
    """
    part = pack.metadata.get("part")
    if part != TRAIN:
        fix = "what it is fitted to must not be validated or scored: give the pack of the training part"
        raise LeakageError(pack.path, "part", part, fix)
    shows = (pack.labels >= 0).any(1)
    if TASKS[task].learns_defect_free and bool(shows.any()):
        seen = f"a defect in image {int(pack.image_ids[shows][0])}"
        fix = "it learns from images without a defect alone: split and pack again"
        raise LeakageError(pack.path, "images", seen, fix)


def _refuse_other_sources(method: Method, settings: TrainingSettings, sources: Sources) -> None:
    given = {"teacher": sources.teacher, "plan": sources.plan}
    if sources.start is not None and not is_published(sources.start):
        given["start"] = sources.start
    for name, path in given.items():
        if path is not None:
            fix = f"{method.card.name} is fitted in one pass, at most from published weights: leave it out"
            raise ConfigError(f"--{name}", name, str(path), fix)
    if settings.epochs not in (None, 1):
        fix = f"{method.card.name} looks at the images once: leave it out"
        raise ConfigError("settings", "epochs", settings.epochs, fix)


def _started(
    method: Method, recipe: Recipe, pack: Pack[Tensor], settings: TrainingSettings, sources: Sources
) -> tuple[Fitted, StartedFrom | None, Taken | None]:
    """The network as it is drawn, or with published weights."""
    torch.manual_seed(derived_seed(drawn_seed(settings), 0, "weights"))
    network: Fitted = build_network(method, len(pack.classes), recipe.options)
    if sources.start is None:
        return network, None, None
    start = read_start(sources.start)
    return network, start, take_start(network, start, method, pack.classes)


def _batches(pack: Pack[Tensor], size: int, device: str) -> Iterator[Tensor]:
    for images in pack.images.split(size):
        yield images.to(device).float() / 255


def _write_history(folder: Path, row: dict[str, float]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow({name: round(value, 6) for name, value in row.items()})
    atomic_write_text(folder / "history.csv", text.getvalue())
