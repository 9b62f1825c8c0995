"""What a run works with before its first step: recipe, network, optimiser, and a checkpoint if there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..base.code import code_sha256, conversion_sha256
from ..base.devices import resolve_device, settle_precision
from ..base.errors import ConfigError, LeakageError
from ..base.methods import Method, Recipe, build_network, override_recipe, refuse_no_training
from ..base.settings import TrainingSettings
from ..base.studies import base_protocol
from ..base.tasks import TASKS
from ..data.pack import Pack
from ..nn.batch_norm import make_batch_norms_exact, norms_of_one_value
from ..nn.plan import read_plan
from ..nn.trainable import Trainable
from ..weights.starting import Taken, take_published, unfold
from .batches import PackBatches
from .checkpoint import Progress, load_checkpoint, load_weights, set_aside
from .ema import Average
from .graphs import CudaRecorder, StepGraphs
from .objective import Objective
from .optimizer import build_optimizer, warmup_of
from .progress import report_lone_norms, report_set_aside, report_untaught
from .randomness import derived_seed, generator
from .readings import Readings
from .sources import Sources
from .sparsity import Sparse
from .start import StartedFrom, is_published, read_start
from .teacher import TaughtBy, read_teacher

LEAST_SIDE = 32  # of what a study may ask for, pixels
START_IMAGES, START_BATCH = 256, 16  # training images that folded norms take their statistics from


@dataclass
class Run:
    """What a run works with."""

    recipe: Recipe
    batches: PackBatches
    model: Trainable
    average: Average[Trainable]
    optimizer: torch.optim.Optimizer
    progress: Progress
    folder: Path
    seed: int
    settings: dict[str, Any]
    score: str
    readings: Readings
    saved_at: float = 0.0
    teacher: TaughtBy | None = None
    sparse: Sparse | None = None
    start: StartedFrom | None = None
    objective: Objective | None = None
    lone_norms: int = 0
    graphs: StepGraphs | None = None
    tiles: dict[str, Any] | None = None
    facts: dict[str, float] = field(default_factory=dict)
    taken: Taken | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.epochs * self.batches.steps_per_epoch

    @property
    def warmup_steps(self) -> int:
        """Steps of the warm-up; a short run makes fewer of it than its recipe says."""
        return warmup_of(self.recipe.schedule, self.batches.steps_per_epoch, self.recipe.epochs)

    @property
    def images_per_s(self) -> float:
        """Training images a second so far."""
        passes = self.progress.step / self.batches.steps_per_epoch
        return passes * self.batches.count / max(self.progress.seconds, 1e-9)


def refuse_leak(pack: Pack[torch.Tensor]) -> None:
    """Stop before a clean part whose certificate shows shared pixels, or none, is trained on.

    Raises:
        LeakageError: It is such a part.
    """
    shared = pack.metadata.get("shared_pixels")
    if base_protocol(pack.metadata.get("protocol", "")) == "clean" and shared != "0":
        raise LeakageError(
            pack.path, "shared_pixels", shared, "split by groups, certify and pack again"
        )


def refuse_side(model: Trainable, pack: Pack[torch.Tensor], multiple: int) -> None:
    """Stop before images of a side that no study would ask for and that the network cannot take.

    Args:
        model: The network.
        pack: The training part.
        multiple: Sides of the task's inputs are multiples of this, pixels.

    Raises:
        ConfigError: It cannot.
    """
    if pack.size % multiple == 0 and pack.size >= LEAST_SIDE:
        return
    try:
        norms_of_one_value(model, pack.size)
    except RuntimeError as error:
        fix = f"the network cannot take it ({error}): pack the parts at a multiple of {multiple}, at least {LEAST_SIDE}"
        raise ConfigError(pack.path, "size in pixels", pack.size, fix) from error


def settled_recipe(recipe: Recipe, settings: TrainingSettings, sources: Sources) -> Recipe:
    """The recipe of a run: the method's, with the settings' changes, its budget, plan and precision.

    Raises:
        ConfigError: The recipe has no such field, or there is no such device.
        CompressionError: The plan is missing or is none.
    """
    changed = override_recipe(recipe, settings.recipe, "settings")
    budget = {"epochs": settings.epochs, "batch": settings.batch}
    update: dict[str, Any] = {name: value for name, value in budget.items() if value is not None}
    if sources.plan is not None:
        update["options"] = {**changed.options, "plan": read_plan(sources.plan)}
    changed = changed.model_copy(update=update)
    return settle_precision(changed, resolve_device(settings.device))


def take_start(
    model: Trainable, start: StartedFrom, method: Method, classes: Sequence[str]
) -> Taken:
    """Put published weights into a network, in place; norms of folded ones get their statistics later.

    Raises:
        ConfigError: They are of another method, or damaged.
        WeightsError: They do not fit.
    """
    named = start.content["method"]
    if named != method.card.name:
        fix = f"its weights are of {named}; give that method, or fetch those of {method.card.name}"
        raise ConfigError(start.record, "method", method.card.name, fix)
    try:
        state = load_file(start.weights)
    except SafetensorError as error:
        fix = "fetch it again: `defectbench fetch-weights`"
        raise ConfigError(start.weights, "start", str(error), fix) from error
    return take_published(model, state, start.content, start.weights, classes)


def shown_images(batches: PackBatches, seed: int) -> Iterator[torch.Tensor]:
    """Some training images as batches, float32 [B, 3, S, S] in 0..1, that folded norms take their statistics from."""
    order = torch.randperm(batches.count, generator=generator(seed, 0, "start"))[:START_IMAGES]
    for rows in order.split(START_BATCH):
        yield batches.rows(rows).images.float().mul_(1 / 255)


def drawn_seed(settings: TrainingSettings) -> int:
    """Seed that a run draws from: its cell's, or one derived from it for a run that serves another."""
    return derived_seed(settings.seed, 0, settings.role) if settings.role else settings.seed


def prepare(
    pack: Pack[torch.Tensor],
    method: Method,
    settings: TrainingSettings,
    sources: Sources,
    folder: Path,
    objective: Objective | None = None,
) -> Run:
    """Model, average, optimiser and progress of a run, taken up from its checkpoint if there is one.

    Args:
        pack: The training part.
        method: What to train.
        settings: Seed, budget, device, and changes to the method's recipe.
        sources: What other runs left for this one.
        folder: The cell's folder.
        objective: What the network learns in place of labels.

    Raises:
        ConfigError: See ``train``.
        CompressionError: The plan is missing or is none, or does not fit.
        WeightsError: Published weights do not fit the network.
        CheckpointError: The checkpoint is damaged.
    """
    recipe = settled_recipe(method.recipe, settings, sources)
    device, seed = resolve_device(settings.device), drawn_seed(settings)
    if method.module is None:
        fix = "it is a program of its own: run the rule in its method.smk"
        raise ConfigError(method.folder, "family", method.card.family, fix)
    refuse_no_training(recipe, method.card, "settings")
    assert recipe.optimizer is not None
    teacher = read_teacher(sources.teacher, seed) if sources.teacher is not None else None
    batches = PackBatches(pack, recipe.batch, seed, device, recipe.order == "class_balanced")
    torch.manual_seed(derived_seed(seed, 0, "weights"))
    model: Trainable = build_network(method, len(pack.classes), recipe.options)
    model.epochs = recipe.epochs
    model.closing_epoch = recipe.epochs - recipe.augmentation.close_epochs
    boxes = pack.boxes[pack.labels >= 0]
    if sources.start is None or is_published(sources.start):
        model.fit_to(boxes, derived_seed(seed, 0, "fit"))
    else:
        load_weights(model, sources.start)
    start = read_start(sources.start) if sources.start is not None else None
    is_taken = start is not None and start.is_published
    taken = take_start(model, start, method, pack.classes) if start and is_taken else None
    facts = model.facts(boxes)
    make_batch_norms_exact(model)
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    refuse_side(model, pack, TASKS[method.card.task].side_multiple)
    if taken is not None and taken.shifts:
        unfold(model, taken.shifts, shown_images(batches, seed))
    lone_norms = norms_of_one_value(model, pack.size) if batches.fewest == 1 else 0
    if lone_norms:
        report_lone_norms(folder, lone_norms, pack.size)
    average = Average(model, recipe.ema, recipe.epochs * batches.steps_per_epoch)
    optimizer = build_optimizer(model, recipe.optimizer)
    if teacher is not None and objective is None:
        model.set_teacher(load_file(teacher.weights))
    elif teacher is None and model.kd != "none":
        report_untaught(folder, model.kd)
    identity = {
        "method": method.card.name,
        "pack": pack.metadata["sha256"],
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "code_sha256": code_sha256(method.folder),
        **({"objective": dict(objective.words)} if objective is not None else {}),
        **({"start_sha256": start.sha256} if start is not None else {}),
        **({"start_code_sha256": conversion_sha256()} if is_taken else {}),
        **({"teacher_sha256": teacher.sha256} if teacher is not None else {}),
    }
    if set_aside(folder / "checkpoint", identity):
        report_set_aside(folder)
    fresh = Progress(0, 0.0, [], {})
    progress = load_checkpoint(folder / "checkpoint", model, average, optimizer, identity) or fresh
    score = TASKS[method.card.task].validation_key
    readings = Readings(folder, device)
    parts = (recipe, batches, model, average, optimizer, progress)
    run = Run(*parts, folder, seed, identity, score, readings)
    run.teacher, run.facts, run.start, run.objective = teacher, facts, start, objective
    run.lone_norms, run.taken = lone_norms, taken
    run.tiles = pack.whole.tiling if pack.whole is not None else None
    if device == "cuda" and objective is None:
        run.graphs = StepGraphs(model, folder, CudaRecorder())
    if recipe.sparsity is not None:
        run.sparse = Sparse(model, recipe.sparsity, recipe.optimizer, run.steps)
    return run
