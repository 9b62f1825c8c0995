"""The lite encoder: parameters of each part, maps by hand, bottlenecks that fold."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.counting import size_of

from defectbench.nn.fold import fold_all
from defectbench.nn.lite_encoder import Halve, LiteEncoder, RepBottleneck


@pytest.mark.parametrize(
    ("c_in", "width", "enter", "small", "parts", "inside", "whole"),
    [
        (256, 64, 16_512, 4_224, (8_448, 4_320, 3_240, 9_600), (3_400, 2_320, 1_040), 80_400),
        (512, 96, 49_344, 9_408, (18_816, 10_720, 8_160, 21_696), (8_384, 5_824, 2_624), 196_352),
        (
            *(512, 112, 57_568, 12_768),
            *((25_536, 14_991, 11_457, 29_568), (11_704, 8_170, 3_686), 258_976),
        ),
    ],
    ids=["atto", "femto", "pico"],
)
def test_parameters_of_each_part(c_in, width, enter, small, parts, inside, whole):
    net = LiteEncoder(c_in, width)
    assert size_of(net.enter) == enter
    assert [size_of(part) for part in (net.halve, net.mean, net.halve_again)] == [small] * 3
    for block in (net.top_down, net.bottom_up):
        found = (block.enter, block.first, block.second, block.leave)
        assert tuple(size_of(part) for part in found) == parts
        csp = [size_of(part.split, part.bottlenecks) for part in (block.first, block.second)]
        assert (*csp, size_of(block.first.bottlenecks[0])) == inside
    assert size_of(net) == whole


def test_maps_by_hand():
    torch.manual_seed(0)
    net = LiteEncoder(24, 16).eval()
    x = torch.rand(2, 24, 6, 4)
    fine, coarse = net(x)
    a = net.enter(x)
    b = net.halve(a)
    b = net.mean(b + b.mean((2, 3), keepdim=True))
    f = net.top_down(a + b.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.allclose(fine, f, atol=1e-6)
    assert torch.allclose(coarse, net.bottom_up(b + net.halve_again(f)), atol=1e-6)
    assert (fine.shape, coarse.shape) == ((2, 16, 6, 4), (2, 16, 3, 2))


def test_zeros_at_the_border_count_in_the_mean():
    halve = Halve(1)
    halve.mix = torch.nn.Identity()
    assert torch.allclose(halve(torch.ones(1, 1, 4, 4))[0, 0], torch.tensor([[4, 6], [6, 9]]) / 9)


def test_a_bottleneck_folds_to_one_convolution():
    torch.manual_seed(0)
    block = RepBottleneck(5)
    for _ in range(3):
        block(torch.rand(4, 5, 8, 8))
    x = torch.rand(1, 5, 7, 7)
    expected = block.eval()(x)
    conv, act = block.folded()
    assert torch.allclose(act(conv(x)), expected, atol=1e-6)
    assert torch.allclose(expected, F.silu(block.square(x) + block.point(x)), atol=0)


def test_folded_encoder_says_the_same():
    torch.manual_seed(0)
    net = LiteEncoder(24, 16)
    for _ in range(2):
        net(torch.rand(3, 24, 4, 4))
    net.eval()
    x = torch.rand(2, 24, 4, 4)
    for whole, folded in zip(net(x), fold_all(copy.deepcopy(net))(x), strict=True):
        assert torch.allclose(whole, folded, atol=1e-5)
