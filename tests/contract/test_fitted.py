"""The contract of every method that looks at its training part once, for each whose card says ``fitted``."""

import pytest
import torch
from safetensors.torch import load_file
from tests.contract.conftest import CARDS, SHELVES
from tests.free_packs import write_free_pack
from tests.runs import split_fields

from defectbench.base.methods import build_network, load_method
from defectbench.base.records import read_record
from defectbench.base.tasks import TASKS
from defectbench.deploy.export_run import export_run
from defectbench.deploy.predict import predict
from defectbench.measure.complexity import count
from defectbench.measure.validation import make_validator
from defectbench.nn.trainable import Fitted
from defectbench.training.fitting import fit

SIDE = 64
FITTED = [name for name, card in CARDS.items() if card.fitted]


@pytest.fixture(scope="module", params=FITTED)
def method(request):
    return load_method(request.param, SHELVES[request.param])


@pytest.fixture(scope="module")
def cell(method, tmp_path_factory):
    """A cell that was fitted and exported, and the packs that it was made and scored with."""
    home = tmp_path_factory.mktemp(method.card.name)
    train = write_free_pack(home / "train.safetensors", SIDE, 12)
    val = write_free_pack(home / "val.safetensors", SIDE, 22, 8, seed=1, part="val")
    settings, sources = split_fields(train, {})
    validator = make_validator(val, task=method.card.task)
    fit(method, settings, sources, home / "cell", validator)
    export_run(home / "cell", method)
    return home


def test_its_recipe_and_its_network_look_once(method):
    assert method.recipe.optimizer is None
    assert method.recipe.epochs == 1
    network = build_network(method, 3, method.recipe.options)
    assert isinstance(network, Fitted)
    assert method.card.takes


def test_it_leaves_weights_records_and_a_file_that_scores_as_it_did(method, cell):
    task = TASKS[method.card.task]
    record = read_record(cell / "cell" / "train.json", "train")
    assert record["figures"][task.validation_key] is not None
    assert record["fitted_to"]["image_ids"] == list(range(1, 13))
    rows = predict(cell / "cell" / "model.onnx", cell / "val.safetensors", cell / "p.json")
    network = build_network(method, 1, record["recipe"]["options"])
    network.load_state_dict(load_file(cell / "cell" / "weights.safetensors"))
    validator = make_validator(cell / "val.safetensors", task=method.card.task)
    assert validator(network) == record["figures"][task.validation_key]
    assert len(rows) == 30


def test_its_file_is_counted_by_three_counters(method, cell):
    figures = count(cell / "cell" / "model.onnx", cell / "complexity.json")["figures"]
    assert (
        figures["params"] > method.card.golden.params
    )  # what it took from its images stands in the file
    assert figures["macs"] > 0


def test_a_seed_fits_the_same_twice(method, cell, tmp_path):
    settings, sources = split_fields(cell / "train.safetensors", {})
    fit(method, settings, sources, tmp_path / "again", None)
    first, again = (
        load_file(folder / "weights.safetensors") for folder in (cell / "cell", tmp_path / "again")
    )
    assert list(first) == list(again)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
