"""A run that starts from the weights of another one."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from defectbench.base.errors import ConfigError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from defectbench.data.pack import load_pack
from tests.runs import prepare_run, run_training

from .conftest import TinyDetector, tiny_method


class Fitted(TinyDetector):
    """Takes the mean side of the boxes, and would take another of another seed."""

    def __init__(self, nc):
        super().__init__(nc)
        self.register_buffer("side", torch.zeros(()))

    def fit_to(self, boxes, seed):
        self.side.fill_(float((boxes[:, 2:] - boxes[:, :2]).mean()) + seed % 1000)

    def facts(self, boxes):
        return {"side_px": float(self.side)}


@pytest.fixture
def fitted(method):  # which moves to the project's root
    return tiny_method(network=Fitted)


@pytest.fixture
def start(tmp_path, fitted, pack_path):
    run_training(pack_path, fitted, tmp_path / "base", seed=1, epochs=1)
    return tmp_path / "base" / "weights.safetensors"


def test_weights_average_and_what_was_fitted_are_those_of_the_start(
    start, fitted, pack_path, tmp_path
):
    pack, known = load_pack(pack_path), load_file(start)
    run = prepare_run(pack_path, fitted, tmp_path / "run", 2, pack, start=start)
    for model in (run.model, run.average.model):
        state = model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in known.items())
    assert run.facts == {"side_px": float(known["side"])}


def test_the_start_is_recorded_and_another_one_begins_anew(start, fitted, pack_path, tmp_path):
    folder = tmp_path / "run"
    run_training(pack_path, fitted, folder, seed=2, start=start)
    record = read_record(folder / "train.json", "train")
    assert record["inputs"]["start"]["sha256"] == sha256_file(start)
    assert load_file(folder / "weights.safetensors")["side"] == load_file(start)["side"]
    first = sha256_file(folder / "weights.safetensors")
    run_training(pack_path, fitted, folder, seed=2)
    assert (folder / "checkpoint.replaced").exists()
    assert "start" not in read_record(folder / "train.json", "train")["inputs"]
    assert sha256_file(folder / "weights.safetensors") != first


def test_weights_of_another_network_are_refused(start, method, fitted, pack_path, tmp_path):
    with pytest.raises(ConfigError, match="same network"):
        run_training(pack_path, method, tmp_path / "run", seed=2, start=start)
    with pytest.raises(ConfigError, match="starts from"):
        run_training(pack_path, fitted, tmp_path / "run", seed=2, start=tmp_path / "none")
    save_file({"side": torch.zeros(())}, start)
    with pytest.raises(ConfigError, match="same network"):
        run_training(pack_path, fitted, tmp_path / "run", seed=2, start=start)
