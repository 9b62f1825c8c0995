"""Recipes changed from a command line."""

import pytest

from defectbench.base.errors import ConfigError
from defectbench.base.methods import Optimizer, Recipe, changed_recipe

RECIPE = Recipe(optimizer=Optimizer(lr=0.1))


def test_fields_are_replaced_by_their_dotted_name():
    made = changed_recipe(RECIPE, ["optimizer.lr=0.2", "augmentation.scale=[0.5, 1.5]", "batch=8"])
    assert made.optimizer.lr == 0.2
    assert made.augmentation.scale == (0.5, 1.5)
    assert (made.batch, RECIPE.batch) == (8, 32)


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ("optimizer.lr", "FIELD=VALUE"),
        ("optimizer.lr=[1", "as YAML"),
        ("optimizer.speed=1", "name a field"),
        ("nothing.at.all=1", "name a field"),
        ("batch=many", "batch"),
    ],
)
def test_a_change_that_does_not_fit_is_named(change, fix):
    with pytest.raises(ConfigError, match=fix):
        changed_recipe(RECIPE, [change])
