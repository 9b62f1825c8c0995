"""The contract of every detector whose card says ``prunable: true``: base, sparse, cut, recovery, and files that run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from tests.runs import run_training
from tests.training.conftest import write_tiny_pack

from defectbench.base.catalogue import load_catalogue
from defectbench.base.compressions import Pruning
from defectbench.base.errors import CompressionError, ConfigError
from defectbench.base.methods import load_method, override_recipe
from defectbench.base.records import read_record
from defectbench.compression.slimming.prune_detector import prune_detector
from defectbench.deploy.export_run import export_run
from defectbench.nn.plan import Plan, read_plan
from defectbench.nn.size import stored_mib

MODELS = Path(__file__).parents[2] / "models"
CARDS = load_catalogue(MODELS).cards
PRUNABLE = [n for n, card in CARDS.items() if card.prunable and card.task == "detection"]
WEIGHTS = "weights.safetensors"
SIZE = 64


def taught(method, nc):
    """Its options and the first way of teaching that it knows."""
    for kd in ("chen2017", "ekl"):
        options = {**method.recipe.options, "kd": kd}
        try:
            method.module.build(nc, **options)
        except ConfigError:
            continue
        return options
    raise AssertionError(f"{method.card.name} learns from no base")


@pytest.fixture(scope="module", params=PRUNABLE)
def chain(request, tmp_path_factory):
    """A method at its tiny size, and a folder with its base, sparse training, cut and recovery."""
    torch.set_num_threads(1)
    root, found = tmp_path_factory.mktemp(request.param), load_method(request.param, MODELS)
    small = {"options.width": 0.05} if CARDS[request.param].heavy else {}
    small |= {"epochs": 1, "batch": 7, "size": SIZE, "ema.short_run_share": 0.5}
    method = replace(found, recipe=override_recipe(found.recipe, small))
    pack = write_tiny_pack(root / f"train@{SIZE}.safetensors", size=SIZE)
    run_training(pack, method, root / "base", seed=1)
    pulled = replace(method, recipe=override_recipe(method.recipe, {"sparsity": {}}))
    run_training(pack, pulled, root / "sparse", seed=2, start=root / "base" / WEIGHTS)
    half = read_record(root / "base" / "train.json", "train")["figures"]["stored_mib"] / 2
    settings = Pruning(target_mib=half)
    sparse = root / "sparse" / WEIGHTS
    prune_detector(sparse, pack, method, root / "pruned", settings, 3, batches=2, batch=7)
    options = {**taught(method, 2), "plan": read_plan(root / "pruned" / "plan.json")}
    planned = replace(method, recipe=method.recipe.model_copy(update={"options": options}))
    start, teacher = root / "pruned" / WEIGHTS, root / "base" / WEIGHTS
    run_training(pack, planned, root / "final", seed=4, start=start, teacher=teacher)
    return method, root, half


def rebuilt(method, root, stage):
    """The network of a stage from its record and its weights."""
    kind = "prune" if stage == "pruned" else "train"
    options = read_record(root / stage / f"{kind}.json", kind)["recipe"]["options"]
    model = method.module.build(2, **options)
    model.load_state_dict(load_file(root / stage / WEIGHTS), strict=True)
    return model.eval()


def test_sizes_meet_the_target_and_no_width_is_below_one(chain):
    method, root, half = chain
    record = read_record(root / "pruned" / "prune.json", "prune")
    assert 0.9 * half < record["figures"]["size_mib"] <= half
    assert all(after >= 1 for _, after in record["widths"].values())
    assert any(after < before for before, after in record["widths"].values())
    for stage in ("pruned", "final"):
        assert stored_mib(rebuilt(method, root, stage)) == record["figures"]["size_mib"]


def test_weights_and_plan_rebuild_the_cut_network_to_the_bit(chain):
    method, root, _ = chain
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    first, again = (rebuilt(method, root, "pruned") for _ in range(2))
    plan = read_plan(root / "pruned" / "plan.json")
    assert Plan.of(again).to_dict() == Plan.of(first).to_dict() == plan
    with torch.no_grad():
        assert torch.equal(first(images), again(images))
        assert again(images).shape == rebuilt(method, root, "base")(images).shape


def test_a_plan_of_another_network_is_a_named_error(chain):
    method, root, _ = chain
    plan = read_plan(root / "pruned" / "plan.json")
    for wrong in (
        {**plan, "widths": {**plan["widths"], "trunk.0": 3}},
        {**plan, "widths": dict.fromkeys(plan["widths"], 0)},
    ):
        options = {**method.recipe.options, "plan": wrong}
        with pytest.raises(CompressionError, match=r"plan: widths\."):
            method.module.build(2, **options)


def test_costs_add_up_and_every_run_names_where_it_comes_from(chain):
    _, root, _ = chain
    names = (("base", "train"), ("sparse", "train"), ("pruned", "prune"), ("final", "train"))
    records = [read_record(root / stage / f"{kind}.json", kind) for stage, kind in names]
    costs = [record["figures"]["train_s"] for record in records]
    assert costs == sorted(set(costs))
    hashes = [record["weights_sha256"] for record in records]
    assert len(set(hashes)) == 4
    assert records[3]["lineage"] == hashes[:3]
    assert [r["figures"]["epochs"] for r in records] == [1, 1, 2, 1]
    assert records[3]["figures"]["start_epochs"] == 2


def test_the_base_taught_the_cut_network(chain):
    _, root, _ = chain
    teacher = read_record(root / "base" / "train.json", "train")["weights_sha256"]
    record = read_record(root / "final" / "train.json", "train")
    assert teacher in str(record)
    assert "kd_cls" in (root / "final" / "history.csv").read_text()


def test_the_file_of_the_cut_network_computes_what_it_does(chain):
    method, root, _ = chain
    export_run(root / "pruned", method, "prune")
    session = onnxruntime.InferenceSession(root / "pruned" / "model.onnx")
    images = torch.rand(2, 3, SIZE, SIZE)
    boxes, scores = session.run(["boxes", "scores"], {"images": images.numpy()})
    model = rebuilt(method, root, "pruned")
    with torch.no_grad():
        expected = model.decode(model(images), SIZE, SIZE)
    np.testing.assert_allclose(boxes, expected[0].numpy(), atol=1e-4 * SIZE)
    np.testing.assert_allclose(scores, expected[1].numpy(), atol=1e-4)
