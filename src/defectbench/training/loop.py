"""One training run: from a pack to averaged weights, resumable to the same bits."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..base.devices import device_name, take_device
from ..base.files import atomic_path, atomic_write_text, exclusive_lock, sha256_file
from ..base.memory import lacks_memory, memory_refusal
from ..base.methods import Method
from ..base.records import write_record
from ..base.settings import TrainingSettings
from ..data.pack import load_pack
from ..nn.detector import Targets
from ..nn.size import stored_mib
from ..nn.trainable import Trainable
from .allocator import keep_freed_memory
from .augment import augment
from .checkpoint import Progress, save_checkpoint
from .objective import Objective
from .optimizer import learning_rate
from .preparation import Run, prepare, refuse_leak
from .progress import report_epoch, warn_of_clipping
from .randomness import derived_seed
from .sources import Sources
from .start import costs_before, files_before, origin_words, started_words

Validator = Callable[[Trainable], float]
# 0 or 1 a step, and a share of its steps in an epoch's row of the history
CLIPPINGS = CLIPPED, CLIPPED_WARM = ("clipped", "clipped_after_warmup")


def train(
    method: Method,
    settings: TrainingSettings,
    sources: Sources,
    out_dir: str | Path,
    validator: Validator | None = None,
    objective: Objective | None = None,
    checkpoint_s: float = 30.0,
) -> None:
    """Train a method of the engine; writes ``weights.safetensors``, ``train.json`` and ``history.csv``.

    A run that was killed goes on from ``checkpoint/`` and ends in the same bits on a CPU. A checkpoint of
    another recipe, seed, part, network or code of it is set aside as ``checkpoint.replaced/``.

    Args:
        method: What to train.
        settings: Seed, budget, device, and changes to the method's recipe.
        sources: The training part, and what other runs left for this one.
        out_dir: The cell's folder.
        validator: Scores the averaged model on the validation part. Kept are the weights of the best such epoch, or
            of the last where the recipe says so.
        objective: What the network learns in place of labels.
        checkpoint_s: Least seconds between two checkpoints.

    Raises:
        ConfigError: There is no GPU and one is asked for, the recipe has no such field, the method cannot learn from
            the teacher, the teacher has the run's own seed, the start is of another network, or either lacks its
            record.
        DeviceMemoryError: The GPU, or the machine, has no room for images, network, a step or a validation.
        CompressionError: The plan is missing or is none, or does not fit.
        WeightsError: Published weights do not fit the network.
        LeakageError: The pack is of the protocol ``clean`` and its certificate does not show zero shared pixels.
        TrainingDivergedError: A loss is not finite.
        BusyError: Another run trains in the same folder.
        CheckpointError: The checkpoint is damaged.
    """
    keep_freed_memory()
    take_device(settings.device, settings.threads)
    folder = Path(out_dir)
    with memory_named(folder):
        pack = load_pack(sources.pack, task=method.card.task)
        refuse_leak(pack)
        with exclusive_lock(folder / ".train.lock"):
            run = prepare(pack, method, settings, sources, folder, objective)
            run.saved_at = time.monotonic()
            while run.progress.step < run.steps:
                _epoch(run, validator, checkpoint_s)
            _finish(run, sources.pack, method)


@contextmanager
def memory_named(folder: Path) -> Iterator[None]:
    """Raise what any library says of memory that is full as one error with its fix.

    Args:
        folder: The cell's folder, named in the error.

    Raises:
        DeviceMemoryError: The device, or the machine, has no room.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's own is a RuntimeError
        if not lacks_memory(error):
            raise
        on_gpu = isinstance(error, torch.OutOfMemoryError) or "cuda" in str(error).lower()
        full, fewer = ("GPU", "gpu_slots") if on_gpu else ("machine", "jobs at once (--cores)")
        fix = f"the {full}'s memory is full: take a smaller batch, or fewer {fewer}"
        raise memory_refusal(folder, "training", str(error), fix) from error


def _epoch(run: Run, validator: Validator | None, checkpoint_s: float) -> None:
    """Train to the end of the current epoch, with checkpoints in between."""
    per_epoch = run.batches.steps_per_epoch
    epoch, first = divmod(run.progress.step, per_epoch)
    order = run.batches.order(epoch)
    sums: dict[str, float] = run.progress.history.pop() if first else {}
    started = time.monotonic()
    for position in range(first, per_epoch):
        _checked_step(run, order, position, epoch)
        run.progress.step += 1
        now, ends = time.monotonic(), position + 1 == per_epoch
        saves = now - run.saved_at > checkpoint_s and not ends
        if run.readings.due or saves or ends:
            for row in run.readings.read():
                for name, value in row.items():
                    sums[name] = sums.get(name, 0.0) + value
        if saves:
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


def _checked_step(run: Run, order: Tensor, position: int, epoch: int) -> None:
    """One step; where it breaks on what a step before it left, the error is that one's.

    Raises:
        TrainingDivergedError: A loss or the gradient of a step that waits to be read is not finite.
    """
    try:
        train_step(run, order, position, epoch)
    except torch.OutOfMemoryError:  # what waits could not be read either
        raise
    except (RuntimeError, IndexError, ValueError):
        run.readings.read()
        raise


def train_step(run: Run, order: Tensor, position: int, epoch: int) -> None:
    """One step: augment, forward, backward, clip, update, average; what it lost waits in the run's readings."""
    recipe, step = run.recipe, run.progress.step
    taken = run.batches.take(order, position)
    settings = recipe.augmentation
    if epoch >= run.model.closing_epoch:
        settings = settings.model_copy(update={"mosaic": 0.0})
    images, boxes, labels = augment(taken, settings, run.seed, step, run.batches)
    images = images.contiguous(memory_format=torch.channels_last)
    assert recipe.optimizer is not None
    rate = learning_rate(
        recipe.schedule, recipe.optimizer.lr, step, run.batches.steps_per_epoch, recipe.epochs
    )
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    drawn_from = derived_seed(run.seed, step, "forward")
    torch.manual_seed(drawn_from)  # of draws in a network, as dropout's
    learn, targets = partial(_learn, run, epoch), Targets(boxes, labels)
    if run.graphs is None:
        losses = learn(images, targets)
    else:
        losses = run.graphs.learn(images, targets, epoch, drawn_from, learn)
    limit = recipe.grad_clip or float("inf")
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), limit, foreach=True)
    run.readings.add(step, taken.image_ids, losses | clipping_of(run, step, norm), norm)
    if run.sparse is not None:
        run.sparse.before_step()
    run.optimizer.step()
    if run.sparse is not None:
        run.sparse.after_step(rate)
    run.average.update(step)


def clipping_of(run: Run, step: int, norm: Tensor) -> dict[str, Tensor]:
    """Whether a step was clipped, and whether it was so after the warm-up: 0 or 1; nothing without a clip."""
    if run.recipe.grad_clip is None:
        return {}
    clipped = (norm.detach() > run.recipe.grad_clip).float()
    warm = step >= run.warmup_steps
    return {CLIPPED: clipped, CLIPPED_WARM: clipped if warm else torch.zeros_like(clipped)}


def _learn(run: Run, epoch: int, images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Scalar losses of a batch by name; it leaves the gradients in the parameters."""
    bf16 = run.recipe.precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        losses = _losses(run, images, targets, epoch)
    run.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    return losses


def _losses(run: Run, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
    """Scalar losses of a batch by name: the network's own, or the run's objective."""
    if run.objective is not None:
        return {"loss": run.objective.loss(run.model(images), images, epoch)}
    return run.model.loss(images, targets, epoch)


def _close_epoch(run: Run, epoch: int, sums: dict[str, float], validator: Validator | None) -> None:
    """Add the epoch's row to the history, validate if it is due, keep the weights that the recipe asks for."""
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
        keeps_last = run.recipe.keep == "last" or run.sparse is not None
        if keeps_last or score >= run.progress.best.get(run.score, -1.0):
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


def clipped_shares(run: Run) -> dict[str, float]:
    """Shares of clipped steps: of the whole run, and of those after its warm-up; nothing without a clip."""
    if run.recipe.grad_clip is None:
        return {}
    rows, per_epoch = run.progress.history, run.batches.steps_per_epoch
    counts = {name: sum(row.get(name, 0.0) for row in rows) * per_epoch for name in CLIPPINGS}
    steps = {CLIPPED: run.steps, CLIPPED_WARM: max(run.steps - run.warmup_steps, 1)}
    return {f"{name}_share": round(counts[name] / steps[name], 4) for name in CLIPPINGS}


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
        **clipped_shares(run),
    }
    warn_of_clipping(run.folder, figures.get(f"{CLIPPED_WARM}_share", 0.0), run.recipe.grad_clip)
    before, behind = costs_before(run.start, run.teacher)
    figures |= before | {"train_s": round(figures["train_s"] + behind, 2)}
    inputs = {"pack": train_pack, **files_before(run.start, run.teacher)}
    extra = {
        "method": method.card.name,
        "seed": run.seed,
        "device": device_name(run.batches.device.type),
        "recipe": run.recipe.model_dump(mode="json"),
        # what a short run made of the recipe
        "effective": {
            "warmup_steps": run.warmup_steps,
            "ema": {"decay": run.average.decay, "tau": run.average.tau},
            **(run.sparse.chosen() if run.sparse else {}),
            **({"norms_by_running_moments": run.lone_norms} if run.lone_norms else {}),
            **(run.graphs.words() if run.graphs else {}),
        },
        # of what was taken from the training part, such as anchors
        **({"fit": run.facts} if run.facts else {}),
        "weights_sha256": sha256_file(weights),
        **({"lineage": run.start.lineage} if run.start and run.start.lineage else {}),
        **({"start": started_words(run.start, run.taken)} if run.start and run.taken else {}),
        **origin_words(run.start),
        **({"objective": dict(run.objective.words)} if run.objective else {}),
        **({"tiles": run.tiles} if run.tiles is not None else {}),
    }
    write_record(
        run.folder / "train.json",
        "train",
        figures,
        inputs,
        run.progress.seconds,
        extra,
    )
