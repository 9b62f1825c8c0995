"""Compressed methods of a study: what is made smaller, how, and what the smaller one is called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .strict import Strict

JOINT = "+"  # between a method and the name of its compression: yolov4+slim4.19mib
# The fine-tuning of Wang et al., 2023; its batch is 128 and its epochs are 300
FINE_TUNING = {"optimizer.lr": 5e-5, "optimizer.weight_decay": 5e-4, "schedule.min_lr_ratio": 0.02}
CHOICES = {
    "cfp": "pruned by CFP",
    "rank": "pruned by rank",
    "l1": "pruned by L1 norm",
    "random": "pruned at random",
    "fresh": "its widths taught afresh",
    "thin": "thin from scratch",
}
FADED = 0.01  # a scale of a batch norm below this has faded
PLAIN = ("scales", "none")  # what the name of a slimmed network leaves out
AFRESH = ("fresh", "thin")  # take the widths of a cut network and nothing of its weights
TEACHERS = {  # other than sliding from R to C
    "r": "teacher R alone",
    "c": "teacher C alone",
    "half": "half of each teacher",
    "none": "labels alone",
}
NAME = r"^[a-z0-9][a-z0-9_.]*$"


def refuse_budget_in_recipe(recipe: Mapping[str, Any], where: str) -> None:
    """Stop where a change of a recipe names what the budget decides.

    Raises:
        ValueError: It does; it would have no effect.
    """
    for name in ("epochs", "batch", "size"):
        if name in recipe:
            raise ValueError(f"`{name}` in a recipe has no effect here; it is a field of {where}")


class Stage(Strict):
    """How one further training of a pipeline differs from its method's recipe and budget.

    Attributes:
        epochs: Passes over the training part; those of the base by default.
        batch: Images a step; those of the base by default.
        recipe: Single fields of the recipe, by dotted name.
    """

    epochs: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    recipe: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _recipe_leaves_the_budget_alone(self) -> Stage:
        refuse_budget_in_recipe(self.recipe, "the stage, and `size` of the base's budget")
        return self


class Pruning(Strict):
    """How much of a detector goes and by which rule.

    Attributes:
        rule: ``size`` ranks channels by their group's largest scale and meets ``target_mib``; ``classic`` takes a
            quantile of single scales. Percents of the two do not compare; sizes do.
        target_mib: For ``size``: MiB of parameters and statistics in float32, after units are dropped.
        percent: For ``classic``: share of single scales at the threshold.
        layer_keep: Least share of a layer that stays.
        round_to: Widths are raised to multiples of this.
        drop_units: Residual units that go.
        absorb: Whether consumers take the constants of dead channels before the cut.
    """

    rule: Literal["size", "classic"] = "size"
    target_mib: float = Field(default=4.19, gt=0)
    percent: float = Field(default=0.85, ge=0, le=1)
    layer_keep: float = Field(default=0.01, ge=0, le=1)
    round_to: int = Field(default=1, ge=1)
    drop_units: int = Field(default=0, ge=0)
    absorb: bool = True


class Slimming(Pruning):
    """Base, sparse training, channel and unit pruning, recovery with the base as teacher.

    Chen et al., Electronics 2024, 13(2), 253, after Liu et al., ICCV 2017.

    Attributes:
        method: What is compressed; its card says ``prunable: true``.
        how: ``slimming``.
        name: Its name behind the method's; made of the target by default.
        batches: Batches of training images that the statistics of what is left are measured on.
        choose: ``scales``, or a control: ``thin`` has the plan of the cut and none of its weights, and learns by the
            base's recipe for the epochs of base, sparse training and recovery together.
        kd: How the base teaches the pruned network: a way that the method's build knows, or ``none``.
        sparse: The sparse training; its pull is ``auto`` unless its recipe says a ``sparsity``.
        recovery: The training after the cut.
    """

    method: str
    how: Literal["slimming"]
    name: str | None = Field(default=None, pattern=NAME)
    batches: int = Field(default=200, ge=1)
    choose: Literal["scales", "thin"] = "scales"
    kd: str = Field(default="none", pattern=NAME)
    sparse: Stage = Stage()
    recovery: Stage = Stage()

    @model_validator(mode="after")
    def _the_rule_has_its_own_aim(self) -> Slimming:
        other = "percent" if self.rule == "size" else "target_mib"
        if other in self.model_fields_set:
            raise ValueError(f"`{other}` has no effect by `rule: {self.rule}`")
        return self

    @property
    def default_name(self) -> str:
        """Name where the study gives none."""
        size = (
            f"{self.target_mib:g}mib" if self.rule == "size" else f"{100 * self.percent:g}percent"
        )
        parts = [f"slim{size}", *(one for one in (self.choose, self.kd) if one not in PLAIN)]
        return "_".join(parts)

    def last_epochs(self, base: int) -> int:
        """Epochs of the last training, where the base has ``base``.

        Example:
            >>> cut = {"method": "yolov4", "how": "slimming", "recovery": {"epochs": 40}}
            >>> Slimming(**cut).last_epochs(100), Slimming(**cut, choose="thin").last_epochs(100)
            (40, 240)
        """
        own = self.recovery.epochs or base
        return own if self.choose != "thin" else base + (self.sparse.epochs or base) + own

    @property
    def sparse_folder(self) -> str:
        """Folder of the sparse training below the base's cell: one for all that differ behind it.

        Example:
            >>> Slimming(method="yolov4", how="slimming", kd="chen2017").sparse_folder
            'sparse-4a42da47'
        """
        own = {**self.sparse.model_dump(), "recipe": self.recipe_of("sparse")}
        return f"sparse-{sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]}"

    def recipe_of(self, stage: str) -> dict[str, Any]:
        """Fields of the recipe that one stage changes: ``sparse`` or ``recovery``."""
        if stage == "sparse":
            return {"sparsity": {"strength": "auto"}, **self.sparse.recipe}
        taught = {"options.kd": self.kd} if self.kd != "none" else {}
        return taught if self.choose == "thin" else {**taught, **self.recovery.recipe}


class CFP(Strict):
    """Two teachers, scores, narrow network, fine-tuning with fused knowledge; or a control at the same widths.

    Wang et al., IEEE Transactions on Industrial Informatics, 2023.

    Attributes:
        method: What is compressed; a classifier whose card says ``prunable: true``.
        how: ``cfp``.
        name: Its name behind the method's; made of choice, rates and teachers by default.
        rates: Named rates of the method, published or derived, such as ``v39``; a list in words such as ``.4*5,.5*7``;
            or a rate by name of a set of channels.
        ratio: Compression of the parameters that rates are scaled to; none leaves them as they stand.
        choose: ``cfp``; controls at the widths that ``cfp`` has: ``rank``, ``l1``, ``random``; ``fresh``: these
            widths with weights as they start, taught as a cut network is, so that it lacks nothing but inherited
            weights; or ``thin``: the same, trained on labels for the epochs of all trainings behind a cut network with
            the same ``teachers``: base, fine-tuning, and teacher C where it teaches.
        images: Training images that are scored, balanced over the classes.
        scale: Larger makes more clusters.
        most_clusters: Upper bound of a layer's clusters.
        min_per_cluster: Filters that each cluster keeps at any rate; 0 is what was published.
        inherit: What the narrow network takes from the wide one; ``conv_only`` is what the released code does.
        teachers: Sliding from the instance-balanced to the class-balanced one, or one of them alone, half of
            each, or none: labels.
        fine_tuning: The training after the cut; rate and decay are the paper's where its recipe does not say them.
    """

    method: str
    how: Literal["cfp"]
    name: str | None = Field(default=None, pattern=NAME)
    rates: str | dict[str, float]
    ratio: float | None = Field(default=None, gt=1)
    choose: Literal["cfp", "rank", "l1", "random", "fresh", "thin"] = "cfp"
    images: int = Field(default=640, ge=2)
    scale: float = Field(default=2.0, gt=0)
    most_clusters: int = Field(default=4, ge=1)
    min_per_cluster: int = Field(default=0, ge=0)
    inherit: Literal["full", "conv_only"] = "full"
    teachers: Literal["r_to_c", "r", "c", "half", "none"] = "r_to_c"
    fine_tuning: Stage = Stage()

    @property
    def default_name(self) -> str:
        """Name where the study gives none."""
        size = (
            f"{self.ratio:g}x"
            if self.ratio
            else self.rates
            if isinstance(self.rates, str)
            else "own"
        )
        plain = "".join(c for c in size.lower() if c.isalnum() or c in "._")
        return f"{self.choose}{plain}" + (f"_{self.teachers}" if self.teachers in TEACHERS else "")

    @property
    def taught_by(self) -> tuple[str, ...]:
        """Teachers that a cut network learns from: ``r``, ``c``, both or none."""
        return {"r": ("r",), "c": ("c",), "none": ()}.get(self.teachers, ("r", "c"))

    def last_epochs(self, base: int) -> int:
        """Epochs of the last training, where the base and teacher C have ``base`` each.

        Example:
            >>> both = {"method": "vgg16", "how": "cfp", "rates": "v39", "fine_tuning": {"epochs": 100}}
            >>> CFP(**both).last_epochs(200), CFP(**both, choose="thin").last_epochs(200)
            (100, 500)
            >>> CFP(**both, choose="thin", teachers="r").last_epochs(200)
            300
        """
        own = self.fine_tuning.epochs or base
        return own if self.choose != "thin" else own + base * (2 if "c" in self.taught_by else 1)

    def recipe_of(self, stage: str) -> dict[str, Any]:
        """Fields of the recipe that the stage ``fine_tuning`` changes."""
        return {**FINE_TUNING, **getattr(self, stage).recipe}


Compression = Annotated[Slimming | CFP, Field(discriminator="how")]


def compressed_name(compression: Slimming | CFP) -> str:
    """Name of the compressed method, which is that of its cells' folder.

    Example:
        >>> compressed_name(Slimming(method="yolov4", how="slimming"))
        'yolov4+slim4.19mib'
    """
    return f"{compression.method}{JOINT}{compression.name or compression.default_name}"


def compressed_title(title: str, name: str) -> str:
    """Name in tables of a compressed method, from that of its base and its own name.

    Example:
        >>> compressed_title("YOLOv4", "yolov4+slim4.19mib_chen2017")
        'YOLOv4, slimmed to 4.19 MiB, chen2017'
        >>> compressed_title("YOLOv4", "yolov4+slim4.19mib_thin")
        'YOLOv4, slimmed to 4.19 MiB, thin from scratch'
        >>> compressed_title("VGG-16", "vgg16+cfpv39")
        'VGG-16, pruned by CFP (v39)'
        >>> compressed_title("VGG-16", "vgg16+cfpv39_r")
        'VGG-16, pruned by CFP (v39), teacher R alone'
        >>> compressed_title("YOLOv4", "yolov4+mine")
        'YOLOv4, mine'
    """
    own = name.partition(JOINT)[2]
    cut = re.fullmatch(rf"({'|'.join(CHOICES)})([^_].*?)(?:_({'|'.join(TEACHERS)}))?", own)
    if cut is not None:
        taught = f", {TEACHERS[cut[3]]}" if cut[3] else ""
        return f"{title}, {CHOICES[cut[1]]} ({cut[2]}){taught}"
    known = re.fullmatch(r"slim([\d.]+)(mib|percent)(?:_(.+))?", own)
    if known is None:
        return f"{title}, {own}"
    size, unit, more = known.groups()
    how = f"slimmed to {size} MiB" if unit == "mib" else f"slimmed by {size} % of its scales"
    rest = [CHOICES.get(part, part) for part in more.split("_")] if more else []
    return ", ".join([title, how, *rest])


def base_method(name: str) -> str:
    """The method behind a name, compressed or not.

    Example:
        >>> base_method("yolov4+slim4.19mib"), base_method("yolov4")
        ('yolov4', 'yolov4')
    """
    return name.partition(JOINT)[0]
