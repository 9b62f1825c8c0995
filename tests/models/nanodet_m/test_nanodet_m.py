"""NanoDet-m: counts part by part, its neck by hand, and how it learns."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.counting import size_of

from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets

MODULE = load_method("nanodet_m", Path(__file__).parents[3] / "models").module
assert MODULE is not None


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert [size_of(stage) for stage in model.backbone.stages] == [30_192, 244_180, 501_352]
    assert size_of(model.backbone.stem) == 696
    assert size_of(model.neck) == 78_240
    assert size_of(model.head) == 928_502 - 776_420 - 78_240


@pytest.mark.parametrize(("nc", "parameters"), [(6, 928_502), (7, 928_793), (80, 950_036)])
def test_parameters_by_classes(nc, parameters):
    assert size_of(MODULE.build(nc)) == parameters


def test_neck_adds_resized_maps_only():
    neck = MODULE.PAN((2, 3, 4), 5)
    maps = [torch.randn(1, c, s, s) for c, s in ((2, 8), (3, 4), (4, 2))]
    a, b, c = (conv(x) for conv, x in zip(neck.laterals, maps, strict=True))

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    b = b + up(c)
    a = a + up(b)
    b = b + F.avg_pool2d(a, 2)  # bilinear to half the size is the mean of four cells
    c = c + F.avg_pool2d(b, 2)
    for found, expected in zip(neck(maps), (a, b, c), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


def test_priors_are_centres_of_three_levels():
    priors = MODULE.build(6).priors(torch.empty(1, 3, 64, 64))
    assert len(priors) == 64 + 16 + 4
    assert priors[0].tolist() == [4, 4, 8]
    assert priors[-1].tolist() == [48, 48, 32]


def test_box_terms_are_divided_by_the_plain_sum_of_their_weights():
    torch.manual_seed(0)
    model = MODULE.build(6)
    targets = Targets(torch.tensor([[[10.0, 12, 50, 44]]]), torch.tensor([[1]]))
    losses = model.loss(torch.rand(1, 3, 64, 64), targets, 0)
    # Scores start at 0.01: a floor of 1 under their sum would leave a few hundredths of 1 - GIoU
    assert 0.2 < losses["giou"].item() / 2 < 2
    assert list(losses) == ["loss", "qfl", "giou", "dfl"]
