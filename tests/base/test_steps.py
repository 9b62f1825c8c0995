"""Settings of the steps: what each depends on, and nothing else."""

import pytest

from defectbench.base import devices, steps
from defectbench.base.commandline import parse_settings
from defectbench.base.methods import Recipe
from defectbench.base.steps import as_json
from defectbench.base.studies import expand_cells, parse_study

RECIPE = Recipe(epochs=100, batch=32, size=192)
SLIM = {
    "method": "yolo",
    "how": "slimming",
    "target_mib": 1.5,
    "drop_units": 2,
    "batches": 8,
    "sparse": {"epochs": 30, "batch": 4, "recipe": {"sparsity": {"strength": 2.0}}},
    "recovery": {"epochs": 20, "batch": 4, "recipe": {"optimizer.lr": 0.5}},
}
CUT = {"method": "yolo", "how": "cfp", "rates": "v39", "images": 96, "fine_tuning": {"epochs": 9}}


def cell(compress, **budget):
    block = {"datasets": ["d"], "methods": ["yolo"], "seeds": [3], "compress": [compress]}
    study = parse_study("t", {"study": "t", "blocks": [{**block, "budget": budget}]})
    return expand_cells(study, ["yolo"], prunable=["yolo"])[1]


def test_a_training_has_the_studys_budget_and_else_the_recipes():
    own = steps.training(cell(SLIM, epochs=7, threads=1, recipe={"grad_clip": 1.0}), RECIPE)
    assert (own.seed, own.epochs, own.batch, own.threads, own.device) == (3, 7, 32, 1, "auto")
    assert own.recipe == {"grad_clip": 1.0}
    assert own.role is None
    assert steps.training(cell(SLIM), RECIPE).threads == steps.THREADS
    assert steps.training(cell(SLIM, device="cpu"), RECIPE, role="teacher").role == "teacher"


@pytest.mark.parametrize(
    ("device", "has_gpu", "slots"),
    [("cuda", False, 1), ("cpu", True, 0), (None, True, 1), (None, False, 0), ("auto", True, 1)],
)
def test_a_training_on_a_gpu_takes_a_slot_of_it(device, has_gpu, slots, monkeypatch, tmp_path):
    driver = tmp_path / "nvidia0"
    monkeypatch.setattr(devices, "GPU_FILES", (tmp_path / "none", driver))
    if has_gpu:
        driver.touch()
    assert steps.gpu_slots(cell(CUT, **({} if device is None else {"device": device}))) == slots


def test_stages_of_slimming_differ_as_the_study_says():
    one = cell(SLIM, epochs=40, batch=16, recipe={"grad_clip": 1.0, "optimizer.lr": 0.1})
    sparse, recovery = steps.sparse_training(one, RECIPE), steps.recovery(one, RECIPE)
    assert (sparse.epochs, sparse.batch, sparse.role) == (30, 4, "sparse")
    assert sparse.recipe == {"grad_clip": 1.0, "optimizer.lr": 0.1, "sparsity": {"strength": 2.0}}
    assert (recovery.epochs, recovery.batch, recovery.role) == (20, 4, "recovery")
    assert recovery.recipe == {"grad_clip": 1.0, "optimizer.lr": 0.5}


def test_a_thin_control_has_its_bases_recipe_and_batch_and_the_epochs_of_all_stages():
    recovery = steps.recovery(cell({**SLIM, "choose": "thin"}, epochs=40, batch=16), RECIPE)
    assert (recovery.epochs, recovery.batch, recovery.recipe) == (90, 16, {})
    thin = steps.fine_tuning(cell({**CUT, "choose": "thin"}, epochs=40, batch=16), RECIPE)
    assert (thin.epochs, thin.batch, thin.recipe, thin.choose) == (89, 16, {}, "thin")


def test_fine_tuning_and_its_teacher():
    one = cell({**CUT, "teachers": "r"}, recipe={"order": "shuffled"})
    tuned = steps.fine_tuning(one, RECIPE)
    assert (tuned.epochs, tuned.batch, tuned.teachers) == (9, 32, "r")
    assert tuned.recipe["optimizer.lr"] == 5e-5
    teacher = steps.balanced_teacher(one, RECIPE)
    assert (teacher.recipe, teacher.role) == ({"order": "class_balanced"}, "teacher")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"recovery": {"epochs": 5}}, ("pruning_check", "channel_pruning", "sparse_training")),
        ({"batches": 9}, ("pruning_check", "sparse_training", "recovery")),
        ({"kd": "ekl"}, ("channel_pruning", "sparse_training")),
        ({"sparse": {"epochs": 3}}, ("pruning_check", "channel_pruning", "recovery")),
    ],
)
def test_a_change_of_one_stage_leaves_what_does_not_depend_on_it(changed, same):
    first, second = cell(SLIM), cell({**SLIM, **changed})
    for name in ("pruning_check", "channel_pruning", "sparse_training", "recovery"):
        told = [settings_json(name, one) for one in (first, second)]
        assert (told[0] == told[1]) == (name in same), name


def settings_json(name, one):
    arguments = (
        (one,) if name in ("pruning_check", "rates_check", "filter_pruning") else (one, RECIPE)
    )
    return as_json(getattr(steps, name)(*arguments))


def test_scores_and_cuts_of_filters_hold_what_they_depend_on():
    one, other = cell(CUT), cell({**CUT, "fine_tuning": {"epochs": 3}, "teachers": "none"})
    for name in ("rates_check", "filter_pruning"):
        assert settings_json(name, one) == settings_json(name, other)
    assert as_json(steps.channel_scores(one, 96)) == (
        '{"seed":3,"images":96,"threads":2,"device":"auto"}'
    )


def test_every_step_reads_again_what_it_was_told():
    slim, cut = cell(SLIM, recipe={"grad_clip": None}), cell(CUT)
    for told in (
        steps.training(slim, RECIPE, role="teacher"),
        steps.sparse_training(slim, RECIPE),
        steps.recovery(slim, RECIPE),
        steps.pruning_check(slim),
        steps.channel_pruning(slim, RECIPE, channels_alone=True),
        steps.balanced_teacher(cut, RECIPE),
        steps.fine_tuning(cut, RECIPE),
        steps.rates_check(cut),
        steps.filter_pruning(cut),
        steps.channel_scores(cut, 96),
    ):
        assert parse_settings(type(told), as_json(told)) == told
