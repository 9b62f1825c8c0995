"""HGNetV2: parameters of each part, shapes, the stem by hand, sums between blocks."""

import pytest
import torch
import torch.nn.functional as F
from tests.counting import size_of

from defectbench.nn.deimv2 import ATTO, FEMTO, PICO
from defectbench.nn.hgnet import HGNet, StagePlan, Stem


def test_parameters_of_the_stem():
    stem = Stem()
    parts = (stem.first, stem.narrow, stem.widen, stem.halve, stem.last)
    assert [size_of(part) for part in parts] == [466, 530, 546, 4_642, 290]


@pytest.mark.parametrize(
    ("widths", "last", "whole"),
    [(ATTO, 120_778, 230_344), (FEMTO, 280_266, 389_832), (PICO, 639_636, 749_202)],
    ids=["atto", "femto", "pico"],
)
def test_parameters_of_the_stages(widths, last, whole):
    net = HGNet(widths.stage)
    assert [size_of(stage) for stage in net.stages] == [11_306, 91_786, last]
    assert size_of(net) == whole


def layers_of(block):
    return [*(size_of(layer) for layer in block.layers), *(size_of(unit) for unit in block.join)]


def test_parameters_inside_the_stages():
    (first,), (down, second), (_, atto) = HGNet(ATTO.stage).stages
    _, femto = HGNet(FEMTO.stage).stages[2]
    _, _, pico = HGNet(PICO.stage).stages[2]
    assert layers_of(first) == [2_338] * 3 + [2_114, 2_178]
    assert size_of(down) == 704
    assert layers_of(second) == [18_498, 9_282, 9_282, 20_738, 33_282]
    assert layers_of(atto) == [17_218, 4_930, 4_930, 57_602, 33_282]
    assert layers_of(femto) == [18_242, 5_954, 5_954, 115_202, 132_098]
    assert layers_of(pico) == [34_626, 5_954, 5_954, 180_738, 132_098]


def test_one_map_at_stride_16():
    assert HGNet(FEMTO.stage)(torch.rand(2, 3, 96, 64)).shape == (2, 512, 6, 4)


def test_the_stem_pads_right_and_below_alone():
    torch.manual_seed(0)
    stem = Stem().eval()
    images = torch.rand(1, 3, 32, 32)
    first = stem.first(images)
    grown = F.pad(first, (0, 1, 0, 1))
    assert grown[..., -1].abs().max() == 0
    widened = stem.widen(F.pad(stem.narrow(grown), (0, 1, 0, 1)))
    joined = torch.cat((F.max_pool2d(grown, 2, 1), widened), 1)
    assert torch.allclose(stem(images), stem.last(stem.halve(joined)), atol=1e-6)
    assert stem(images).shape == (1, 16, 8, 8)


def test_blocks_after_the_first_of_a_stage_add_their_input():
    *_, first, second = HGNet(StagePlan(8, 16, blocks=2)).eval().stages[2]
    x = torch.rand(1, 16, 4, 4)
    for unit in second.join:  # the block itself says nothing
        torch.nn.init.zeros_(unit[-1].scale)
    assert torch.equal(second(x), x)
    assert not first.adds
