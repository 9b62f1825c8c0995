"""The training after the cut: a narrow classifier learns from two teachers, or a thin one labels from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ...base.errors import ConfigError
from ...base.files import sha256_file
from ...base.methods import Method, override_recipe
from ...base.steps import FineTuning
from ...base.tasks import CLASSIFICATION
from ...data.pack import load_pack
from ...training.loop import Validator, train
from ...training.objective import Objective, OutputLoss
from ...training.sources import Sources
from ...training.start import read_start
from .fusion import Teachers, fused_loss, share_of_r
from .score_classifier import read_classifier


def fine_tune(
    method: Method,
    settings: FineTuning,
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
        settings: Seed of the cell, budget and device, and which teachers; this training draws from a seed of its own.
            A network that is ``thin`` has no teacher and learns labels, for as many epochs as the budget says.
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
    thin = settings.choose == "thin"
    # the plan says all of the widths, so that no option of the base's has a say in them
    recipe = override_recipe(method.recipe, settings.recipe, "settings")
    method = replace(method, recipe=recipe.model_copy(update={"options": {}}))
    role = "thin" if thin else "fine-tuning"
    settings = settings.model_copy(update={"role": role, "recipe": {}})
    plan = Path(pruned).with_name("plan.json")
    sources = Sources(Path(pack), start=None if thin else Path(pruned), plan=plan)
    if thin or settings.teachers == "none":
        train(method, settings, sources, out_dir, validator, None, checkpoint_s)
        return
    weights = {"r": r, "c": c}
    needed: dict[str, Path] = {}
    for name in settings.taught_by:
        if (path := weights[name]) is None:
            raise ConfigError("fine-tune", name, None, f"teachers={settings.teachers} needs it")
        needed[name] = Path(path)
    _check_cut_from(pruned, needed.get("r"))
    classes = load_pack(pack, False, CLASSIFICATION.name).classes
    networks = [read_classifier(read_start(path), method, len(classes)) for path in needed.values()]
    epochs = settings.epochs or recipe.epochs
    hashes = {name: sha256_file(path) for name, path in needed.items()}
    objective = Objective(
        {"teachers": settings.teachers, **hashes},
        fused_objective(Teachers(networks[0], networks[-1]), epochs, settings.teachers),
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
