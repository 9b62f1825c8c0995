"""The contract of every method in models/ and examples/. A new folder is tested by being there."""

import copy
import hashlib
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.engine_forms import OTHER_ENGINES, open_form, open_network, write_network
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from defectbench.base.errors import UnsupportedError
from defectbench.base.methods import build_network, load_card, load_method, method_names
from defectbench.deploy.export import export_onnx
from defectbench.deploy.export_run import suppression_of
from defectbench.deploy.runtime import open_artifact
from defectbench.measure.forms import BOUND
from defectbench.nn.blocks import StridedPointwiseConv2d
from defectbench.nn.detector import Targets
from defectbench.nn.fold import fold_all

ROOT = Path(__file__).parents[2]
SHELVES = {
    name: shelf for shelf in (ROOT / "models", ROOT / "examples") for name in method_names(shelf)
}
MATH = SDPBackend.MATH
# why ncnn refuses: a Haar wavelet and window attention; a choice among cells by their scores
CANNOT_RUN = {
    ("sd_gasnet", "ncnn"): r".*Tensor\.reshape",
    **{(f"deimv2_{size}", "ncnn"): "TopK, GatherElements" for size in ("atto", "femto", "pico")},
}
COUNTED = {getattr(torch.ops.aten, name) for name in ("convolution", "mm", "addmm", "bmm")}


def truth(batch=2, size=128):
    """Two boxes in the first image, one in the others."""
    boxes = (
        torch.tensor([[[10.0, 12, 70, 90], [64, 64, 120, 118]]]).repeat(batch, 1, 1) * size / 128
    )
    labels = torch.tensor([[0, 2]]).repeat(batch, 1)
    labels[1:, 1] = -1
    boxes[1:, 1] = 0
    return Targets(boxes, labels)


def crowd(nc=6, size=128, count=200):
    """Two images with as many boxes as fit and more, of all classes."""
    corner = torch.rand(2, count, 2) * (size - 28)
    boxes = torch.cat((corner, corner + 4 + torch.rand(2, count, 2) * 24), -1)
    return Targets(boxes, torch.randint(0, nc, (2, count)))


@pytest.fixture
def network(built):
    """A copy of it, ready to be taught."""
    return copy.deepcopy(built).train()


def loss_of(model, images, targets):
    """Its losses; what it draws at random, it draws alike each time, as the engine lets it."""
    torch.manual_seed(0)
    return model.loss(images, targets, 0)


def backward(model, images, targets, epoch=0):
    """The loss after a backward pass; it and the gradient of all that learns are finite."""
    loss = model.loss(images, targets, epoch)["loss"]
    loss.backward()
    learnt = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    assert loss.isfinite()
    assert [n for n, p in learnt if p.grad is None or not p.grad.isfinite().all()] == []
    return loss.detach()


@pytest.fixture(scope="module")
def trained(built):
    """The network after steps that moved its batch norms and weights away from their start; no test moves it further."""
    model = copy.deepcopy(built).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for step in range(3):
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model.loss(images, truth(size=64), 0)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("name", sorted(SHELVES))
def test_card_recipe_and_rule_are_there(name):
    method = load_method(name, SHELVES[name])
    assert method.card.name == name
    assert method.recipe.size % 32 == 0
    assert method.card.paper
    assert method.card.licence
    rule = (SHELVES[name] / name / "method.smk").read_text()
    # where its program can start from published weights, rows of such starts are its own as well
    rows = {name, *(f"{name}+from_{start}_10epochs" for start in method.card.weights)}
    wide = re.search(r'^\s*method=r"(.+)",$', rule, re.MULTILINE)
    assert f'method="{name}"' in rule or (wide and all(re.fullmatch(wide[1], r) for r in rows))


@pytest.mark.parametrize("nc", [1, 6, 10, 20])
def test_builds_for_any_number_of_classes(slender, nc):
    model = slender.module.build(nc, **slender.recipe.options).eval()
    with torch.no_grad():
        boxes, scores = model.decode(model(torch.rand(1, 3, 64, 64)), 64, 64)
    assert scores.shape[-1] == nc
    assert boxes.shape == (1, scores.shape[1], 4)


def test_golden_parameters(method):
    golden = method.card.golden
    model = method.module.build(golden.nc, **method.recipe.options)
    assert sum(p.numel() for p in model.parameters()) == golden.params_training
    for name in model.training_only:
        setattr(model, name, None)
    assert sum(p.numel() for p in fold_all(model, norms=False).parameters()) == golden.params


def test_golden_macs(method):
    deployed = method.module.build(method.card.golden.nc, **method.recipe.options).deploy()
    deployed.to("meta")  # what is counted are shapes
    assert method.card.golden.macs_m
    for size, macs_m in method.card.golden.macs_m.items():
        # fused attention is counted by the two products that it is made of
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(MATH):
            deployed(torch.empty(1, 3, size, size, device="meta"))
        assert set(counter.get_flop_counts()["Global"]) <= COUNTED
        assert round(counter.get_total_flops() / 2e6, 3) == macs_m


@pytest.mark.parametrize("size", [128, 192])
def test_forward_gives_boxes_inside_and_probabilities(network, size):
    network.eval()
    with torch.no_grad():
        boxes, scores = network.decode(network(torch.rand(2, 3, size, size)), size, size)
    assert boxes.min() >= 0
    assert boxes.max() <= size
    assert 0 <= scores.min() <= scores.max() <= 1


@pytest.mark.parametrize("nc", [1, 6])
def test_every_parameter_gets_a_finite_gradient(slender, nc):
    model = slender.module.build(nc, **slender.recipe.options).train()
    found = truth()
    backward(
        model, torch.rand(2, 3, 128, 128), Targets(found.boxes, found.labels.clamp(max=nc - 1))
    )


def test_loss_falls_on_one_batch(network):
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, fused=True)
    images, targets = torch.rand(2, 3, 128, 128), truth()
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = network.loss(images, targets, 0)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-5:]) < 0.6 * losses[0]


def test_deployed_equals_trained(trained):
    images = torch.rand(3, 3, 128, 128)
    with torch.no_grad():
        boxes, scores = trained.decode(trained(images), 128, 128)
        folded_boxes, folded_scores = trained.deploy()(images)
    assert (boxes - folded_boxes).abs().max() < 1e-4 * 128
    assert (scores - folded_scores).abs().max() < 1e-4


def test_deploying_leaves_the_model_as_it_was(trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.deploy()
    after = trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.fixture(scope="module")
def artifact(method, trained, tmp_path_factory):
    """The model file of the trained network."""
    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    classes = [f"class {n}" for n in range(6)]
    provenance = {
        "method": method.card.name,
        "dataset": "none",
        "protocol": "clean",
        "seed": 0,
        "weights_sha256": hashlib.sha256(b"").hexdigest(),
    }
    provenance |= suppression_of(trained)
    export_onnx(trained.deploy(), 128, path, classes, provenance)
    return path


def test_onnx_equals_torch_at_batch_1_and_3(trained, artifact):
    deployed = trained.deploy()
    session = onnxruntime.InferenceSession(artifact)
    for batch in (1, 3):
        images = torch.rand(batch, 3, 128, 128)
        with torch.no_grad():
            expected = deployed(images)
        found = session.run(["boxes", "scores"], {"images": images.numpy()})
        np.testing.assert_allclose(found[0], expected[0].numpy(), atol=1e-4 * 128)
        np.testing.assert_allclose(found[1], expected[1].numpy(), atol=1e-4)


def test_artifact_says_whether_its_boxes_need_suppression(trained, artifact):
    assert open_artifact(artifact).suppression == trained.suppression


@pytest.mark.parametrize("form", OTHER_ENGINES, ids=lambda form: form.name)
def test_other_engines_answer_as_onnxruntime(method, artifact, tmp_path, form):
    reason = CANNOT_RUN.get((method.card.name, form.engine))
    if reason is not None:
        with pytest.raises(UnsupportedError, match=f"ncnn operator: got '{reason}"):
            open_form(artifact, form, tmp_path)
        return
    images = np.random.default_rng(0).random((2, 3, 128, 128), dtype=np.float32)
    expected = open_artifact(artifact).run(images)
    for want, got, unit in zip(
        expected, open_form(artifact, form, tmp_path).run(images), (128, 1), strict=True
    ):
        np.testing.assert_allclose(got, want, atol=BOUND * unit)


def test_torch_runs_the_network_that_the_artifact_was_exported_from(
    method, slender, trained, artifact, tmp_path
):
    write_network(tmp_path, artifact, trained, method.folder, slender.recipe.options)
    images = np.random.default_rng(0).random((2, 3, 128, 128), dtype=np.float32)
    expected = open_artifact(artifact).run(images)
    outputs = open_network(tmp_path, method.folder).run(images)
    for want, got, unit in zip(expected, outputs, (128, 1), strict=True):
        np.testing.assert_allclose(got, want, atol=BOUND * unit)


def test_loss_in_bfloat16_is_that_in_float32_nearly(network):
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        whole = float(loss_of(network, images, truth())["loss"])
        guided: list[torch.Tensor] = []
        guide = getattr(network, "guide", None)
        watch = guide and guide.register_forward_hook(lambda *call: guided.append(call[-1]))
        with torch.autocast("cpu", torch.bfloat16):
            losses, raw = loss_of(network, images, truth()), network(images)
        if watch:
            watch.remove()
    assert float(losses["loss"]) == pytest.approx(whole, rel=0.1)
    predictions = raw if isinstance(raw, (tuple, list)) else (raw,)
    predictions = [*predictions, *guided]
    assert {value.dtype for value in (*losses.values(), *predictions)} == {torch.float32}


@pytest.mark.parametrize("rows", [0, 3])
def test_empty_truth_gives_a_finite_loss_and_gradient(network, rows):
    nothing = Targets(torch.zeros(2, rows, 4), torch.full((2, rows), -1))
    loss = network.loss(torch.rand(2, 3, 64, 64), nothing, 0)["loss"]
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_image_full_of_boxes_gives_a_finite_loss_and_gradient(network):
    assert backward(network, torch.rand(2, 3, 128, 128), crowd()) > 0


def test_padding_changes_nothing(network):
    images, some = torch.rand(2, 3, 128, 128), truth()
    padded = Targets(
        torch.cat((some.boxes, torch.zeros(2, 5, 4)), 1),
        torch.cat((some.labels, torch.full((2, 5), -1)), 1),
    )
    first = loss_of(network, images, some)["loss"]
    second = loss_of(network, images, padded)["loss"]
    assert torch.allclose(first, second, rtol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in SHELVES if load_card(SHELVES[name] / name).family == "engine"]
)
def test_strided_pointwise_convolutions_are_those_that_are_safe_everywhere(name):
    shelved = load_method(name, SHELVES[name])
    network = build_network(shelved, 6, shelved.recipe.options)
    for module in network.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (1, 1)
            and module.stride != (1, 1)
        ):
            assert isinstance(module, StridedPointwiseConv2d) or module.groups > 1
