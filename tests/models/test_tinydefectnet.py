"""TinyDefectNet: the layer table, the forms of E-C2f, and the edge operators."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method
from defectbench.nn.fold import fold_all

MODULE = load_method("tinydefectnet", Path(__file__).parents[2] / "models").module
assert MODULE is not None

# Parameters and MACs in millions at 640 px of each layer, nc 6
TABLE = {
    "backbone.stem.0": (960, 88.474),
    "backbone.stem.2": (4_656, 117.965),
    "backbone.stem.3": (4_080, 99.123),
    "backbone.stages.0.0": (4_704, 29.491),
    "backbone.stages.0.1": (12_768, 79.053),
    "backbone.stages.1.0": (18_624, 29.491),
    "backbone.stages.1.1": (43_968, 69.018),
    "backbone.stages.1.2": (43_968, 69.018),
    "backbone.stages.1.3": (43_968, 69.018),
    "backbone.stages.2.0": (74_112, 29.491),
    "backbone.stages.2.1": (161_664, 64.000),
    "backbone.stages.2.2": (74_368, 29.491),
    "neck.top_down.0": (115_456, 186.266),
    "neck.top_down.1": (29_056, 189.030),
    "neck.down.0": (36_992, 58.982),
    "neck.bottom_up.0": (99_072, 160.051),
    "neck.down.1": (147_712, 58.982),
    "neck.bottom_up.1": (394_752, 158.669),
    "head": (107_593, 702.822),
}
SPLIT = {
    "neck.top_down.0": (41_216, 49_408, 24_832),
    "neck.top_down.1": (10_368, 12_416, 6_272),
    "neck.bottom_up.0": (24_832, 49_408, 24_832),
    "neck.bottom_up.1": (98_816, 197_120, 98_816),
}


def conv_macs_m(model, size=640):
    with FlopCounterMode(display=False, depth=6) as counter, torch.no_grad():
        model(torch.rand(1, 3, size, size))
    return {
        name.partition(".")[2] if "." in name else name: round(
            ops[torch.ops.aten.convolution] / 2e6, 3
        )
        for name, ops in counter.get_flop_counts().items()
    }


@pytest.fixture(scope="module")
def model():
    return MODULE.build(6).eval()


def test_parameters_of_each_layer(model):
    assert {name: size_of(model.get_submodule(name)) for name in TABLE} == {
        name: parameters for name, (parameters, _) in TABLE.items()
    }
    assert sum(p for p, _ in TABLE.values()) + 16 == size_of(model) == 1_418_489


def test_parameters_within_each_e_c2f(model):
    for name, expected in SPLIT.items():
        block = model.get_submodule(name)
        assert (size_of(block.first), size_of(block.chain), size_of(block.last)) == expected


def test_macs_of_each_layer(model):
    counted = conv_macs_m(model)
    assert {name: counted[name] for name in TABLE} == {
        name: macs for name, (_, macs) in TABLE.items()
    }
    assert counted["Global"] == 2288.435


@pytest.mark.parametrize(
    ("nc", "parameters", "gflops"),
    [
        (1, 1_418_164, 4.571),
        (4, 1_418_359, 4.575),
        (7, 1_418_554, 4.578),
        (10, 1_418_749, 4.581),
        (20, 1_419_399, 4.592),
        (80, 1_423_299, 4.656),
    ],
)
def test_totals_for_other_numbers_of_classes(nc, parameters, gflops):
    model = MODULE.build(nc).eval()
    assert size_of(model) == parameters
    assert conv_macs_m(model)["Global"] * 2 / 1000 == pytest.approx(gflops, abs=5e-4)


@pytest.mark.parametrize(
    ("options", "parameters", "macs_m"),
    [
        ({"form": "parallel"}, 1_417_913, 2288.435),
        ({"form": "asym"}, 1_418_489, 2275.994),
        ({"form": "star"}, 1_372_505, 2242.509),
        ({"form": "plain"}, 1_572_089, 2433.280),
        ({"head": "decoupled"}, 2_063_362, 3068.314),
    ],
)
def test_alternatives(options, parameters, macs_m):
    model = MODULE.build(6, **options).eval()
    assert size_of(model) == parameters
    assert conv_macs_m(model)["Global"] == macs_m


def test_folded_parameters():
    assert size_of(MODULE.build(6).deploy()) == 1_414_521


@pytest.mark.parametrize("form", ["edge", "parallel", "asym", "star", "plain"])
def test_every_form_learns_and_folds(form):
    from defectbench.nn.detector import Targets

    model = MODULE.build(3, form=form).train()
    targets = Targets(torch.tensor([[[4.0, 4, 60, 50]]] * 2), torch.tensor([[1]] * 2))
    model.loss(torch.rand(2, 3, 64, 64), targets, 0)["loss"].backward()
    assert all(p.grad is not None for p in model.neck.parameters())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        boxes, scores = model.eval().decode(model(images), 64, 64)
        folded_boxes, folded_scores = model.deploy()(images)
    assert torch.allclose(boxes, folded_boxes, atol=1e-3)
    assert torch.allclose(scores, folded_scores, atol=1e-5)


def test_edges_of_a_step_and_of_a_flat_map():
    edges = MODULE.EdgeResponses()
    assert not list(edges.parameters())
    flat = torch.full((1, 2, 4, 4), 3.0)
    assert edges(flat).abs().max() == 0  # also at the border
    step = torch.zeros(1, 1, 5, 6)
    step[..., 3:] = 1
    sobel_x, sobel_y, laplacian = edges(step)[0]
    assert sobel_x[2].tolist() == [0, 0, 0.5, 0.5, 0, 0]
    assert sobel_y.abs().max() == 0
    assert laplacian[2].tolist() == [0, 0, 0.25, -0.25, 0, 0]
    assert torch.equal(edges(step.transpose(2, 3))[0, 1], sobel_x.T)


def test_enhance_conv_is_its_formula():
    block = MODULE.EnhanceConv(3).eval()
    x = torch.randn(2, 3, 5, 5)
    responses = block.edges(x)
    mixed = x + sum(
        nn.functional.conv2d(
            responses[:, 3 * k : 3 * k + 3], block.mix.weight[:, 3 * k : 3 * k + 3]
        )
        for k in range(3)
    )
    with torch.no_grad():
        assert torch.allclose(block(x), nn.functional.silu(block.norm(mixed)), atol=1e-6)


def test_star_is_its_formula_and_folds():
    block = MODULE.Star(4)
    for _ in range(3):
        block(torch.randn(2, 4, 9, 9) + 1)
    block.eval()
    x = torch.randn(2, 4, 9, 9)
    with torch.no_grad():
        y = block.before(x)
        z = nn.functional.relu6(block.gate[0](y)) * block.value(y)
        expected = x + block.after(block.project(z))
        assert torch.allclose(block(x), expected, atol=1e-6)
        assert torch.allclose(fold_all(block)(x), expected, atol=1e-5)


def test_levels_share_the_tower_and_have_a_factor_each():
    head = MODULE.LSCD(6, (64, 128, 256)).eval()
    assert size_of(head) == 107_593
    assert head.classes.bias[0].item() == pytest.approx(-7.5601, abs=1e-4)
    maps = [torch.rand(1, c, s, s) for c, s in ((64, 4), (128, 2), (256, 1))]
    with torch.no_grad():
        before = head(maps)
        head.scales[1] *= 2
        after = head(maps)
    assert torch.equal(before[..., :6], after[..., :6])
    assert torch.equal(before[:, :16], after[:, :16])
    assert torch.equal(2 * before[:, 16:20, 6:], after[:, 16:20, 6:])


@pytest.mark.parametrize("option", ["form", "head", "box_loss"])
def test_unknown_option_is_named(option):
    with pytest.raises(ConfigError, match=option):
        MODULE.build(6, **{option: "no such"})
