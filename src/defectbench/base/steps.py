"""What each step of a cell is told: one object of settings a step, made of budget, recipe and compression.

A rule hands its step these settings as one JSON object, and the step reads them with the same class. They hold what
the step depends on and nothing else, so that a change elsewhere in a study makes no step again.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .compressions import CFP, Pruning, Slimming
from .devices import sees_gpu
from .filter_pruning import PUBLISHED, Choice, FilterCut, Teaching, teachers_of
from .methods import Recipe
from .settings import Role, TrainingSettings
from .strict import BatchSize, Seed, Strict, Threads
from .studies import Cell
from .tiling import pack_name

THREADS = 2  # of a training, unless the study says otherwise
Device = Literal["auto", "cpu", "cuda"]


class PruningCheck(Pruning):
    """A cut that is held against a network before it is trained.

    Attributes:
        kd: How the base teaches the recovery.
        recipe: The study's changes to the base's recipe, by dotted name.
    """

    kd: str = "none"
    recipe: dict[str, Any] = Field(default={})


class ChannelPruning(Pruning):
    """A cut of a sparsely trained network.

    Attributes:
        seed: Seed of the order of the images.
        batches: Batches of training images that the statistics of what is left are measured on.
        batch: Images in each.
        threads: Processor threads; those of torch by default.
        device: Where to compute.
        channels_alone: Whether the residual units that go stay, to see what the channels alone cost.
    """

    seed: Seed = 0
    batches: int = Field(default=200, ge=1, le=1_000_000)
    batch: BatchSize = 16
    threads: Threads | None = None
    device: Device = "auto"
    channels_alone: bool = False


class ChannelScores(Strict):
    """Scores of a classifier's channels.

    Attributes:
        seed: Seed of the choice of images.
        images: Training images to look at, balanced over the classes.
        threads: Processor threads; those of torch by default.
        device: Where to compute.
    """

    seed: Seed = 0
    images: int = Field(default=640, ge=2, le=1_000_000)
    threads: Threads | None = None
    device: Device = "auto"


class RatesCheck(FilterCut):
    """Rates that are held against a classifier before it is trained.

    Attributes:
        recipe: The study's changes to the base's recipe, by dotted name.
    """

    recipe: dict[str, Any] = Field(default={})


class FilterPruning(FilterCut):
    """A cut of a classifier.

    Attributes:
        seed: Seed of random choices and of what starts afresh.
    """

    seed: Seed = 0


class FineTuning(TrainingSettings):
    """The training of a cut classifier.

    Attributes:
        choose: How its channels were chosen; ``thin`` trains from scratch on labels.
        teachers: Who teaches.
    """

    choose: Choice = PUBLISHED
    teachers: Teaching = "r_to_c"

    @property
    def taught_by(self) -> tuple[str, ...]:
        """Teachers that the network learns from: ``r``, ``c``, both or none."""
        return teachers_of(self.teachers)


def as_json(settings: Strict) -> str:
    """Settings as one line that their class reads again; what was not set is left out.

    Example:
        >>> as_json(ChannelScores(seed=1, images=96))
        '{"seed":1,"images":96}'
    """
    return settings.model_dump_json(exclude_unset=True)


def size_px(cell: Cell, recipe: Recipe) -> int:
    """Side of a cell's input, pixels: the study's, else that of a tile, else the recipe's."""
    tiles = cell.budget.tiles
    return cell.budget.size or (tiles.side if tiles is not None else recipe.size)


def pack_file(cell: Cell, recipe: Recipe, part: str) -> str:
    """File name of a cell's pack of one part: at the cell's size, of tiles where its images are cut."""
    return pack_name(part, size_px(cell, recipe), cell.budget.tiles)


def thread_count(cell: Cell) -> int:
    """Threads of a cell's trainings."""
    return cell.budget.threads or THREADS


def device_of(cell: Cell) -> Device:
    """Where a cell is trained."""
    return cell.budget.device or "auto"


def gpu_slots(cell: Cell) -> int:
    """Slots of the GPU that a training of a cell takes: one, or none where it trains on a processor."""
    device = device_of(cell)
    return int(device == "cuda" or (device == "auto" and sees_gpu()))


def training(
    cell: Cell,
    recipe: Recipe,
    epochs: int | None = None,
    batch: int | None = None,
    changes: dict[str, Any] | None = None,
    role: Role | None = None,
) -> TrainingSettings:
    """Settings of a training of a cell.

    Args:
        cell: The cell.
        recipe: Its method's recipe.
        epochs: Of a stage that has its own; those of the cell by default.
        batch: The same of its images a step.
        changes: What a stage changes in the recipe beside what the study changes.
        role: What the training is for where it serves another.
    """
    fields: dict[str, Any] = {
        "seed": cell.seed,
        "epochs": epochs or cell.budget.epochs or recipe.epochs,
        "batch": batch or cell.budget.batch or recipe.batch,
        "threads": thread_count(cell),
        "device": device_of(cell),
        "recipe": {**(cell.budget.recipe or {}), **(changes or {})},
    }
    if role is not None:
        fields["role"] = role
    return TrainingSettings(**fields)


def sparse_training(cell: Cell, recipe: Recipe) -> TrainingSettings:
    """The sparse training that a slimmed cell starts from."""
    cut = slimming_of(cell)
    changes = cut.recipe_of("sparse")
    return training(cell, recipe, cut.sparse.epochs, cut.sparse.batch, changes, "sparse")


def recovery(cell: Cell, recipe: Recipe) -> TrainingSettings:
    """The training after the cut of a slimmed cell; a thin network has its base's batch."""
    cut = slimming_of(cell)
    epochs = cut.last_epochs(cell.budget.epochs or recipe.epochs)
    batch = None if cut.choose == "thin" else cut.recovery.batch
    return training(cell, recipe, epochs, batch, cut.recipe_of("recovery"), "recovery")


def balanced_teacher(cell: Cell, recipe: Recipe) -> TrainingSettings:
    """The class-balanced teacher: the cell's own training with another order of images."""
    return training(cell, recipe, changes={"order": "class_balanced"}, role="teacher")


def fine_tuning(cell: Cell, recipe: Recipe) -> FineTuning:
    """The last training of a cut classifier; a thin one has the base's recipe and batch and all trainings' epochs."""
    cut = filter_pruning_of(cell)
    thin = cut.choose == "thin"
    epochs = cut.last_epochs(cell.budget.epochs or recipe.epochs)
    batch, changes = cut.fine_tuning.batch, cut.recipe_of("fine_tuning")
    settings = training(cell, recipe, epochs, None if thin else batch, {} if thin else changes)
    fields = settings.model_dump(exclude_unset=True)
    return FineTuning(**fields, choose=cut.choose, teachers=cut.teachers)


def pruning_check(cell: Cell) -> PruningCheck:
    """The cut of a slimmed cell, before anything is trained."""
    cut = slimming_of(cell)
    aims = cut.how_much_goes.model_dump(exclude_unset=True)
    return PruningCheck(**aims, kd=cut.kd, recipe=cell.budget.recipe or {})


def channel_pruning(cell: Cell, recipe: Recipe, channels_alone: bool = False) -> ChannelPruning:
    """The cut of a slimmed cell."""
    cut = slimming_of(cell)
    fields: dict[str, Any] = {
        **cut.how_much_goes.model_dump(exclude_unset=True),
        "seed": cell.seed,
        "batches": cut.batches,
        "batch": cell.budget.batch or recipe.batch,
        "threads": thread_count(cell),
        "device": device_of(cell),
    }
    if channels_alone:
        fields["channels_alone"] = True
    return ChannelPruning(**fields)


def channel_scores(cell: Cell, images: int) -> ChannelScores:
    """The scores of a classifier's channels, for all cuts that choose by them."""
    threads, device = thread_count(cell), device_of(cell)
    return ChannelScores(seed=cell.seed, images=images, threads=threads, device=device)


def rates_check(cell: Cell) -> RatesCheck:
    """The rates of a cut classifier, before anything is trained."""
    cut = filter_pruning_of(cell)
    fields = cut.model_dump(include={"rates", "ratio"}, exclude_none=True)
    return RatesCheck(**fields, recipe=cell.budget.recipe or {})


def filter_pruning(cell: Cell) -> FilterPruning:
    """The cut of a classifier: rates, and how channels are chosen."""
    cut = filter_pruning_of(cell)
    fields = cut.model_dump(include={*FilterCut.model_fields}, exclude_none=True)
    return FilterPruning(**fields, seed=cell.seed)


def slimming_of(cell: Cell) -> Slimming:
    """How a slimmed cell is made."""
    assert isinstance(cell.compression, Slimming), f"{cell.folder} is not slimmed"
    return cell.compression


def filter_pruning_of(cell: Cell) -> CFP:
    """How a cut classifier is made."""
    assert isinstance(cell.compression, CFP), f"{cell.folder} is no cut classifier"
    return cell.compression
