"""ShuffleNetV2: units by hand, and the backbone that two detectors share."""

import torch
from tests.counting import size_of

from defectbench.nn.shufflenet import PlainDownUnit, ShuffleFirstUnit, fastest_shufflenet


def test_unit_passes_even_and_convolves_odd_channels():
    torch.manual_seed(0)
    unit = ShuffleFirstUnit(8).eval()
    x = torch.randn(2, 8, 5, 5)
    expected = torch.cat((x[:, 0::2], unit.right(x[:, 1::2])), 1)
    assert torch.equal(unit(x), expected)


def test_down_unit_shuffles_nothing():
    unit = PlainDownUnit(4, 8).eval()
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(unit(x), torch.cat((unit.left(x), unit.right(x)), 1))


def test_the_shared_backbone_has_the_published_parts():
    backbone = fastest_shufflenet()
    parts = [backbone.stem, *backbone.stages]
    assert [size_of(part) for part in parts] == [696, 6_936, 45_552, 89_952]
    assert [x.shape[1:] for x in backbone(torch.rand(2, 3, 64, 64))] == [
        (48, 8, 8),
        (96, 4, 4),
        (192, 2, 2),
    ]
