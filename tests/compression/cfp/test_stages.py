"""The stages of collaborative filter pruning fit together: what each leaves is what the next one takes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.class_packs import write_class_pack
from tests.runs import run_training

from defectbench.base.compressions import CFP
from defectbench.base.errors import CompressionError, ConfigError
from defectbench.base.files import read_json, sha256_file
from defectbench.base.methods import build_network, load_method, override_recipe
from defectbench.base.records import read_record
from defectbench.base.steps import FineTuning
from defectbench.compression.cfp.fine_tune import fine_tune
from defectbench.compression.cfp.prune_classifier import prune_classifier
from defectbench.compression.cfp.score_classifier import (
    read_classifier,
    score_classifier,
)
from defectbench.compression.cfp.surgery import cut_classifier
from defectbench.deploy.export_run import export_run
from defectbench.report.records.cells import epochs_of
from defectbench.training.randomness import derived_seed
from defectbench.training.start import read_start

MODELS = Path(__file__).parents[3] / "models"
SIDE, WEIGHTS = 32, "weights.safetensors"
BUDGET = {"epochs": 1, "batch": 12, "threads": 1, "device": "cpu"}
EQUAL = ("cfp", "rank", "l1", "random", "fresh", "thin")
RATES = {"vgg16": "published", "repvgg_a0": "published", "resnet50": "r59", "mobilenetv2": "even"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def small(name):
    found = load_method(name, MODELS)
    fields = {"options": {"width": 0.125}, "epochs": 1, "batch": 12}
    return replace(found, recipe=override_recipe(found.recipe, fields))


def tuning(**fields):
    return FineTuning(**{**BUDGET, **fields})


def settings(method, **fields):
    return CFP.model_validate(
        {"method": method.card.name, "how": "cfp", "rates": RATES[method.card.name], **fields}
    )


@pytest.fixture(scope="module", params=RATES)
def taught(request, tmp_path_factory):
    """A method, a pack and the folder of its cell: base, class-balanced teacher, scores."""
    torch.set_num_threads(1)
    method, home = small(request.param), tmp_path_factory.mktemp(request.param)
    pack = write_class_pack(home / f"train@{SIDE}.safetensors", SIDE, (14, 7, 3))
    run_training(pack, method, home / "base", seed=0)
    balanced = replace(method, recipe=override_recipe(method.recipe, {"order": "class_balanced"}))
    run_training(pack, balanced, home / "base" / "teacher_c", derived_seed(0, 0, "teacher"))
    score_classifier(home / "base" / WEIGHTS, pack, method, home / "base" / "scores.json", 9)
    return method, pack, home / "base"


def cut(taught, out, **fields):
    method, pack, base = taught
    files = (base / WEIGHTS, base / "scores.json", pack)
    return prune_classifier(*files, method, out, settings(method, **fields), seed=0)


def test_scores_say_what_they_looked_at(taught):
    _, _, base = taught
    record = read_record(base / "scores.json", "scores")
    assert record["figures"]["images"] == 9
    assert record["images_per_class"] == {"across": 3, "along": 3, "plain": 3}
    arrays = load_file(base / "scores.safetensors")
    assert len(arrays) == 2 * record["figures"]["sets"]
    assert all(value.isfinite().all() for value in arrays.values())


def test_controls_have_equal_widths_and_other_channels(taught, tmp_path):
    records = {choice: cut(taught, tmp_path / choice, choose=choice) for choice in EQUAL}
    plans = {choice: read_json(tmp_path / choice / "plan.json") for choice in EQUAL}
    widths = [plan["widths"] for plan in plans.values()]
    assert all(one == widths[0] for one in widths)
    kept = [json.dumps(plans[choice]["kept"]) for choice in ("cfp", "rank", "l1", "random")]
    assert len(set(kept)) == 4
    assert "kept" not in plans["thin"] | plans["fresh"]
    for choice, record in records.items():
        figures = record["figures"]
        assert figures["params"] == records["cfp"]["figures"]["params"] < figures["params_before"]
        assert {k: after for k, (_, after) in record["widths"].items()} == plans[choice]["widths"]
        state = load_file(tmp_path / choice / WEIGHTS)
        assert sum(v.numel() for v in state.values()) > 0


def test_the_files_of_a_cut_rebuild_it_bit_by_bit(taught, tmp_path):
    method, _, base = taught
    cut(taught, tmp_path)
    plan = read_json(tmp_path / "plan.json")
    whole = read_classifier(read_start(base / WEIGHTS), method, 3)
    assert plan["base_widths"] == whole.widths
    expected = cut_classifier(whole, plan["kept"])
    rebuilt = read_classifier(read_start(tmp_path / WEIGHTS), method, 3)
    assert (rebuilt.name, rebuilt.widths) == (plan["network"], plan["widths"])
    state, images = rebuilt.state_dict(), torch.rand(2, 3, SIDE, SIDE)
    assert all(torch.equal(value, state[k]) for k, value in expected.state_dict().items())
    with torch.no_grad():
        assert torch.equal(rebuilt(images), expected(images))


def test_a_plan_of_another_network_is_a_named_error(taught, tmp_path):
    method, pack, _ = taught
    cut(taught, tmp_path)
    plan = read_json(tmp_path / "plan.json")
    first = next(iter(plan["widths"]))
    wider = {**plan, "widths": {**plan["widths"], first: plan["widths"][first] + 1}}
    strange = {**plan, "widths": {"conv99": 4}}
    foreign = {"network": "vgg16" if method.card.name != "vgg16" else "resnet50", "widths": {}}
    own = tuning(teachers="none")
    files = (tmp_path / WEIGHTS, pack, tmp_path / "out")
    for wrong, error, match in [
        (wider, ConfigError, "same network, options, plan"),
        (strange, CompressionError, "widths: got 'conv99'; choose of"),
        (foreign, CompressionError, "plan: network: got '.+'; the plan is of another network"),
        ({"kept": {}}, CompressionError, r"plan\.json: content: got .*give a plan"),
    ]:
        (tmp_path / "plan.json").write_text(json.dumps(wrong))
        with pytest.raises(error, match=match):
            fine_tune(method, own, *files)


def test_a_cut_network_is_exported_and_learns_from_both_teachers(taught, tmp_path):
    method, pack, base = taught
    cut(taught, tmp_path / "pruned")
    info = export_run(tmp_path / "pruned", method, "prune")
    assert info.task == "classification"
    teachers = {"r": base / WEIGHTS, "c": base / "teacher_c" / WEIGHTS}
    files = (tmp_path / "pruned" / WEIGHTS, pack, tmp_path)
    fine_tune(method, tuning(epochs=2), *files, **teachers)
    export_run(tmp_path, method)
    record = read_record(tmp_path / "train.json", "train")
    plan = read_json(tmp_path / "pruned" / "plan.json")
    assert record["recipe"]["options"] == {"plan": {k: plan[k] for k in ("network", "widths")}}
    state = load_file(tmp_path / WEIGHTS)
    build_network(method, 3, record["recipe"]["options"]).load_state_dict(state)
    before = load_file(tmp_path / "pruned" / WEIGHTS)
    assert any(not torch.equal(state[name], before[name]) for name in state)
    figures, costs = record["figures"], {}
    for name, path in (("r", base), ("c", base / "teacher_c")):
        costs[name] = read_record(path / "train.json", "train")["figures"]["train_s"]
    scoring = read_record(base / "scores.json", "scores")["figures"]["score_s"]
    cutting = read_record(tmp_path / "pruned" / "prune.json", "prune")["figures"]["prune_s"]
    assert min(scoring, cutting) > 0
    before = costs["r"] + scoring + cutting
    assert figures["start_train_s"] == pytest.approx(before, abs=0.01)
    own = record["seconds"]  # of this training alone
    assert figures["train_s"] == pytest.approx(before + costs["c"] + own, abs=0.02)
    thin = settings(method, choose="thin", fine_tuning={"epochs": 2})
    assert epochs_of(record) == 1 + 1 + 2 == thin.last_epochs(1)


def test_the_last_training_is_of_what_the_study_asks(taught, tmp_path):
    method, pack, base = taught
    pruned = tmp_path / "pruned" / WEIGHTS
    cut(taught, tmp_path / "pruned")
    losses = {}
    for teachers in ("r", "c", "none"):
        known = {"r": base / WEIGHTS, "c": base / "teacher_c" / WEIGHTS}
        out = tmp_path / teachers
        fine_tune(method, tuning(teachers=teachers), pruned, pack, out, **known)
        record = read_record(tmp_path / teachers / "train.json", "train")
        losses[teachers] = record["figures"]["final_loss"]
        assert ("teacher" in record["inputs"]) == (teachers == "c")
    assert len(set(losses.values())) == 3
    assert np.isfinite(list(losses.values())).all()
    with pytest.raises(ConfigError, match="teachers=r_to_c needs it"):
        fine_tune(method, tuning(), pruned, pack, tmp_path / "x")


def test_a_killed_fine_tuning_resumes_to_the_same_bits_and_other_teachers_start_anew(
    taught, tmp_path
):
    method, pack, base = taught
    cut(taught, tmp_path / "pruned")
    known = {"r": base / WEIGHTS, "c": base / "teacher_c" / WEIGHTS}

    def run(name, teachers, validator=lambda _: 0.5):
        own = tuning(epochs=2, teachers=teachers)
        files = (tmp_path / "pruned" / WEIGHTS, pack, tmp_path / name)
        fine_tune(method, own, *files, **known, validator=validator, checkpoint_s=0.0)
        return sha256_file(tmp_path / name / WEIGHTS)

    def killed(_):
        raise KeyboardInterrupt

    whole = {teachers: run(teachers, teachers) for teachers in ("r_to_c", "half")}
    with pytest.raises(KeyboardInterrupt):
        run("again", "r_to_c", killed)
    assert run("again", "r_to_c") == whole["r_to_c"]
    assert run("again", "half") == whole["half"] != whole["r_to_c"]
    record = read_record(tmp_path / "again" / "train.json", "train")
    assert record["objective"] == {
        "teachers": "half",
        **{name: sha256_file(path) for name, path in known.items()},
    }


def test_teacher_r_is_what_was_cut(taught, tmp_path):
    method, pack, base = taught
    cut(taught, tmp_path / "pruned")
    other, files = base / "teacher_c" / WEIGHTS, (tmp_path / "pruned" / WEIGHTS, pack, tmp_path)
    with pytest.raises(ConfigError, match="give those that"):
        fine_tune(method, tuning(teachers="r"), *files, r=other)


def test_a_thin_network_starts_afresh_and_pays_for_itself_alone(taught, tmp_path):
    method, pack, _ = taught
    start = cut(taught, tmp_path / "pruned", choose="thin")
    assert (start["figures"]["train_s"], start["figures"]["epochs"]) == (0, 0)
    assert not start["lineage"]
    files = (tmp_path / "pruned" / WEIGHTS, pack, tmp_path)
    fine_tune(method, tuning(choose="thin"), *files)
    record = read_record(tmp_path / "train.json", "train")
    assert "start" not in record["inputs"]
    assert "start_train_s" not in record["figures"]
    assert record["recipe"]["options"]["plan"]["network"] in (
        "vgg16",
        "repvgg_a0",
        "resnet50",
        "mobilenet_v2",
    )


def test_a_fresh_network_inherits_nothing_and_is_taught_as_a_cut_one_is(taught, tmp_path):
    method, pack, base = taught
    start = cut(taught, tmp_path / "pruned", choose="fresh")
    behind = cut(taught, tmp_path / "cut")
    assert start["figures"]["epochs"] == behind["figures"]["epochs"] == 1
    assert start["lineage"] == behind["lineage"]
    states = [load_file(tmp_path / name / WEIGHTS) for name in ("pruned", "cut")]
    matrices = [name for name, value in states[0].items() if value.dim() > 1 and name in states[1]]
    assert matrices
    assert not any(torch.equal(states[0][name], states[1][name]) for name in matrices)
    files = (tmp_path / "pruned" / WEIGHTS, pack, tmp_path)
    teachers = {"r": base / WEIGHTS, "c": base / "teacher_c" / WEIGHTS}
    fine_tune(method, tuning(choose="fresh"), *files, **teachers)
    record = read_record(tmp_path / "train.json", "train")
    assert record["objective"]["teachers"] == "r_to_c"
    assert epochs_of(record) == 3  # both teachers and its own


def test_scores_of_other_weights_are_refused(taught, tmp_path):
    method, pack, base = taught
    files = (base / "teacher_c" / WEIGHTS, base / "scores.json", pack)
    with pytest.raises(CompressionError, match="score the channels again"):
        prune_classifier(*files, method, tmp_path, settings(method), seed=0)
