"""Pieces of the YOLOv8 frame: shapes, counts and order of the parts."""

import math

import pytest
import torch
from tests.counting import size_of
from torch import nn

from defectbench.nn.yolo import (
    SPPF,
    C2f,
    DecoupledHead,
    YoloPAN,
    conv_silu,
    residual_convs,
    two_convs,
)


def test_constants_of_the_family():
    conv, norm, act = conv_silu(3, 8, 3, 2)
    assert conv.bias is None
    assert (norm.eps, norm.momentum) == (1e-3, 0.03)
    assert isinstance(act, nn.SiLU)
    assert conv_silu(3, 8, 3, 2)(torch.rand(1, 3, 9, 9)).shape == (1, 8, 5, 5)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_c2f_counts(depth):
    block = C2f(24, 32, depth=depth)
    weights = 24 * 32 + depth * 18 * 16**2 + (2 + depth) * 16 * 32
    assert size_of(block) == weights + 2 * (32 + depth * 32 + 32)
    assert block(torch.rand(2, 24, 5, 7)).shape == (2, 32, 5, 7)


def test_c2f_joins_both_halves_and_every_bottleneck_in_order():
    block = C2f(4, 4, bottleneck=lambda c: nn.Upsample(scale_factor=1), depth=2)
    seen = []
    block.last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 4, 3, 3)
    block.eval()(x)
    split = block.first(x)
    assert torch.equal(seen[0], torch.cat((split, split[:, 2:], split[:, 2:]), 1))


def test_shortcut_is_added_in_the_backbone_only():
    x = torch.rand(1, 4, 5, 5)
    with_it, without = residual_convs(4).eval(), two_convs(4).eval()
    without.load_state_dict(with_it.body.state_dict())
    assert torch.allclose(with_it(x), x + without(x))


def test_sppf_sees_5_9_and_13_cells():
    block = SPPF(2, 3).eval()
    seen = []
    block.last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 2, 20, 20)
    block(x)
    first = block.first(x)
    pools = [nn.functional.max_pool2d(first, k, 1, k // 2) for k in (5, 9, 13)]
    assert torch.equal(seen[0], torch.cat((first, *pools), 1))


@pytest.mark.parametrize("sides", [(8, 4, 2), (9, 5, 3)])
def test_neck_fuses_up_then_down_with_the_moving_map_first(sides):
    made = []
    neck = YoloPAN(
        (3, 5, 8), (4, 6, 8), lambda c_in, c_out: made.append((c_in, c_out)) or C2f(c_in, c_out)
    )
    assert made == [(8 + 5, 6), (6 + 3, 4), (4 + 6, 6), (6 + 8, 8)]
    seen = []
    neck.top_down[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    features = [torch.rand(1, c, s, s) for c, s in zip((3, 5, 8), sides, strict=True)]
    outs = neck.eval()(features)
    assert [tuple(o.shape) for o in outs] == [
        (1, c, s, s) for c, s in zip((4, 6, 8), sides, strict=True)
    ]
    assert torch.equal(seen[0][:, 8:], features[1])
    assert torch.equal(seen[0][0, :8, 0, 0], features[2][0, :, 0, 0])


@pytest.mark.parametrize(("nc", "width"), [(6, 64), (80, 80), (300, 100)])
def test_head_widths_and_start(nc, width):
    head = DecoupledHead(nc, (64, 128, 256))
    assert head.classes[0][-1].in_channels == width
    assert head.boxes[2][-1].in_channels == 64
    for branch, stride in zip(head.classes, (8, 16, 32), strict=True):
        expected = math.log(5 / nc / (640 / stride) ** 2)
        assert branch[-1].bias.tolist() == pytest.approx([expected] * nc)
    assert all((branch[-1].bias == 1).all() for branch in head.boxes)


def test_head_puts_classes_first_and_levels_one_after_the_other():
    head = DecoupledHead(2, (64, 64, 64)).eval()
    maps = [torch.rand(1, 64, s, s) for s in (4, 2, 1)]
    raw = head(maps)
    assert raw.shape == (1, 21, 66)
    with torch.no_grad():
        assert torch.allclose(
            raw[0, 16:20, :2].T, head.classes[1](maps[1])[0].flatten(1), atol=1e-6
        )
        assert torch.allclose(raw[0, 20, 2:], head.boxes[2](maps[2])[0, :, 0, 0], atol=1e-6)
