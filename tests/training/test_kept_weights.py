"""Which weights a run ends with, and what its record says of them."""

import itertools
from dataclasses import replace

import pytest

from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from tests.runs import run_training

from .conftest import tiny_method


@pytest.fixture
def run_with(pack_path, tmp_path):
    """Train two epochs whose validation scores fall; the figures and the hash of the weights."""

    def run(keep):
        method = tiny_method(2)
        method = replace(
            method, recipe=method.recipe.model_copy(update={"validate_every": 1, "keep": keep})
        )
        scores = itertools.count(2)
        out = tmp_path / keep
        run_training(pack_path, method, out, 0, lambda network: 1 / next(scores))
        figures = read_record(out / "train.json", "train")["figures"]
        return figures, sha256_file(out / "weights.safetensors")

    return run


def test_best_and_last_epoch(run_with):
    best, of_best = run_with("best")
    last, of_last = run_with("last")
    assert (best["best_epoch"], best["val_map50_95"]) == (1, 1 / 2)
    assert (last["best_epoch"], last["val_map50_95"]) == (2, 1 / 3)
    assert best["val_map50_95_last"] == last["val_map50_95_last"] == 1 / 3
    assert of_best != of_last
