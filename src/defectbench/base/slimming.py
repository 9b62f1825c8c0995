"""Settings of network slimming: how much of a detector goes, by which rule, and what is trained around the cut."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from .stages import NAME, SCORED, THIN, THIN_TITLE, CompressionSettings, Stage
from .strict import Strict
from .tasks import DETECTION, Task

FADED = 0.01  # a scale of a batch norm below this has faded
PLAIN = ("scales", "none")  # what the name of a slimmed network leaves out


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
    target_mib: float = Field(default=4.19, gt=0, le=1_000_000)
    percent: float = Field(default=0.85, ge=0, le=1)
    layer_keep: float = Field(default=0.01, ge=0, le=1)
    round_to: int = Field(default=1, ge=1, le=4096)
    drop_units: int = Field(default=0, ge=0, le=4096)
    absorb: bool = True

    @property
    def how_much_goes(self) -> Pruning:
        """These fields alone, without what a class behind this one adds and without the aim of the other rule."""
        other = "percent" if self.rule == "size" else "target_mib"
        names = [name for name in Pruning.model_fields if name != other]
        return Pruning(**{name: getattr(self, name) for name in names})


class Slimming(Pruning, CompressionSettings):
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

    task: ClassVar[Task] = DETECTION
    stages: ClassVar[tuple[str, ...]] = ("sparse", "recovery")
    before_cut: ClassVar[Mapping[str, str]] = {"sparse": "after sparse training"}

    method: str
    how: Literal["slimming"]
    name: str | None = Field(default=None, pattern=NAME)
    batches: int = Field(default=200, ge=1, le=1_000_000)
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
        parts = [f"slim{size}", *(word for word in (self.choose, self.kd) if word not in PLAIN)]
        return "_".join(parts)

    def last_epochs(self, base: int) -> int:
        """Epochs of the last training, where the base has ``base``.

        Example:
            >>> cut = {"method": "yolov4", "how": "slimming", "recovery": {"epochs": 40}}
            >>> Slimming(**cut).last_epochs(100), Slimming(**cut, choose="thin").last_epochs(100)
            (40, 240)
        """
        epochs = self.recovery.epochs or base
        return epochs if self.choose != "thin" else base + (self.sparse.epochs or base) + epochs

    @property
    def sparse_folder(self) -> str:
        """Folder of the sparse training below the base's cell: one for all that differ behind it.

        Example:
            >>> Slimming(method="yolov4", how="slimming", kd="chen2017").sparse_folder
            'sparse-4a42da47'
        """
        stage = {**self.sparse.model_dump(), "recipe": self.recipe_of("sparse")}
        return f"sparse-{sha256(json.dumps(stage, sort_keys=True).encode()).hexdigest()[:8]}"

    @property
    def cut_records(self) -> list[str]:
        """What the report reads of the cut, as paths below the compressed cell."""
        if self.choose == THIN:
            return ["pruned/prune.json"]
        cuts = ("pruned", "pruned/channels") if self.drop_units else ("pruned",)
        return [f"{cut}/{name}" for cut in cuts for name in (*SCORED, "prune.json")]

    @property
    def shared_records(self) -> list[str]:
        """What the report reads of trainings that several cuts start from, as paths below the base's cell."""
        return [f"{self.sparse_folder}/{name}" for name in (*SCORED, "train.json")]

    def recipe_of(self, stage: str) -> dict[str, Any]:
        """Fields of the recipe that one stage changes: ``sparse`` or ``recovery``."""
        if stage == "sparse":
            return {"sparsity": {"strength": "auto"}, **self.sparse.recipe}
        taught = {"options.kd": self.kd} if self.kd != "none" else {}
        return taught if self.choose == "thin" else {**taught, **self.recovery.recipe}

    @staticmethod
    def was_afresh(settings: Mapping[str, Any], training: Mapping[str, Any]) -> bool:
        """Whether a cell took nothing but widths from the cut: its training then started at no network.

        Args:
            settings: Settings of the record of the cut.
            training: Figures of the record of the last training; none where it is missing.
        """
        return bool(training) and "start_epochs" not in training

    @staticmethod
    def title_of(name: str) -> str | None:
        """Words for a name that ``default_name`` made; None for any other.

        Example:
            >>> Slimming.title_of("slim4.19mib_chen2017")
            'slimmed to 4.19 MiB, chen2017'
        """
        parts = re.fullmatch(r"slim([\d.]+)(mib|percent)(?:_(.+))?", name)
        if parts is None:
            return None
        size, unit, rest = parts.groups()
        how = f"slimmed to {size} MiB" if unit == "mib" else f"slimmed by {size} % of its scales"
        words = [THIN_TITLE if part == THIN else part for part in rest.split("_")] if rest else []
        return ", ".join([how, *words])
