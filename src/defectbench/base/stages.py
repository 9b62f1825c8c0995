"""What the settings of all ways of compression share: a further training, and names."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .strict import Strict

NAME = r"^[a-z0-9][a-z0-9_.]*$"  # of a way of compression, of a way of teaching
THIN = "thin"  # the control that has the widths of a cut network and learns from scratch
THIN_TITLE = "thin from scratch"


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
