"""The pull on scales: how strong, added once a step and after clipping, and no harm to resuming."""

import csv

import pytest
import torch
from torch import nn

from defectbench.base.errors import ConfigError
from defectbench.base.files import sha256_file
from defectbench.base.methods import Optimizer, Recipe, Sparsity
from defectbench.base.records import read_record
from defectbench.data.pack import load_pack
from defectbench.training import loop
from defectbench.training.sparsity import Sparse, automatic_strength, scales_of
from tests.runs import prepare_run, run_training

from .conftest import tiny_method

SGD = Optimizer(name="sgd", lr=0.1, momentum=0.9, decay_norm_and_bias=False)


def norm_of(values):
    norm = nn.BatchNorm2d(len(values))
    norm.weight.data = torch.tensor(values)
    norm.weight.grad = torch.full((len(values),), 10.0)
    return norm


def test_the_subgradient_is_strength_times_sign():
    norm = norm_of([0.5, -0.25, 0.0])
    sparse = Sparse(nn.Sequential(norm), Sparsity(strength=0.125), SGD, 100)
    sparse.before_step()
    sparse.after_step(0.1)
    assert norm.weight.grad.tolist() == [10.125, 9.875, 10.0]
    assert norm.weight.tolist() == [0.5, -0.25, 0.0]
    assert norm.bias.grad is None


def test_the_proximal_form_shrinks_to_exact_zeros():
    norm = norm_of([0.5, -0.25, 0.03125])
    sparse = Sparse(
        nn.Sequential(norm), Sparsity(strength=0.5, mode="proximal"), Optimizer(lr=1), 1
    )
    sparse.before_step()
    sparse.after_step(0.125)
    assert norm.weight.grad.tolist() == [10.0] * 3
    assert norm.weight.tolist() == [0.4375, -0.1875, 0.0]
    assert sparse.faded_share() == pytest.approx(1 / 3)


def test_scales_below_a_hundredth_have_faded():
    model = nn.Sequential(norm_of([0.5, 0.0099, -0.0099]), norm_of([0.01]))
    assert Sparse(model, Sparsity(), SGD, 100).faded_share() == 0.5


def test_the_automatic_strength_is_that_of_the_budget():
    tool = Optimizer(name="sgd", lr=0.01, momentum=0.937)
    assert automatic_strength(tool, "subgradient", 12_600) == pytest.approx(1e-3)
    assert automatic_strength(tool, "proximal", 100) == pytest.approx(2.0)  # no momentum in it
    assert Sparse(nn.Sequential(norm_of([1.0])), Sparsity(), SGD, 40).strength == pytest.approx(
        0.05
    )


def test_an_automatic_strength_takes_an_unused_scale_to_zero_in_half_the_run():
    scale = nn.BatchNorm2d(1)
    sparse = Sparse(scale, Sparsity(), SGD, 1000)
    optimizer = torch.optim.SGD([scale.weight], SGD.lr, SGD.momentum)
    steps = 0
    while scale.weight > 0:
        scale.weight.grad = torch.zeros(1)
        sparse.before_step()
        optimizer.step()
        steps += 1
    assert steps == pytest.approx(500, abs=12)


def test_scales_that_are_not_deployed_are_left_alone():
    model = nn.Module()
    model.kept, model.guide = norm_of([1.0]), norm_of([1.0, 1.0])
    model.training_only = ("guide",)
    assert [len(scale) for scale in scales_of(model)] == [1]


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        (Optimizer(lr=0.1, decay_norm_and_bias=False), "proximal"),
        (Optimizer(name="sgd", lr=0.1, weight_decay=1e-4), "decay_norm_and_bias=false"),
    ],
)
def test_what_would_undo_the_pull_is_refused(optimizer, match):
    with pytest.raises(ConfigError, match=match):
        Sparse(nn.Sequential(norm_of([1.0])), Sparsity(mode="subgradient"), optimizer, 10)


def test_the_form_fits_the_optimiser_unless_the_recipe_says_one():
    adamw = Optimizer(lr=0.1, decay_norm_and_bias=False)
    modes = [
        Sparse(nn.Sequential(norm_of([1.0])), Sparsity(), one, 10).mode for one in (SGD, adamw)
    ]
    assert modes == ["subgradient", "proximal"]


@pytest.mark.parametrize("strength", [0, -1, "much"])
def test_a_strength_is_positive_or_automatic(strength):
    with pytest.raises(ValueError, match="strength"):
        Recipe.model_validate({"sparsity": {"strength": strength}})


def sparse_method(epochs=4, **sparsity):
    return tiny_method(
        epochs,
        optimizer=SGD.model_copy(update={"lr": 0.01}),
        grad_clip=1e-3,
        sparsity=Sparsity(**sparsity),
    )


def grads_of_first_step(run):
    """The scales' gradients as the optimiser sees them."""
    seen = []
    run.optimizer.register_step_pre_hook(
        lambda *_: seen.append(run.model.conv[1].weight.grad.clone())
    )
    loop.train_step(run, run.batches.order(0), 0, 0)
    return seen


def test_the_pull_is_added_once_a_step_and_not_clipped(pack_path, tmp_path, method):
    pack, seen = load_pack(pack_path), []
    for strength in (1e-30, 0.5):
        method = sparse_method(strength=strength)
        run = prepare_run(pack_path, method, tmp_path / str(strength), 1, pack)
        seen.append(grads_of_first_step(run))
    assert [len(grads) for grads in seen] == [1, 1]
    pull = seen[1][0] - seen[0][0]
    assert torch.allclose(pull, torch.full_like(pull, 0.5), atol=1e-6)  # all scales start at 1


@pytest.mark.parametrize("mode", ["subgradient", "proximal"])
def test_a_sparse_run_resumes_to_the_same_bits(pack_path, tmp_path, monkeypatch, method, mode):
    method, step = sparse_method(strength=0.05, mode=mode), loop.train_step
    run_training(pack_path, method, tmp_path / "whole", 5)

    def stopping(run, *args):
        if run.progress.step == 4:  # in the second epoch of three steps
            raise KeyboardInterrupt
        return step(run, *args)

    monkeypatch.setattr(loop, "train_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_training(pack_path, method, tmp_path / "broken", 5, checkpoint_s=0.0)
    monkeypatch.setattr(loop, "train_step", step)
    run_training(pack_path, method, tmp_path / "broken", 5)
    weights = [sha256_file(tmp_path / n / "weights.safetensors") for n in ("whole", "broken")]
    assert weights[0] == weights[1]


def test_the_share_of_faded_scales_is_in_the_history(pack_path, tmp_path, method):
    run_training(pack_path, sparse_method(8, strength=8.0, mode="proximal"), tmp_path / "run", 5)
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    shares = [float(row["faded_scales_share"]) for row in rows]
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    record = read_record(tmp_path / "run" / "train.json", "train")
    assert record["effective"]["sparsity_strength"] == 8.0
    run_training(pack_path, method, tmp_path / "plain", 5)
    assert "faded_scales_share" not in (tmp_path / "plain" / "history.csv").read_text()
