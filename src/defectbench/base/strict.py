"""Models of what users write: a field that is not known is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen model that refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
