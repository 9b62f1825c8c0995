"""Base, sparse, prune, recover with the base as teacher: what each stage leaves is what the next one takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.runs import run_training
from tests.training.conftest import write_tiny_pack

from defectbench.base.compressions import Pruning
from defectbench.base.errors import CompressionError, ConfigError
from defectbench.base.methods import load_method, override_recipe
from defectbench.base.records import read_record
from defectbench.compression.slimming.prune_detector import prune_detector
from defectbench.nn.plan import Plan, read_plan

MODELS = Path(__file__).parents[3] / "models"
WEIGHTS = "weights.safetensors"
# what a record says of published weights behind a run
ORIGIN = {"name": "coco", "data": "COCO", "licence": "MIT", "sha256": "0" * 64}


@pytest.fixture(scope="module")
def method():
    torch.set_num_threads(1)
    found = load_method("yolov4", MODELS)
    small = {"epochs": 1, "batch": 4, "size": 32, "options": {"width": 0.05}}
    return replace(found, recipe=override_recipe(found.recipe, small))


def with_recipe(method, **fields):
    return replace(method, recipe=override_recipe(method.recipe, fields))


@pytest.fixture(scope="module")
def stages(method, tmp_path_factory):
    """Folders of a base, its sparse training and the cut, and the pack that they saw."""
    root = tmp_path_factory.mktemp("chain")
    pack = write_tiny_pack(root / "train@32.safetensors")
    run_training(pack, method, root / "base", seed=1)
    pulled = with_recipe(method, sparsity={"strength": "auto"})
    run_training(pack, pulled, root / "sparse", seed=2, start=root / "base" / WEIGHTS)
    trained = root / "sparse" / "train.json"
    behind = {**json.loads(trained.read_text()), "start": ORIGIN | {"n_tensors_loaded": 9}}
    trained.write_text(json.dumps(behind))
    settings = Pruning(target_mib=0.4, drop_units=4)
    prune_detector(
        root / "sparse" / WEIGHTS, pack, method, root / "pruned", settings, 3, batches=2, batch=4
    )
    return root, pack


def test_the_record_of_a_cut_tells_what_went(stages, method):
    root, _ = stages
    record = read_record(root / "pruned" / "prune.json", "prune")
    figures, plan = record["figures"], read_plan(root / "pruned" / "plan.json")
    assert figures["size_mib"] <= 0.4 < figures["size_mib_before"]
    assert figures["size_mib"] < figures["size_mib_channels"] < figures["size_mib_before"]
    assert len(figures["units_dropped"]) == 4
    assert len(record["unit_scores"]) == 23
    whole = method.module.build(2, width=0.05)
    norms = [m for m in whole.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert sum(record["scale_histogram"]["count"]) == sum(norm.num_features for norm in norms)
    widths = record["widths"]
    assert {name: after for name, (_, after) in widths.items() if after} == plan["widths"]
    dropped = {name for name, (_, after) in widths.items() if not after}
    assert dropped == {f"{u}.{p}.0" for u in figures["units_dropped"] for p in ("reduce", "expand")}
    assert all(1 <= after <= before for before, after in widths.values() if after)
    assert record["recipe"]["options"] == {"width": 0.05, "plan": plan}
    assert record["start"] == ORIGIN


def test_the_channels_alone_are_those_of_the_whole_cut(stages, method, tmp_path):
    root, pack = stages
    sparse, settings = root / "sparse" / WEIGHTS, Pruning(target_mib=0.4, drop_units=4)
    prune_detector(
        sparse, pack, method, tmp_path, settings, 3, batches=2, batch=4, channels_alone=True
    )
    records = [read_record(f / "prune.json", "prune") for f in (tmp_path, root / "pruned")]
    assert [record["channels_alone"] for record in records] == [True, False]
    alone, whole = (record["figures"] for record in records)
    assert alone["units_dropped"] == []
    assert alone["size_mib"] == whole["size_mib_channels"] > whole["size_mib"]
    wide, cut = (read_plan(f / "plan.json") for f in (tmp_path, root / "pruned"))
    assert cut["widths"].items() < wide["widths"].items()
    assert len(wide["widths"]) == len(cut["widths"]) + 8


def test_the_recovered_network_has_the_plan_the_anchors_and_a_teacher(stages, method, tmp_path):
    root, pack = stages
    options = {"plan": read_plan(root / "pruned" / "plan.json"), "kd": "chen2017"}
    taught = with_recipe(method, options=options)
    base = root / "base" / WEIGHTS
    run_training(pack, taught, tmp_path, 4, teacher=base, start=root / "pruned" / WEIGHTS)
    again = taught.module.build(2, **options)
    again.load_state_dict(load_file(tmp_path / WEIGHTS))
    assert Plan.of(again).to_dict() == options["plan"]
    assert torch.equal(again.anchors, load_file(base)["anchors"])
    assert "kd_cls" in (tmp_path / "history.csv").read_text()
    own, first, sparse = (
        read_record(folder / "train.json", "train")
        for folder in (tmp_path, root / "base", root / "sparse")
    )
    cut = read_record(root / "pruned" / "prune.json", "prune")
    # the base is paid for once, though the run starts from it and learns from it
    seconds = [r["seconds"] for r in (own, first, sparse, cut)]
    assert own["figures"]["train_s"] == pytest.approx(sum(seconds), abs=0.3)
    assert cut["figures"]["prune_s"] == pytest.approx(cut["seconds"], abs=0.06)
    assert (own["figures"]["epochs"], own["figures"]["start_epochs"]) == (1, 2)
    assert own["figures"]["stored_mib"] <= 0.4
    assert own["lineage"][:2] == [first["weights_sha256"], sparse["weights_sha256"]]


def test_a_plan_of_another_network_is_a_named_error(stages, method, tmp_path):
    root, pack = stages
    plan = json.loads((root / "pruned" / "plan.json").read_text())
    plan["widths"] = {name.replace("backbone", "trunk"): w for name, w in plan["widths"].items()}
    start = root / "pruned" / WEIGHTS
    with pytest.raises(CompressionError, match=r"plan: widths\.trunk"):
        run_training(pack, with_recipe(method, options={"plan": plan}), tmp_path, 4, start=start)
    with pytest.raises(ConfigError, match="same network"):
        run_training(pack, method, tmp_path, 4, start=start)


def test_weights_of_another_method_or_without_their_record_are_refused(stages, method, tmp_path):
    root, pack = stages
    other = load_method("yolov8n", MODELS)
    with pytest.raises(ConfigError, match="weights are of yolov4"):
        prune_detector(root / "sparse" / WEIGHTS, pack, other, tmp_path, Pruning(), 0, batch=4)
    save_file(load_file(root / "sparse" / WEIGHTS), tmp_path / WEIGHTS)
    with pytest.raises(ConfigError, match=r"train\.json, prune\.json or published\.json"):
        prune_detector(tmp_path / WEIGHTS, pack, method, tmp_path / "out", Pruning(), 0)


def test_an_option_that_no_build_knows_is_a_named_error(stages, method, tmp_path):
    _, pack = stages
    with pytest.raises(ConfigError, match=r"options\.teach: got 1; name one of width, plan, kd"):
        run_training(pack, with_recipe(method, **{"options.teach": 1}), tmp_path, 1)


def test_a_sparse_run_keeps_what_it_ends_with(stages, method, tmp_path):
    _, pack = stages
    scores = iter([0.9, 0.1])
    changes = {"sparsity": {"strength": "auto"}, "epochs": 2, "validate_every": 1}
    pulled = with_recipe(method, **changes)
    run_training(pack, pulled, tmp_path, 1, validator=lambda _: next(scores))
    figures = read_record(tmp_path / "train.json", "train")["figures"]
    assert (figures["best_epoch"], figures["val_map50_95"]) == (2, 0.1)
