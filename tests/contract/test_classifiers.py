"""The contract of every classifier in models/, as test_methods.py and test_training.py hold it for detectors."""

import copy
import hashlib
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from tests.class_packs import write_class_pack
from tests.engine_forms import OTHER_ENGINES, open_form, open_network, write_network
from tests.runs import run_training
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from defectbench.base.compressions import CFP
from defectbench.base.files import sha256_file
from defectbench.base.methods import override_recipe
from defectbench.base.records import read_record
from defectbench.compression.cfp.filters import LayerScores
from defectbench.compression.cfp.prune_classifier import choose_channels
from defectbench.compression.cfp.selection import widths_of
from defectbench.compression.cfp.widths import widths_at
from defectbench.data.pack import load_pack
from defectbench.deploy.export import export_onnx
from defectbench.measure.forms import BOUND
from defectbench.measure.validation import make_validator
from defectbench.nn.trainable import Targets
from defectbench.training import loop

SIDE, NEVER = 32, float("inf")
FLOOR_ACCURACY = 0.75  # of three classes, after 96 steps
NARROW = {"width": 0.125}


def truth(labels, size=SIDE):
    """Whole images, each of one class."""
    boxes = torch.tensor([0.0, 0.0, size, size]).repeat(len(labels), 1, 1)
    return Targets(boxes, torch.tensor(labels).view(-1, 1))


def built(classifier, nc=6, **options):
    return classifier.module.build(nc, **{**classifier.recipe.options, **options})


def lively(classifier, steps=3, **options):
    """A network whose batch norms and weights have moved away from their start."""
    model = built(classifier, **options).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for step in range(steps):
        images = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model.loss(images, truth([0, 1, 2, 5]), 0)["loss"].backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("nc", [2, 6, 7])
def test_builds_for_any_number_of_classes_and_any_width(classifier, nc):
    for options in ({}, NARROW):
        model = built(classifier, nc, **options).eval()
        with torch.no_grad():
            assert model(torch.rand(1, 3, SIDE, SIDE)).shape == (1, nc)


def test_a_plan_rebuilds_a_pruned_network(classifier):
    network = built(classifier, 7).pruning_form()
    widths = {name: max(1, width // 3) for name, width in network.widths.items()}
    made = built(classifier, 7, plan={"network": network.name, "widths": widths})
    assert made.name == network.name
    assert made.widths == widths


def narrowed_by(classifier, rates):
    """The network in its pruning form, at a quarter of its width, and its widths at rates of its card."""
    network = built(classifier, 7, width=0.25).pruning_form().eval()
    return network, widths_at(network, rates)


def test_every_plan_of_the_card_has_its_shapes(classifier):
    assert classifier.card.rates
    for rates in classifier.card.rates.values():
        network, widths = narrowed_by(classifier, rates)
        assert list(widths) == list(network.widths)
        made = built(classifier, 7, plan={"network": network.name, "widths": widths}).eval()
        for wire in made.wires:
            for tensor in made.get_submodule(wire.module).parameters(recurse=False):
                if wire.writes:
                    assert tensor.shape[0] == widths[wire.writes], wire
                if wire.reads and tensor.dim() > 1:
                    assert tensor.shape[1] == widths[wire.reads], wire
        named = {wire.module for wire in made.wires}
        owners = {name.rpartition(".")[0] for name, _ in made.named_parameters()}
        assert owners == named
        with torch.no_grad():
            assert made(torch.rand(2, 3, SIDE, SIDE)).shape == (2, 7)


@pytest.mark.parametrize("seed", [0, 1])
def test_controls_have_the_widths_of_the_cut(classifier, seed):
    random = np.random.default_rng(seed)
    for rates in classifier.card.rates.values():
        network, _ = narrowed_by(classifier, rates)
        energies = {name: random.random((width, 6)) for name, width in network.widths.items()}
        scores = {
            name: LayerScores(
                random.integers(0, 9, len(own)).astype(float),
                np.abs(own[:, None] - own[None]).mean(axis=2),
                images=6,
            )
            for name, own in energies.items()
        }
        kept, others = {}, {}
        for choice in ("cfp", "rank", "l1", "random", "thin"):
            own = CFP(method=classifier.card.name, how="cfp", rates="0.5", choose=choice)
            others[choice] = choose_channels(network, scores, own, rates, seed)
            kept[choice] = widths_of(others[choice])
        assert all(widths == kept["cfp"] for widths in kept.values())
        assert kept["cfp"] != network.widths
        assert others["thin"] == others["cfp"]  # of which it takes the widths alone
        assert len({str(others[choice]) for choice in ("cfp", "rank", "l1", "random")}) == 4


def test_golden_counts(classifier):
    golden = classifier.card.golden
    model = built(classifier, golden.nc)
    assert sum(p.numel() for p in model.parameters()) == golden.params_training
    assert sum(p.numel() for p in model.pruning_form().parameters()) == golden.params
    assert golden.macs_m
    deployed = model.deploy()
    for size, macs_m in golden.macs_m.items():
        with torch.device("meta"):
            images = torch.empty(1, 3, size, size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            deployed.to("meta")(images)
        assert round(counter.get_total_flops() / 2e6, 3) == macs_m


@pytest.mark.parametrize("size", [48, 64])
def test_deployed_gives_probabilities_at_any_size(classifier, size):
    deployed = lively(classifier, **NARROW).deploy()
    with torch.no_grad():
        found = deployed(torch.rand(3, 3, size, size))
    assert found.shape == (3, 6)
    assert found.min() >= 0
    torch.testing.assert_close(found.sum(1), torch.ones(3))


@pytest.mark.parametrize("nc", [2, 6])
def test_every_parameter_gets_a_finite_gradient(classifier, nc):
    model = built(classifier, nc).train()
    loss = model.loss(torch.rand(4, 3, SIDE, SIDE), truth([0, 1, 0, nc - 1]), 0)["loss"]
    loss.backward()
    assert loss.isfinite()
    wrong = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert wrong == []


def test_predictions_and_losses_stay_in_float32_in_bfloat16(classifier):
    model, images = built(classifier).eval(), torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        losses, logits = model.loss(images, truth([0, 3]), 0), model(images)
    assert {value.dtype for value in (*losses.values(), logits)} == {torch.float32}


def test_loss_falls_on_one_batch(classifier):
    model = built(classifier, **NARROW).train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    images, losses = torch.rand(6, 3, SIDE, SIDE), []
    for _ in range(25):
        optimizer.zero_grad()
        loss = model.loss(images, truth(list(range(6))), 0)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-5:]) < 0.6 * losses[0]


def test_deployed_equals_trained_and_leaves_it_as_it_was(classifier):
    model, images = lively(classifier), torch.rand(3, 3, SIDE, SIDE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(
            model.deploy()(images), model(images).softmax(1), atol=1e-4, rtol=0
        )
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_onnx_equals_torch_at_batch_1_and_3(classifier, tmp_path):
    network = lively(classifier, **NARROW)
    deployed = network.deploy()
    provenance = {"method": classifier.card.name, "dataset": "none", "protocol": "clean", "seed": 0}
    provenance["weights_sha256"] = hashlib.sha256(b"").hexdigest()
    path = tmp_path / "model.onnx"
    names = [f"class {n}" for n in range(6)]
    info = export_onnx(deployed, SIDE, path, names, provenance, "classification")
    assert (info.task, info.points) == ("classification", None)
    session = onnxruntime.InferenceSession(path)
    for batch in (1, 3):
        images = torch.rand(batch, 3, SIDE, SIDE)
        with torch.no_grad():
            expected = deployed(images)
        (found,) = session.run(["probabilities"], {"images": images.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
        for form in OTHER_ENGINES:
            model = open_form(path, form, tmp_path / form.name)
            np.testing.assert_allclose(model.run(images.numpy())[0], found, atol=BOUND)
    options = {**classifier.recipe.options, **NARROW}
    (tmp_path / "cell").mkdir()
    write_network(tmp_path / "cell", path, network, classifier.folder, options)
    model = open_network(tmp_path / "cell", classifier.folder)
    np.testing.assert_allclose(model.run(images.numpy())[0], found, atol=BOUND)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_class_pack(tmp_path_factory.mktemp("pack") / f"train@{SIDE}.safetensors", SIDE)


class KilledError(Exception):
    """Ends a run as a signal would."""


def narrow(classifier, **fields):
    options = {**classifier.recipe.options, **NARROW}
    return replace(
        classifier, recipe=override_recipe(classifier.recipe, {"options": options, **fields})
    )


@pytest.mark.parametrize("order", ["shuffled", "class_balanced"])
def test_an_interrupted_run_ends_in_the_same_bits(classifier, pack, tmp_path, monkeypatch, order):
    method = narrow(classifier, order=order)
    budget = {"epochs": 2, "batch": 12, "threads": 1}
    run_training(pack, method, tmp_path / "whole", checkpoint_s=NEVER, **budget)
    step = loop.train_step

    def killed(run, *args):
        if run.progress.step == 1:
            raise KilledError
        return step(run, *args)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(loop, "train_step", killed)
        run_training(pack, method, tmp_path / "broken", checkpoint_s=0.0, **budget)
    run_training(pack, method, tmp_path / "broken", checkpoint_s=NEVER, **budget)
    whole, broken = (tmp_path / name / "weights.safetensors" for name in ("whole", "broken"))
    assert sha256_file(whole) == sha256_file(broken)


def settled(network, images):
    """A copy whose batch norms hold the moments of the images: in so few steps they hardly leave their start."""
    network = copy.deepcopy(network).train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network(images)
    return network.eval()


def test_learns_a_tiny_set(classifier, pack, tmp_path):
    found, scores = load_pack(pack, task="classification"), []
    score = make_validator(pack, task="classification")

    def validator(network):
        scores.append(score(settled(network, found.images / 255)))
        return scores[-1]

    options = {**classifier.recipe.options, "width": 0.25}
    changes = {"options": options, "optimizer.lr": 0.003}
    method = replace(classifier, recipe=override_recipe(classifier.recipe, changes))
    run_training(
        pack, method, tmp_path, validator=validator, checkpoint_s=NEVER, epochs=24, batch=6
    )
    assert max(scores[-4:]) >= FLOOR_ACCURACY
    figures = read_record(tmp_path / "train.json", "train")["figures"]
    assert figures["val_accuracy"] == max(scores)
    assert figures["val_accuracy_last"] == scores[-1]
    assert figures["best_epoch"] == len(scores) - scores[::-1].index(max(scores))
