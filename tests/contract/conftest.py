"""Every method of the engine as a fixture: a new folder in models/ is tested by being there."""

from pathlib import Path

import pytest
import torch

from defectbench.base.methods import load_card, load_method, method_names

MODELS = Path(__file__).parents[2] / "models"
ENGINE = [name for name in method_names(MODELS) if load_card(MODELS / name).family == "engine"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=ENGINE)
def method(request):
    return load_method(request.param, MODELS)
