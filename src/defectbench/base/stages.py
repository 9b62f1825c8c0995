"""What the settings of all ways of compression share: a further training, names, and what the report asks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from .strict import BatchSize, Epochs, Strict
from .tasks import Task

NAME = r"^[a-z0-9][a-z0-9_.]*$"  # of a way of compression, of a way of teaching
THIN = "thin"  # the control that has the widths of a cut network and learns from scratch
THIN_TITLE = "thin from scratch"
SCORED = (
    "accuracy.json",
    "complexity.json",
)  # the records of a network that is measured and not timed

SEEDS = {"seed": "write `seeds` of the block"}
BESIDE_STAGE = {
    **dict.fromkeys(("epochs", "batch"), "it is a field of the stage"),
    **dict.fromkeys(("size", "tiles", "threads", "device"), "it is a field of the base's budget"),
    **SEEDS,
}


def refuse_budget_in_recipe(recipe: Mapping[str, Any], instead: Mapping[str, str]) -> None:
    """Stop where a change of a recipe names what stands beside it.

    Args:
        recipe: Changes by dotted name.
        instead: What to do, by the name that is none of a recipe or would have no effect in it.

    Raises:
        ValueError: It does.
    """
    for name in recipe:
        if name in instead:
            raise ValueError(f"`{name}` in a recipe has no effect here; {instead[name]}")


class Stage(Strict):
    """How one further training of a pipeline differs from its method's recipe and budget.

    Attributes:
        epochs: Passes over the training part; those of the base by default.
        batch: Images a step; those of the base by default.
        recipe: Single fields of the recipe, by dotted name.
    """

    epochs: Epochs | None = None
    batch: BatchSize | None = None
    recipe: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _recipe_leaves_the_budget_alone(self) -> Stage:
        refuse_budget_in_recipe(self.recipe, BESIDE_STAGE)
        return self


class CompressionSettings(Strict):
    """What the settings of every way answer; here stands what most of them say.

    Attributes:
        task: What the methods solve that it makes smaller.
        stages: Its own trainings, whose recipes it changes.
        before_cut: Trainings below the base's cell that a cut starts from: their titles in tables, by name.
    """

    task: ClassVar[Task]
    stages: ClassVar[tuple[str, ...]]
    before_cut: ClassVar[Mapping[str, str]] = {}

    def card_fault(self, rates: Mapping[str, Any]) -> tuple[str, object, str] | None:
        """A field that the method's card contradicts, its value and a fix; None where none is.

        Args:
            rates: Rates by name that the card holds.
        """
        return None

    @staticmethod
    def decides_widths(settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Those settings of a cut that all cuts share whose widths must be equal; None where none must.

        Args:
            settings: Settings of the record of the cut.
        """
        return None
