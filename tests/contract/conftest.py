"""Every method of the engine as a fixture: a new folder in models/ or examples/ is tested by being there."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from defectbench.base.methods import load_card, load_method, method_names, override_recipe

ROOT = Path(__file__).parents[2]
SHELVES = {
    name: shelf for shelf in (ROOT / "models", ROOT / "examples") for name in method_names(shelf)
}
CARDS = {name: load_card(shelf / name) for name, shelf in SHELVES.items()}
ENGINE = [name for name, card in CARDS.items() if card.family == "engine"]
DETECTORS = [name for name in ENGINE if CARDS[name].task == "detection"]
CLASSIFIERS = [name for name in ENGINE if CARDS[name].task == "classification"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=DETECTORS)
def method(request):
    return load_method(request.param, SHELVES[request.param])


@pytest.fixture(scope="module", params=CLASSIFIERS)
def classifier(request):
    return load_method(request.param, SHELVES[request.param])


@pytest.fixture(scope="module")
def slender(method):
    """The method; a heavy one that can be built narrower at a quarter of its widths: the same graph, a 16th of the work.

    One that chooses among cells chooses them all here: before it has learnt, they score alike, and which of two equal
    ones an engine takes is its own affair.
    """
    options = {}
    if method.card.heavy and "width" in inspect.signature(method.module.build).parameters:
        options["options.width"] = 0.25
    if "queries" in method.recipe.options:
        options["options.queries"] = 1000
    if options:
        return replace(method, recipe=override_recipe(method.recipe, options))
    return method


@pytest.fixture(scope="module")
def built(slender):
    """The network of six classes, which tests copy."""
    torch.manual_seed(0)
    return slender.module.build(6, **slender.recipe.options)
