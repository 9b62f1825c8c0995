"""LIDD-Net's ablation arms and open choices: counts from the reconstruction, and equal mathematics."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets
from defectbench.nn.fold import fold_all

MODULE = load_method("lidd_net", Path(__file__).parents[2] / "models").module
assert MODULE is not None


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def deployed_parameters(**options):
    model = MODULE.build(6, latm="none", **options)
    return sum(p.numel() for p in fold_all(model, norms=False).parameters())


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 624_656),
        ({"neck": "ghost"}, 620_816),
        ({"rep_down": True}, 628_496),
        ({"pool": "dw"}, 627_736),
        ({"pool": "dw", "neck": "ghost"}, 623_896),
        ({"pool": "max"}, 624_656),
        ({"add": "residual"}, 624_656),
        ({"add": "attended"}, 624_656),
        ({"learn_from": "fused"}, 624_656),
        ({"shuffle": 2}, 624_656),
        ({"dilations": (1, 2, 4)}, 624_656),
    ],
)
def test_deployed_parameters_of_the_arms(options, parameters):
    assert deployed_parameters(**options) == parameters


@pytest.mark.parametrize(("latm", "extra"), [("none", 0), ("ath", 222_104)])
def test_training_parameters(latm, extra):
    model = MODULE.build(6, latm=latm)
    assert sum(p.numel() for p in model.parameters()) == 663_824 + extra


def test_parameters_of_each_stage():
    model = fold_all(MODULE.build(6, latm="none"), norms=False)
    stages = [*(model.backbone.stem, *model.backbone.stages), model.neck.reduce, model.head]
    counts = [sum(p.numel() for p in stage.parameters()) for stage in stages]
    assert counts == [696, 9_568, 65_664, 187_040, 43_584, 96_000 + 14_744]
    neck = model.neck
    rows = [(neck.top_down,), (neck.down,), (neck.bottom_up,), (neck.extra_in, neck.extra_out)]
    counts = [sum(p.numel() for part in row for p in part.parameters()) for row in rows]
    assert counts == [79_680, 24_000, 79_680, 24_000]


def test_multiply_adds_of_each_layer():
    """The layer table at 192 px, million multiply-adds of convolutions."""
    model = MODULE.build(6, latm="none").deploy().detector
    neck, head = model.neck, model.head
    shared = 3 * 256 * 9 * 6 * 6 / 1e6  # MSFFM's one depthwise weight at three rates is no layer
    rows = {
        5.972 + 8.718 + 13.584 + 10.253 - shared: [model.backbone],
        6.193: [neck.reduce],
        27.924: [neck.top_down],
        2.091: [neck.down],
        6.981: [neck.bottom_up],
        0.210: [neck.extra_in, neck.extra_out],
        17.772: [head.towers],
        2.791: [head.outputs],
    }
    counted = {}

    def count(conv, _inputs, out):
        counted[conv] = out[0].numel() * conv.weight[0].numel() / 1e6

    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    for conv in convs:
        conv.register_forward_hook(count)
    with torch.no_grad():
        model(torch.rand(1, 3, 192, 192))
    for expected, parts in rows.items():
        layers = [layer for part in parts for layer in part.modules()]
        assert sum(counted.get(layer, 0.0) for layer in layers) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("seed", range(2))
def test_a_step_in_bfloat16_is_near_the_one_in_float32(seed):
    torch.manual_seed(seed)
    model = MODULE.build(6)
    images = torch.rand(2, 3, 64, 64)
    boxes = torch.tensor([[[4.0, 6, 40, 44]], [[20, 10, 60, 58]]])
    targets, losses = Targets(boxes, torch.tensor([[1], [4]])), []
    for narrow in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            loss = model.loss(images, targets, 0)["loss"]
        loss.backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"latm": "agm"},
        {"latm": "none"},
        {"assign_from": "main"},
        {"assign_from": "mean"},
        {"learn_from": "fused"},
        {"learn_from": "main", "assign_from": "mean"},
        {"add": "attended"},
        {"add": "residual", "shuffle": 2, "pool": "max"},
        {"rep_down": True, "pool": "dw", "dilations": (1, 3, 5)},
    ],
)
def test_every_option_trains_and_folds(options):
    model = MODULE.build(3, **options).train()
    truth = Targets(torch.tensor([[[5.0, 6, 40, 50]]] * 2), torch.tensor([[1], [2]]))
    images = torch.rand(2, 3, 64, 64)
    losses = model.loss(images, truth, 0)
    losses["loss"].backward()
    assert losses["loss"].isfinite()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        boxes, scores = model.decode(model(images), 64, 64)
        found_boxes, found_scores = model.deploy()(images)
    assert torch.allclose(found_boxes, boxes, atol=1e-3)
    assert torch.allclose(found_scores, scores, atol=1e-4)


@pytest.mark.parametrize("option", ["latm", "assign_from", "learn_from", "neck", "add", "pool"])
def test_unknown_option_is_named(option):
    with pytest.raises(ConfigError, match=f"{option}: got 'nothing'; choose one of"):
        MODULE.build(6, **{option: "nothing"})


def test_fused_outputs_of_both_heads_enter_the_loss():
    """With the guide's outputs set to the head's, their mean is the head's, and so is its loss."""
    truth = Targets(torch.tensor([[[5.0, 6, 40, 50]]] * 2), torch.tensor([[1], [2]]))
    images, losses = torch.rand(2, 3, 64, 64), {}
    for kind in ("each", "fused", "main"):
        torch.manual_seed(0)
        model = MODULE.build(3, learn_from=kind).train()
        raw = model(images)
        model.guide.forward = lambda features, neck, detach, raw=raw: raw.detach()
        losses[kind] = model.loss(images, truth, 0)
    parts = [name for name in losses["fused"] if name != "loss"]
    assert parts
    assert not any(name.startswith("guide_") for name in parts)
    for name in parts:
        assert torch.allclose(losses["fused"][name], losses["each"][name], rtol=1e-4)
        assert torch.allclose(losses["main"][f"guide_{name}"], losses["each"][name], rtol=1e-4)


def test_attended_addition_is_of_the_third_part_behind_simam():
    torch.manual_seed(0)
    literal, attended = MODULE.CSE(32, shuffle=1).eval(), MODULE.CSE(32, shuffle=1, add="attended")
    attended.load_state_dict(literal.state_dict())
    x = torch.randn(2, 32, 6, 6)
    with torch.no_grad():
        difference = attended.eval()(x) - literal(x)
    assert difference[:, :22].abs().max() == 0
    third = x[:, 22:]
    assert torch.allclose(difference[:, 22:], literal.attend(third) - third, atol=1e-6)


def test_guide_equals_one_convolution_of_the_concatenation():
    guide = MODULE.AuxiliaryHead(6).train()
    maps = [torch.randn(2, 96, n, n) for n in (15, 8, 4, 2)]
    for level, here in enumerate(maps):
        size = here.shape[-2:]
        fine = F.adaptive_avg_pool2d(maps[max(level - 1, 0)], size)
        coarse = maps[min(level + 1, 3)]
        coarse = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        expected = guide.mix[level](torch.cat((fine, here, coarse), 1))
        assert torch.allclose(guide._mixed(maps, level), expected, atol=1e-4)


def test_guide_trains_backbone_and_neck_until_epoch_10_only():
    truth = Targets(torch.tensor([[[5.0, 6, 40, 50]]] * 2), torch.tensor([[1], [2]]))
    images = torch.rand(2, 3, 64, 64)
    model = MODULE.build(3).train()
    for epoch, reaches in ((9, True), (10, False)):
        losses = model.loss(images, truth, epoch)
        guide = losses["guide_qfl"] + losses["guide_giou"] + losses["guide_dfl"]
        weight = model.backbone.stem[0][0].weight
        (grad,) = torch.autograd.grad(guide, weight, allow_unused=True)
        assert (grad is not None) == reaches


def test_cse_keeps_order_of_its_parts_before_the_shuffle():
    block = MODULE.CSE(16, shuffle=1).eval()
    x = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        out = block(x)
    assert torch.allclose(out[:, 11:], x[:, 6:11] + x[:, 11:])


def test_odd_sizes():
    model = MODULE.build(2).eval()
    with torch.no_grad():
        boxes, _ = model.decode(model(torch.rand(1, 3, 480, 480)), 480, 480)
    assert boxes.shape == (1, 60 * 60 + 30 * 30 + 15 * 15 + 8 * 8, 4)
