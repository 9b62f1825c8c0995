"""PicoDet-S: counts part by part, widths, nodes by hand, and how it learns."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.counting import conv_macs_m, size_of
from torch import nn

from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets
from defectbench.nn.functional import channel_shuffle

MODULE = load_method("picodet_s", Path(__file__).parents[2] / "models").module
assert MODULE is not None


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert size_of(model.backbone) == 603_659
    assert size_of(model.neck) == 249_600
    assert size_of(model.head) == 110_744


@pytest.mark.parametrize(("nc", "parameters"), [(6, 964_003), (7, 964_391), (80, 992_715)])
def test_parameters_by_classes(nc, parameters):
    assert size_of(MODULE.build(nc)) == parameters


@pytest.mark.parametrize(("size", "macs_m"), [(192, 120.96), (320, 335.87), (480, 755.99)])
def test_multiply_adds_of_convolutions(size, macs_m):
    assert round(conv_macs_m(MODULE.build(6).deploy(), size), 2) == macs_m


def test_widths_inside_the_blocks():
    stages = MODULE.build(6).backbone.stages
    found = []
    for down, *units in stages:
        found.append([2 * down.right[0][0].out_channels])
        found[-1] += [unit.attend.gate[1].in_channels for unit in units]
    assert found == [[88, 48, 48], [96, 120, 96, 120, 96, 96, 96], [192, 192, 192]]


def test_activations_are_hard_swish_and_the_gates_own():
    model = MODULE.build(6)
    kinds = {
        type(m) for m in model.modules() if type(m).__module__ == "torch.nn.modules.activation"
    }
    assert kinds == {nn.Hardswish, nn.ReLU, nn.Hardsigmoid}


def test_unit_by_hand():
    torch.manual_seed(0)
    unit = MODULE.Unit(16, 8).eval()
    x = torch.randn(2, 16, 6, 6)
    a, b = x[:, :8], x[:, 8:]
    u = unit.primary(b)
    ghost = torch.cat((u, unit.cheap(u)), 1)
    _, squeeze, _, excite, _ = unit.attend.gate
    gate = excite(F.relu(squeeze(ghost.mean((2, 3), keepdim=True))))
    ghost = ghost * (gate / 6 + 0.5).clamp(0, 1)
    expected = channel_shuffle(torch.cat((a, unit.project(ghost)), 1), 2)
    assert torch.allclose(unit(x), expected, atol=1e-6)


def test_neck_repeats_cells_upwards():
    neck = MODULE.build(6).neck
    x = torch.randn(1, 2, 3, 3)
    assert torch.equal(
        neck.upsample(x, torch.empty(1, 1, 6, 6)), x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )


def test_priors_are_centres_of_four_levels():
    priors = MODULE.build(6).priors(torch.empty(1, 3, 64, 64))
    assert len(priors) == 64 + 16 + 4 + 1
    assert priors[0].tolist() == [4, 4, 8]
    assert priors[-1].tolist() == [32, 32, 64]


def test_learns_from_varifocal_giou_and_bins():
    targets = Targets(torch.tensor([[[10.0, 12, 50, 44]]] * 2), torch.tensor([[1]] * 2))
    losses = MODULE.build(6).loss(torch.rand(2, 3, 64, 64), targets, 0)
    assert list(losses) == ["loss", "vfl", "giou", "dfl"]
