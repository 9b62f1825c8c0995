"""Fields of models in words."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from defectbench.base.cards import DatasetCard
from defectbench.base.methods import MethodCard, Recipe
from defectbench.base.studies import Study
from defectbench.documentation.fields import described, field_rows, in_words, models_within, summary


class Depth(BaseModel):
    """How deep.

    Attributes:
        mm: In millimetres, where
            ``auto`` is not enough.
    """

    mm: float | Literal["auto"] = Field(default=1.5, gt=0, le=9)


class Cut(Depth):
    """A cut.

    It has a second paragraph.

    Attributes:
        name: Its name.
        next_ones: Those behind it.

    Example:
        >>> 1
        1
    """

    name: str = Field(pattern="^[a-z]+$")
    next_ones: list[Depth] = []
    folder: Path = Path("set/by/a/loader")


def test_a_field_is_told_with_its_limits_default_and_meaning():
    rows = {row.name: row for row in field_rows(Cut)}
    assert list(rows) == ["mm", "name", "next_ones"]
    assert rows["mm"].takes == "number or `auto`, above 0, at most 9"
    assert rows["mm"].default == "`1.5`"
    assert rows["mm"].meaning == "In millimetres, where `auto` is not enough."
    assert (rows["name"].takes, rows["name"].default) == ("text, of the form `^[a-z]+$`", "")
    assert rows["next_ones"].takes == "list of [Depth](#depth)"


def test_a_class_is_told_by_the_prose_before_its_sections():
    assert summary(Cut) == "A cut.\n\nIt has a second paragraph."
    assert described(Cut) == {
        "mm": "In millimetres, where ``auto`` is not enough.",
        "name": "Its name.",
        "next_ones": "Those behind it.",
    }


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (int | None, "whole number"),
        (dict[str, list[int]], "list of whole number by name"),
        (tuple[float, float], "list of 2: number, number"),
        (Literal["a", "b"], "`a` or `b`"),
    ],
)
def test_types_are_told_in_words(annotation, words):
    assert in_words(annotation) == words


@pytest.mark.parametrize("root", [Study, Recipe, MethodCard, DatasetCard])
def test_every_field_that_a_user_may_write_has_a_meaning(root):
    models = models_within(root)
    assert models[0] is root
    bare = [f"{m.__name__}.{row.name}" for m in models for row in field_rows(m) if not row.meaning]
    assert bare == []
