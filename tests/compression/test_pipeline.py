"""Base, sparse, prune, fine-tune with the base as teacher: what each stage leaves is what the next one takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.conftest import write_tiny_pack

from defectbench.base.methods import load_method, override_recipe
from defectbench.compression.pruning import Pruning, prune, read_plan, write_plan
from defectbench.nn.plan import Plan
from defectbench.training.loop import train

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def method():
    torch.set_num_threads(1)
    found = load_method("yolov4", MODELS)
    small = {"epochs": 1, "batch": 4, "size": 32, "options": {"width": 0.05}}
    return replace(found, recipe=override_recipe(found.recipe, small))


def with_recipe(method, **fields):
    return replace(method, recipe=override_recipe(method.recipe, fields))


def test_the_stages_fit_together(method, tmp_path):
    pack = write_tiny_pack(tmp_path / "train@32.safetensors")
    base, sparse, tuned = (tmp_path / name for name in ("base", "sparse", "tuned"))
    train(pack, method, base, seed=1, threads=1)
    weights = "weights.safetensors"
    pulled = with_recipe(method, sparsity={"strength": "auto"})
    train(pack, pulled, sparse, seed=2, threads=1, start=base / weights)
    model = method.module.build(2, width=0.05)
    model.load_state_dict(load_file(sparse / weights))
    prune(model, Pruning(target_mib=0.4, drop_units=4), [torch.rand(2, 3, 64, 64)])
    write_plan(model, tmp_path / "plan.json")
    save_file(model.state_dict(), tmp_path / weights)
    options = {"plan": read_plan(tmp_path / "plan.json"), "kd": "chen2017"}
    taught = with_recipe(method, options=options)
    train(pack, taught, tuned, 3, threads=1, teacher=base / weights, start=tmp_path / weights)
    again = taught.module.build(2, **options)
    again.load_state_dict(load_file(tuned / weights))
    assert Plan.of(again).to_dict() == options["plan"]
    assert torch.equal(again.anchors, load_file(base / weights)["anchors"])
    assert "kd_cls" in (tuned / "history.csv").read_text()
