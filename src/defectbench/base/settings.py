"""Settings of a training as a study's rules and people hand them over."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .stages import refuse_budget_in_recipe
from .strict import BatchSize, Epochs, Strict, Threads

LAST_DRAWN_SEED = 2**63 - 1  # a run that serves another may draw from a seed that was derived
Role = Literal["teacher", "sparse", "recovery", "fine-tuning", "thin"]


class TrainingSettings(Strict):
    """How one run trains, other than its method's recipe says. It is one JSON object on a command line.

    Attributes:
        seed: Seed of the cell.
        epochs: Passes over the training part; the recipe's by default.
        batch: Images a step; the recipe's by default.
        threads: Processor threads; those of torch by default.
        device: Where to train: ``cpu``, ``cuda`` or ``auto``, a GPU where there is one.
        recipe: Single fields of the recipe by dotted name, such as ``optimizer.lr``.
        role: What the run is for where it serves another: it then draws from a seed of its own, derived from the
            cell's and this.
    """

    seed: int = Field(default=0, ge=0, le=LAST_DRAWN_SEED)
    epochs: Epochs | None = None
    batch: BatchSize | None = None
    threads: Threads | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    recipe: dict[str, Any] = Field(default={})
    role: Role | None = None

    @model_validator(mode="after")
    def _budget_stands_beside_the_recipe(self) -> TrainingSettings:
        fields = ("epochs", "batch", "threads", "device", "seed")
        instead = dict.fromkeys(fields, "it is a field of the settings")
        of_pack = dict.fromkeys(("size", "tiles"), "it is that of the pack")
        refuse_budget_in_recipe(self.recipe, {**instead, **of_pack})
        return self
