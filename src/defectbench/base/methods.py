"""Methods: a folder ``models/<name>/`` with a card, a recipe, the network and one rule."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from .augmentation import Augmentation, Share
from .cards import TaskName
from .errors import ConfigError
from .options import refuse_options
from .published import SCRATCH, PublishedWeights
from .rates import Written, fault_of
from .strict import (
    BatchSize,
    Epochs,
    Side,
    Strict,
    did_you_mean,
    first_fault,
    name_one_of,
)
from .tasks import DETECTION, TASKS
from .yaml_text import parse_yaml, read_yaml

PACKAGE = "defectbench_models"  # under which the folders of methods are imported
CONTROL = "control_"  # before the kind of a control, in the place of a method
BUILD_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
MOSAIC = ("augmentation.mosaic", "augmentation.mosaic_form", "augmentation.close_epochs")
Decay = Annotated[float, Field(ge=0, lt=1)]
WeightsName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")]


class Claim(Strict):
    """A number printed in a paper, kept apart from ours.

    Attributes:
        dataset: Dataset that it was measured on.
        metric: Key of ours that it compares with, such as ``map50`` or ``macs_g``.
        value: The printed value, in the unit of the key (scores in 0..1).
        source: Where it is printed.
        protocol: Protocol of ours that is nearest to the paper's.
        size: Input side, pixels.
        epochs: Epochs behind a printed score.
        counter: What counted printed operations: ``conv`` counts convolutions and matrix products,
            ``thop`` adds 4 per element of a batch norm and 11 per element of a bilinear resize.
        compressed: What was done to the method, as in the names of compressed cells, such as ``cfpv39``; its
            metrics are ``difference`` (score minus the base's), ``factor``, ``stored_mib`` and ``params_m``.
        at_least: Whether the value was printed as a bound that ours must not be below; of compressed ones.
        note: What must be known before it is compared.
    """

    dataset: str
    metric: str
    value: float
    source: str
    protocol: str = "paper"
    size: int | None = None
    epochs: int | None = None
    counter: Literal["conv", "thop"] = "conv"
    compressed: str | None = None
    at_least: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _compressed_metrics_are_known(self) -> Claim:
        metrics = ("difference", "factor", "stored_mib", "params_m")
        if self.compressed is not None and self.metric not in metrics:
            raise ValueError(f"{self.metric} is not compared; name one of {', '.join(metrics)}")
        if self.at_least and self.compressed is None:
            raise ValueError("at_least is for claims on compressed networks")
        if self.metric == "difference" and not self.at_least:
            raise ValueError("a difference is held as a bound; say at_least: true")
        return self


class Golden(Strict):
    """Counts that a test holds.

    Attributes:
        nc: Number of classes that they are for.
        params: Parameters of the deployed network, batch norms kept.
        params_training: Parameters of the network in training form, guides included.
        macs_m: Multiply-adds of convolutions and matrix products in millions, by input side.
        thop_m: What the counter ``thop`` prints, in millions, by input side.
    """

    nc: int = 6
    params: int
    params_training: int | None = None
    macs_m: dict[int, float] = Field(default={})
    thop_m: dict[int, float] = Field(default={})


class MethodCard(Strict):
    """What a method is (``card.yaml``).

    Attributes:
        name: Its folder's name.
        title: Its name in tables.
        family: ``engine`` (trained by the engine) or ``program`` (a program of its own).
        task: What it solves.
        paper: Citation.
        licence: Licence of what is run.
        reconstructed: What the paper leaves open and how it was settled.
        golden: Counts that a test holds.
        claims: Printed numbers.
        prunable: Whether the compression track can narrow it.
        control_of: Method whose compression this one is the control of: as small from the start.
        rates: Rates of pruning by name, for collaborative filter pruning: a list in words such as ``.4*5,.5*7``, or
            a rate by name or role of a set of channels.
        fitted: Whether it looks at the training part once, without gradients: its recipe then has no optimizer, and
            a budget no epochs.
        heavy: Whether ``methods: all`` of a study means it only where the study says ``heavy: true``.
        takes: Of a program, or of a method that is fitted: fields of its recipe that it reads, by dotted name. A
            study's change of another one is an error. None where nothing is said: then all may be changed, as for
            methods that the engine trains.
        artifact: What its rule makes: ``model`` (``model.onnx``), or ``predictions`` where its framework
            cannot write the artifact signature: ``predictions.json`` of the test part and
            ``latency/own.json``, timed by its own runner.
        weights: Weights that others published for it, by the name that ``start`` of a study calls them by, such as
            ``coco``; ``check-weights`` proves the architecture by them.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=64)
    title: str
    family: Literal["engine", "program"]
    task: TaskName = DETECTION.name
    paper: str
    licence: str
    reconstructed: list[str] = Field(default=[])
    golden: Golden
    claims: list[Claim] = Field(default=[])
    prunable: bool = False
    control_of: str | None = None
    fitted: bool = False
    rates: dict[str, str | dict[str, float]] = Field(default={})
    heavy: bool = False
    takes: list[str] | None = None
    artifact: Literal["model", "predictions"] = "model"
    weights: dict[WeightsName, PublishedWeights] = Field(default={})

    @field_validator("name")
    @classmethod
    def _name_is_no_other_row(cls, name: str) -> str:
        if name == "all" or name.startswith(CONTROL):
            raise ValueError(f"`all` and names with {CONTROL} in front mean something else")
        return name

    @model_validator(mode="after")
    def _takes_names_fields(self) -> MethodCard:
        lost = sorted(set(self.takes or []) - set(recipe_fields()))
        if lost:
            raise ValueError(f"takes: {lost[0]} is no field of a recipe")
        if self.takes is not None and self.family == "engine" and not self.fitted:
            raise ValueError("`takes` is for programs: the engine reads the whole recipe")
        if self.fitted and (self.family != "engine" or self.prunable):
            raise ValueError("`fitted` is for methods of the engine that are not pruned")
        return self

    @field_validator("weights")
    @classmethod
    def _scratch_is_no_weights(cls, weights: dict[str, Any]) -> dict[str, Any]:
        if SCRATCH in weights:
            raise ValueError(f"`{SCRATCH}` is the start without weights: name them otherwise")
        return weights

    @model_validator(mode="after")
    def _a_program_opens_its_file(self) -> MethodCard:
        odd = [name for name, weights in self.weights.items() if weights.is_of_program]
        if odd and self.family == "engine":
            raise ValueError(
                f"weights.{odd[0]}: .pt is opened by a method's own program (family: program), and the engine opens "
                ".pth, or .param and .bin of ncnn"
            )
        return self

    @field_validator("rates")
    @classmethod
    def _rates_can_be_rates(cls, rates: dict[str, Written]) -> dict[str, Written]:
        wrong = {name: fix for name, written in rates.items() if (fix := fault_of(written))}
        if wrong:
            raise ValueError("; ".join(f"{name}: {fix}" for name, fix in wrong.items()))
        return rates


class Optimizer(Strict):
    """Optimiser settings; weight decay goes to everything unless norms and biases are spared.

    Attributes:
        name: ``adamw`` decays weights beside the step; ``adam`` adds the decay to the gradient (L2), as ``sgd`` does.
        lr: Learning rate after the warm-up.
        weight_decay: Weight decay.
        momentum: Momentum of ``sgd``, Nesterov's; 0 for none.
        betas: Decays of the two averages of ``adamw`` and ``adam``.
        decay_norm_and_bias: Whether norms and biases decay, too.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(gt=0, le=10)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    momentum: Decay = 0.9
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    decay_norm_and_bias: bool = True


class Schedule(Strict):
    """Learning rate: linear warm-up over steps or epochs (at most a tenth of the run), then ``kind``.

    Attributes:
        warmup_steps: Steps of the warm-up.
        warmup_epochs: Its epochs, where ``warmup_steps`` is 0.
        warmup_ratio: Share of the learning rate that it starts from.
        kind: How the rate goes on.
        min_lr_ratio: Share of the learning rate that it ends at.
        per: Whether the rate changes after an epoch or after a step.
    """

    warmup_steps: int = Field(default=0, ge=0, le=1_000_000_000)
    warmup_epochs: float = Field(default=0, ge=0, le=1_000_000)
    warmup_ratio: Share = 1e-4
    kind: Literal["cosine", "linear", "constant"] = "cosine"
    min_lr_ratio: Share = 0.0
    per: Literal["epoch", "step"] = "epoch"


class Ema(Strict):
    """Average of weights and buffers: share of the new is (1-d) + d exp(-(1+t)/tau), d the decay.

    Attributes:
        decay: Decay that a long run tends to; at 0 the newest weights are the average.
        tau: Updates in which it is approached.
        short_run_share: In a run of less than 10,000 updates, the share of them that the average spans at
            its end; 0 leaves the formula as it stands, which there hardly averages (3.6 updates after 2,580).
    """

    decay: Decay = 0.9998
    tau: float = Field(default=2000.0, gt=0, le=1_000_000)
    short_run_share: float = Field(default=0.05, ge=0, le=1)


class Sparsity(Strict):
    """An L1 pull on the scales of batch norms (Liu et al., ICCV 2017), before channels are pruned.

    Attributes:
        strength: Weight of the sum of magnitudes; ``auto`` takes it from the budget of steps.
        mode: ``subgradient`` adds it to the gradient (SGD); ``proximal`` shrinks after the step (any optimiser)
            and makes exact zeros; ``auto`` is the first under SGD and the second elsewhere.
    """

    strength: Annotated[float, Field(gt=0, le=100_000)] | Literal["auto"] = "auto"
    mode: Literal["auto", "subgradient", "proximal"] = "auto"


class Recipe(Strict):
    """How a method learns (``recipe.yaml``).

    Attributes:
        epochs: Passes over the training part.
        batch: Images a step.
        size: Side of the input, pixels.
        optimizer: Optimiser.
        schedule: Learning rate.
        grad_clip: Largest gradient norm.
        ema: Weight average.
        augmentation: Random changes.
        validate_every: Epochs between validations; the last epoch is validated in any case.
        keep: Which weights a run ends with: of its ``best`` validated epoch, or of its ``last`` one.
        precision: ``float32``, ``bfloat16`` for convolutions under autocast, or ``auto``: bfloat16 where the device
            has instructions for it. A run records what ``auto`` came to; taken up on a device where it comes to
            something else, it starts anew.
        sparsity: Pull on the scales of batch norms, if any.
        order: How an epoch draws its images: each once, ``shuffled``; or with replacement, each class as often,
            ``class_balanced`` (classification).
        options: Arguments of the method's ``build``.
    """

    epochs: Epochs = 300
    batch: BatchSize = 32
    size: Side = 192
    optimizer: Optimizer | None = None
    schedule: Schedule = Schedule()
    grad_clip: float | None = Field(default=None, gt=0, le=1_000_000_000)
    ema: Ema = Ema()
    augmentation: Augmentation = Augmentation()
    validate_every: int = Field(default=10, ge=1, le=1_000_000)
    keep: Literal["best", "last"] = "best"
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    sparsity: Sparsity | None = None
    order: Literal["shuffled", "class_balanced"] = "shuffled"
    options: dict[str, Any] = Field(default={})


@dataclass(frozen=True)
class Method:
    """A loaded method: its card, its recipe and, for the engine's, its module."""

    card: MethodCard
    recipe: Recipe
    module: ModuleType | None
    folder: Path


def method_names(models_dir: str | Path = "models") -> list[str]:
    """Names of all methods, sorted: the folders that hold a card."""
    return sorted(path.parent.name for path in Path(models_dir).glob("*/card.yaml"))


def load_card(folder: str | Path) -> MethodCard:
    """Read ``card.yaml`` of a method's folder.

    Raises:
        ConfigError: It is missing, wrong, or names another method.
    """
    path = Path(folder) / "card.yaml"
    card = _parse(path, MethodCard)
    if card.name != Path(folder).name:
        raise ConfigError(path, "name", card.name, f"write the folder's name, {Path(folder).name}")
    return card


def load_recipe(folder: str | Path) -> Recipe:
    """Read ``recipe.yaml`` of a method's folder.

    Raises:
        ConfigError: It is missing or wrong.
    """
    return _parse(Path(folder) / "recipe.yaml", Recipe)


def changed_recipe(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """A recipe with the changes of a command line, each ``FIELD=VALUE`` with VALUE in YAML.

    Raises:
        ConfigError: A change cannot be read, names no field, or its value does not fit.

    Example:
        >>> changed_recipe(Recipe(), ["optimizer=null", "epochs=3"]).epochs
        3
    """
    fields: dict[str, Any] = {}
    for change in changes:
        name, sign, value = change.partition("=")
        if not sign:
            raise ConfigError("--set", "change", change, "write FIELD=VALUE")
        try:
            fields[name] = parse_yaml(value, "--set", name)
        except ConfigError as error:
            fix = f"give the value as YAML: {error.value}"
            raise ConfigError("--set", name, value, fix) from error
    return override_recipe(recipe, fields, "--set")


def override_recipe(
    recipe: Recipe, fields: dict[str, Any], source: str | Path = "recipe"
) -> Recipe:
    """A recipe with single fields replaced.

    Args:
        recipe: The method's own.
        fields: New values by dotted name.
        source: Named in errors.

    Raises:
        ConfigError: There is no such field, its value does not fit, or a later one takes its place.

    Example:
        >>> override_recipe(Recipe(), {"augmentation.flip_lr": 0.5}).augmentation.flip_lr
        0.5
    """
    content = recipe.model_dump()
    _refuse_overwritten(list(fields), source)
    for name, value in fields.items():
        *path, last = name.split(".")
        node: Any = content
        if path == ["options"]:  # which of them there are, the method's build says
            content["options"].setdefault(last, None)
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            raise ConfigError(source, "recipe", name, _fix_of_field(name, recipe))
        node[last] = value
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        field, value, fix = first_fault(Recipe, error)
        raise ConfigError(source, f"recipe.{field}", value, fix) from error


def _refuse_overwritten(names: list[str], source: str | Path) -> None:
    """Stop where a field stands before the whole that holds it, which would take its place."""
    for number, name in enumerate(names):
        for later in names[number + 1 :]:
            if name.startswith(f"{later}."):
                fix = f"`{later}` stands behind it and takes its place: write it within that"
                raise ConfigError(source, "recipe", name, fix)


def _fix_of_field(name: str, recipe: Recipe) -> str:
    """What mends a dotted name that is no field of a recipe."""
    if name.startswith("optimizer.") and recipe.optimizer is None:
        return "the recipe has no optimizer; name it whole: optimizer: {name: adamw, lr: 0.001}"
    if name.startswith("sparsity.") and recipe.sparsity is None:
        return "the recipe has no sparsity; name it whole: sparsity: {strength: auto}"
    meant = did_you_mean(name, recipe_fields())
    return f"name a field of the recipe, such as optimizer.lr{f'; {meant}' if meant else ''}"


def recipe_fields(kind: type[BaseModel] | None = None, within: str = "") -> list[str]:
    """Dotted names of all fields of a recipe.

    Example:
        >>> [name for name in recipe_fields() if name.startswith("sparsity")]
        ['sparsity', 'sparsity.strength', 'sparsity.mode']
    """
    names: list[str] = []
    for name, field in (kind or Recipe).model_fields.items():
        names.append(f"{within}{name}")
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                names += recipe_fields(part, f"{within}{name}.")
    return names


def refuse_without_effect(
    recipe: Recipe, changes: Mapping[str, Any], source: str | Path, epochs: int | None = None
) -> None:
    """Stop where a change of a recipe matters to nothing, since another field decides.

    Args:
        recipe: With the changes.
        changes: What was changed, by dotted name; a whole may stand for its fields.
        source: Named in errors.
        epochs: Passes over the training part; the recipe's by default.

    Raises:
        ConfigError: There is such a change.

    Example:
        >>> changed = override_recipe(Recipe(optimizer=Optimizer(lr=0.1)), {"optimizer.momentum": 0.8})
        >>> refuse_without_effect(changed, {"optimizer.momentum": 0.8}, "study")
        Traceback (most recent call last):
        defectbench.base.errors.ConfigError: study: recipe.optimizer.momentum: got 0.8; it is of sgd, and ...
    """
    reasons = _without_effect(recipe, epochs or recipe.epochs)
    for name in _dotted(changes):
        if name in reasons:
            value: Any = recipe
            for part in name.split("."):
                value = getattr(value, part)
            raise ConfigError(source, f"recipe.{name}", value, f"{reasons[name]}: leave it out")


def refuse_no_training(recipe: Recipe, card: MethodCard, source: str | Path) -> None:
    """Stop before a recipe that the engine cannot train by.

    Args:
        recipe: With all changes.
        card: Of the method.
        source: Named in errors.

    Raises:
        ConfigError: It has no optimiser, or one that a method which is fitted has no use for, or an order of images
            that the task does not have.
    """
    if card.fitted:
        if recipe.optimizer is not None or recipe.epochs != 1:
            fix = f"{card.name} looks at the images once: write epochs: 1 and no optimizer"
            raise ConfigError(source, "recipe.epochs", recipe.epochs, fix)
        return
    if recipe.optimizer is None:
        fix = "the engine needs one: optimizer: {name: adamw, lr: 0.001}"
        raise ConfigError(source, "recipe.optimizer", None, fix)
    if recipe.order == "class_balanced" and TASKS[card.task].finds_boxes:
        fix = f"images of {card.task} have several classes or none; take shuffled"
        raise ConfigError(source, "recipe.order", recipe.order, fix)


def _dotted(changes: Mapping[str, Any]) -> list[str]:
    """Dotted names of changes, and of the fields of those that are written whole."""
    names: list[str] = []
    for name, value in changes.items():
        inner = value if isinstance(value, Mapping) else {}
        names += [name, *_dotted({f"{name}.{field}": inner[field] for field in inner})]
    return names


def _without_effect(recipe: Recipe, epochs: int) -> dict[str, str]:
    """Fields of a recipe that matter to nothing as its other fields stand, and why."""
    reasons = _of_no_colour(recipe.augmentation)
    optimizer, schedule, augmentation = recipe.optimizer, recipe.schedule, recipe.augmentation
    if optimizer is not None and not optimizer.weight_decay:
        reasons["optimizer.decay_norm_and_bias"] = "optimizer.weight_decay is 0"
    if optimizer is not None:
        other = "optimizer.betas" if optimizer.name == "sgd" else "optimizer.momentum"
        owner = "adamw and adam" if optimizer.name == "sgd" else "sgd"
        reasons[other] = f"it is of {owner}, and the optimizer is {optimizer.name}"
    if schedule.warmup_steps and schedule.warmup_epochs:
        reasons["schedule.warmup_epochs"] = (
            f"schedule.warmup_steps is {schedule.warmup_steps} and wins; set that to 0, or"
        )
    if not schedule.warmup_steps and not schedule.warmup_epochs:
        reasons["schedule.warmup_ratio"] = "the schedule has no warm-up"
    if schedule.kind == "constant":
        reason = "schedule.kind is constant"
        reasons |= {"schedule.per": reason, "schedule.min_lr_ratio": reason}
    if not augmentation.flip_lr and not augmentation.flip_ud:
        reasons["augmentation.flips"] = "augmentation.flip_lr and augmentation.flip_ud are 0"
    if not augmentation.mosaic:
        reason = "augmentation.mosaic is 0"
        reasons |= {"augmentation.mosaic_form": reason, "augmentation.close_epochs": reason}
    elif augmentation.close_epochs >= epochs:
        reason = f"all of the {epochs} epochs are among the last {augmentation.close_epochs} without mosaic"
        reasons |= dict.fromkeys(MOSAIC, reason)
    if recipe.sparsity is not None and recipe.keep == "best":
        reasons["keep"] = "a training with sparsity keeps its last epoch"
    return reasons


def _of_no_colour(augmentation: Augmentation) -> dict[str, str]:
    """Fields of the colour changes that matter to nothing, and why."""
    plain = Augmentation()
    changes = ("brightness", "contrast", "saturation")
    changed = [name for name in changes if getattr(augmentation, name) != getattr(plain, name)]
    if not changed:
        return {"augmentation.probability": "no colour is changed"}
    if augmentation.probability:
        return {}
    return {f"augmentation.{name}": "augmentation.probability is 0" for name in changed}


def load_method(name: str, models_dir: str | Path = "models") -> Method:
    """Load a method by name.

    Raises:
        ConfigError: There is no such folder, or its card, recipe or network is wrong.
    """
    folder = Path(models_dir) / name
    if not (folder / "card.yaml").is_file():
        fix = name_one_of(name, method_names(models_dir), "there is no method at all")
        raise ConfigError(folder, "method", name, fix)
    card = load_card(folder)
    module = _load_module(folder) if card.family == "engine" else None
    return Method(card, load_recipe(folder), module, folder)


def build_network(method: Method, nc: int, options: Mapping[str, Any]) -> Any:
    """The network of a method of the engine.

    Args:
        method: The method.
        nc: Number of classes.
        options: Arguments of its ``build``.

    Raises:
        ConfigError: It is a program of its own, or its ``build`` knows no such option or value.
    """
    if method.module is None:
        fix = "it is a program of its own: run the rule in its method.smk"
        raise ConfigError(method.folder, "family", method.card.family, fix)
    refuse_options(options, method.folder, method.folder)
    try:
        inspect.signature(method.module.build).bind(nc, **options)
    except TypeError as error:
        fix = f"build of {method.card.name} takes {inspect.signature(method.module.build)}"
        raise ConfigError(method.folder, "options", str(error), fix) from error
    try:
        return method.module.build(nc, **options)
    except BUILD_FAULTS as error:
        if not options:
            raise
        fix = f"build of {method.card.name} refuses it: {type(error).__name__}: {error}"
        raise ConfigError(method.folder, "options", dict(options), fix) from error


def _load_module(folder: Path) -> ModuleType:
    """Import a method's entry file out of its folder, a package whose files can import one another relatively.

    Each load runs the files anew: a folder elsewhere may bear the same name.
    """
    path = folder / f"{folder.name}.py"
    if not path.is_file():
        raise ConfigError(path, "file", "nothing", "write the network there, with build(nc)")
    package = f"{PACKAGE}.{folder.name}"
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]
    for name, places in ((PACKAGE, []), (package, [str(folder.resolve())])):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = places
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(f"{package}.{folder.name}")
    except (ImportError, SyntaxError) as error:
        fix = "mend the import or the line; files of the folder import one another as `from .file import name`"
        raise ConfigError(path, "content", str(error), fix) from error
    if not callable(getattr(module, "build", None)):
        raise ConfigError(path, "build", None, "define build(nc) that returns a Detector")
    return module


_T = TypeVar("_T", bound=BaseModel)


def _parse(path: Path, model: type[_T]) -> _T:
    content = read_yaml(path, "write it; docs/add-a-model.md shows how")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        field, value, fix = first_fault(model, error)
        raise ConfigError(path, field or "file", value, fix) from error
