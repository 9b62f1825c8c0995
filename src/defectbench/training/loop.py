"""One training run: from a pack to averaged weights, resumable to the same bits."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..base.devices import device_name, fix_arithmetic, resolve_device, settle_precision
from ..base.errors import ConfigError, LeakageError, TrainingDivergedError
from ..base.files import atomic_path, atomic_write_text, exclusive_lock, sha256_file
from ..base.methods import Method, Recipe, build_network
from ..base.records import write_record
from ..base.studies import base_protocol
from ..data.pack import Pack, load_pack
from ..nn.detector import Targets
from ..nn.size import stored_mib
from .allocator import keep_freed_memory
from .augment import augment
from .batches import PackBatches
from .checkpoint import Progress, load_checkpoint, load_weights, save_checkpoint, set_aside
from .ema import Average
from .optimizer import build_optimizer, learning_rate, warmup_of
from .progress import report_epoch, report_set_aside, report_untaught
from .randomness import derived_seed
from .sparsity import Sparse
from .start import StartedFrom, costs_before, files_before, read_start
from .teacher import TaughtBy, read_teacher

Validator = Callable[[nn.Module], float]
SCORES = {"detection": "val_map50_95", "classification": "val_accuracy"}  # of a validator, by task


@dataclass
class Run:
    """What a run works with."""

    recipe: Recipe
    batches: PackBatches
    model: nn.Module
    average: Average
    optimizer: torch.optim.Optimizer
    progress: Progress
    folder: Path
    seed: int
    settings: dict[str, Any]
    saved_at: float = 0.0
    teacher: TaughtBy | None = None
    sparse: Sparse | None = None
    start: StartedFrom | None = None
    facts: dict[str, float] = field(default_factory=dict)
    score: str = SCORES["detection"]

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.recipe.epochs * self.batches.steps_per_epoch

    @property
    def images_per_s(self) -> float:
        """Training images a second so far."""
        passes = self.progress.step / self.batches.steps_per_epoch
        return passes * self.batches.count / max(self.progress.seconds, 1e-9)


def train(
    train_pack: str | Path,
    method: Method,
    out_dir: str | Path,
    seed: int,
    epochs: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    validator: Validator | None = None,
    checkpoint_s: float = 30.0,
    device: str = "cpu",
    teacher: str | Path | None = None,
    start: str | Path | None = None,
    objective: Mapping[str, str] | None = None,
) -> None:
    """Train a method of the engine; writes ``weights.safetensors``, ``train.json`` and ``history.csv``.

    A run that was killed goes on from ``checkpoint/`` and ends in the same bits on a CPU. A checkpoint of
    another recipe, seed, part or network is set aside as ``checkpoint.replaced/``.

    Args:
        train_pack: Pack of the training part.
        method: What to train.
        out_dir: The cell's folder.
        seed: Seed of every draw.
        epochs: Passes over the part; the recipe's by default.
        batch: Images a step; the recipe's by default.
        threads: Processor threads.
        validator: Scores the averaged model on the validation part; the best validated weights are kept.
        checkpoint_s: Least seconds between two checkpoints.
        device: ``cpu``, ``cuda`` or ``auto``: a GPU where there is one.
        teacher: Weights in training form to learn from beside the truth; ``train.json`` of their run lies beside them.
        start: Weights in training form to start from, with what they took from their training part; the record
            of what made them lies beside them. What they cost counts into the run's ``train_s``.
        objective: In words, what the method's module has the network learn in place of labels.

    Raises:
        ConfigError: There is no GPU and one is asked for, the method cannot learn from the teacher, the teacher has
            the run's own seed, the start is of another network, or either lacks its record.
        LeakageError: The pack is of the protocol ``clean`` and its certificate does not show zero shared pixels.
        TrainingDivergedError: A loss is not finite.
        BusyError: Another run trains in the same folder.
        CheckpointError: The checkpoint is damaged.
    """
    keep_freed_memory()
    torch.set_num_threads(threads or torch.get_num_threads())
    where = resolve_device(device)
    fix_arithmetic(where)
    pack = load_pack(train_pack, task=method.card.task)
    refuse_leak(pack)
    budget = {k: v for k, v in (("epochs", epochs), ("batch", batch)) if v is not None}
    recipe = settle_precision(method.recipe.model_copy(update=budget), where)
    folder = Path(out_dir)
    with exclusive_lock(folder / ".train.lock"):
        run = prepare(pack, method, recipe, folder, seed, where, teacher, start, objective)
        run.saved_at = time.monotonic()
        while run.progress.step < run.steps:
            _epoch(run, validator, checkpoint_s)
        _finish(run, Path(train_pack), method)


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


def prepare(
    pack: Pack[torch.Tensor],
    method: Method,
    recipe: Recipe,
    folder: Path,
    seed: int,
    device: str,
    teacher: str | Path | None = None,
    start: str | Path | None = None,
    objective: Mapping[str, str] | None = None,
) -> Run:
    """Model, average, optimiser and progress of a run, taken up from its checkpoint if there is one."""
    if recipe.optimizer is None or method.module is None:
        fix = "it is a program of its own: run the rule in its method.smk"
        raise ConfigError(method.folder, "family", method.card.family, fix)
    taught_by = read_teacher(teacher, seed) if teacher is not None else None
    balanced = recipe.order == "class_balanced"
    batches = PackBatches(pack, recipe.batch, seed, device, balanced)
    torch.manual_seed(derived_seed(seed, 0, "weights"))
    model: Any = build_network(method, len(pack.classes), recipe.options)
    model.epochs = recipe.epochs
    model.closing_epoch = recipe.epochs - recipe.augmentation.close_epochs
    boxes = pack.boxes[pack.labels >= 0]
    if start is None:
        model.fit_to(boxes, derived_seed(seed, 0, "fit"))
    else:
        load_weights(model, Path(start))
    started = read_start(start) if start is not None else None
    facts = model.facts(boxes)
    model = model.to(device).to(memory_format=torch.channels_last).train()
    average = Average(model, recipe.ema, recipe.epochs * batches.steps_per_epoch)
    optimizer = build_optimizer(model, recipe.optimizer)
    settings = {
        "method": method.card.name,
        "pack": pack.metadata["sha256"],
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "network_sha256": sha256_file(method.folder / f"{method.folder.name}.py"),
    }
    if objective:
        settings["objective"] = dict(objective)
    if started is not None:
        settings["start_sha256"] = started.lineage[-1]
    if taught_by is not None:
        settings["teacher_sha256"] = taught_by.sha256
        model.set_teacher(load_file(taught_by.weights))
    elif model.kd != "none":
        report_untaught(folder, model.kd)
    if set_aside(folder / "checkpoint", settings):
        report_set_aside(folder)
    fresh = Progress(0, 0.0, [], {})
    progress = load_checkpoint(folder / "checkpoint", model, average, optimizer, settings) or fresh
    run = Run(recipe, batches, model, average, optimizer, progress, folder, seed, settings)
    run.teacher, run.facts, run.start = taught_by, facts, started
    run.score = SCORES[method.card.task]
    if recipe.sparsity is not None:
        run.sparse = Sparse(model, recipe.sparsity, recipe.optimizer, run.steps)
    return run


def _epoch(run: Run, validator: Validator | None, checkpoint_s: float) -> None:
    """Train to the end of the current epoch, with checkpoints in between."""
    per_epoch = run.batches.steps_per_epoch
    epoch, first = divmod(run.progress.step, per_epoch)
    order = run.batches.order(epoch)
    sums: dict[str, float] = run.progress.history.pop() if first else {}
    started = time.monotonic()
    for position in range(first, per_epoch):
        for name, value in train_step(run, order, position, epoch).items():
            sums[name] = sums.get(name, 0.0) + value
        run.progress.step += 1
        now = time.monotonic()
        if now - run.saved_at > checkpoint_s and position + 1 < per_epoch:
            _save(run, now - started, {**sums})
            started = run.saved_at
    run.progress.seconds += time.monotonic() - started
    _close_epoch(run, epoch, sums, validator)
    last = run.progress.step == run.steps
    if (
        last
        or time.monotonic() - run.saved_at > checkpoint_s
        or (epoch + 1) % run.recipe.validate_every == 0
    ):
        _save(run, 0.0, None)


def _save(run: Run, seconds: float, partial: dict[str, float] | None) -> None:
    """Write a checkpoint; sums of an unfinished epoch travel as the last row of the history."""
    run.progress.seconds += seconds
    rows = run.progress.history + ([partial] if partial is not None else [])
    progress = Progress(run.progress.step, run.progress.seconds, rows, run.progress.best)
    folder = run.folder / "checkpoint"
    save_checkpoint(folder, run.model, run.average, run.optimizer, progress, run.settings)
    run.saved_at = time.monotonic()


def train_step(run: Run, order: Tensor, position: int, epoch: int) -> dict[str, float]:
    """One step: augment, forward, backward, clip, update, average.

    Returns:
        The losses of the step.

    Raises:
        TrainingDivergedError: A loss or the gradient is not finite.
    """
    recipe, step = run.recipe, run.progress.step
    taken = run.batches.take(order, position)
    settings = recipe.augmentation
    if epoch >= run.model.closing_epoch:  # type: ignore[operator]
        settings = settings.model_copy(update={"mosaic": 0.0})
    images, boxes, labels = augment(taken, settings, run.seed, step, run.batches)
    images = images.contiguous(memory_format=torch.channels_last)
    assert recipe.optimizer is not None
    rate = learning_rate(
        recipe.schedule, recipe.optimizer.lr, step, run.batches.steps_per_epoch, recipe.epochs
    )
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    torch.manual_seed(
        derived_seed(run.seed, step, "forward")
    )  # of draws in a network, as dropout's
    bf16 = recipe.precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        losses = run.model.loss(images, Targets(boxes, labels), epoch)  # type: ignore[operator]
    values = {name: float(value.detach()) for name, value in losses.items()}
    _check_finite(run, values, taken.image_ids)
    run.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    limit = recipe.grad_clip or float("inf")
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), limit, foreach=True)
    _check_finite(run, {"gradient norm": float(norm)}, taken.image_ids)
    if run.sparse is not None:
        run.sparse.before_step()
    run.optimizer.step()
    if run.sparse is not None:
        run.sparse.after_step(rate)
    run.average.update(step)
    return values


def _check_finite(run: Run, values: dict[str, float], image_ids: Tensor) -> None:
    bad = {name: value for name, value in values.items() if not abs(value) < float("inf")}
    if bad:
        checkpoint = run.folder / "checkpoint"
        state = (
            f"last good checkpoint in {checkpoint}" if checkpoint.exists() else "no checkpoint yet"
        )
        fix = f"images {image_ids.tolist()}; {state}; lower the learning rate"
        raise TrainingDivergedError(
            run.folder, f"loss or gradient at step {run.progress.step}", bad, fix
        )


def _close_epoch(run: Run, epoch: int, sums: dict[str, float], validator: Validator | None) -> None:
    """Add the epoch's row to the history, validate if it is due, keep the best weights."""
    per_epoch = run.batches.steps_per_epoch
    row = {"epoch": epoch + 1, **{name: value / per_epoch for name, value in sums.items()}}
    row["lr"] = run.optimizer.param_groups[0]["lr"]
    row["images_per_s"] = run.images_per_s
    if run.sparse is not None:
        row["faded_scales_share"] = run.sparse.faded_share()
    due = (epoch + 1) % run.recipe.validate_every == 0 or epoch + 1 == run.recipe.epochs
    if validator is not None and due:
        score = row[run.score] = validator(run.average.model)
        # scales fade to the last step, so that a sparse run keeps what it ends with
        if run.sparse or score >= run.progress.best.get(run.score, -1.0):
            run.progress.best = {"epoch": epoch + 1, run.score: score}
            save_weights(run, run.folder / "checkpoint" / "best.safetensors")
    run.progress.history.append(row)
    report_epoch(row, run.recipe.epochs, run.progress.seconds, run.folder)


def save_weights(run: Run, path: Path) -> None:
    """Write the averaged weights in training form."""
    state = {
        k: v.detach().cpu().contiguous().clone() for k, v in run.average.model.state_dict().items()
    }
    with atomic_path(path) as part:
        save_file(state, part)


def _finish(run: Run, train_pack: Path, method: Method) -> None:
    best = run.folder / "checkpoint" / "best.safetensors"
    weights = run.folder / "weights.safetensors"
    if run.progress.best and best.is_file():
        with atomic_path(weights) as part:
            part.write_bytes(best.read_bytes())
    else:
        save_weights(run, weights)
    history = run.progress.history
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: round(v, 6) for k, v in row.items()} for row in history)
    atomic_write_text(run.folder / "history.csv", text.getvalue())
    figures = {
        "epochs": run.recipe.epochs,
        "steps": run.progress.step,
        "batch": run.recipe.batch,
        "size_px": int(run.batches.images.shape[-1]),
        "train_images": run.batches.count,
        "train_s": round(run.progress.seconds, 2),
        "images_per_s": round(run.images_per_s, 2),
        "final_loss": history[-1]["loss"],
        "best_epoch": run.progress.best.get("epoch", run.recipe.epochs),
        run.score: run.progress.best.get(run.score),
        f"{run.score}_last": history[-1].get(run.score),
        "threads": torch.get_num_threads(),
        "stored_mib": stored_mib(run.model),
    }
    before, behind = costs_before(run.start, run.teacher)
    figures |= before | {"train_s": round(figures["train_s"] + behind, 2)}
    inputs = {"pack": train_pack, **files_before(run.start, run.teacher)}
    extra = {
        "method": method.card.name,
        "seed": run.seed,
        "device": device_name(run.batches.images.device.type),
        "recipe": run.recipe.model_dump(mode="json"),
        # what a short run made of the recipe
        "effective": {
            "warmup_steps": warmup_of(
                run.recipe.schedule, run.batches.steps_per_epoch, run.recipe.epochs
            ),
            "ema": {"decay": run.average.decay, "tau": run.average.tau},
            **(run.sparse.chosen() if run.sparse else {}),
        },
        # of what was taken from the training part, such as anchors
        **({"fit": run.facts} if run.facts else {}),
        "weights_sha256": sha256_file(weights),
        **({"lineage": run.start.lineage} if run.start else {}),
        **{key: value for key, value in run.settings.items() if key == "objective"},
    }
    write_record(
        run.folder / "train.json",
        "train",
        figures,
        inputs,
        run.progress.seconds,
        extra,
    )
