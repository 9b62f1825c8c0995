"""NanoDet-Plus-m: counts part by part, and the guide that is dropped."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method

MODULE = load_method("nanodet_plus_m", Path(__file__).parents[2] / "models").module
assert MODULE is not None


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert [size_of(stage) for stage in model.backbone.stages] == [30_192, 244_180, 501_352]
    assert size_of(model.backbone.stem) == 696
    assert size_of(model.neck) == size_of(model.guide.neck) == 282_048
    assert size_of(model.head) == 110_744
    assert size_of(model.guide) - size_of(model.guide.neck) == 2_722_986


@pytest.mark.parametrize(("nc", "parameters"), [(6, 1_169_212), (80, 1_197_924)])
def test_parameters_without_guide(nc, parameters):
    assert size_of(MODULE.build(nc, guide="none")) == parameters


def test_guide_starts_as_a_copy_of_the_neck_with_its_own_statistics():
    model = MODULE.build(6)
    for main, aside in zip(
        model.neck.state_dict().values(), model.guide.neck.state_dict().values(), strict=True
    ):
        assert torch.equal(main, aside)
        assert main.data_ptr() != aside.data_ptr()


def test_unknown_guide_is_named():
    with pytest.raises(ConfigError, match="choose one of agm, none"):
        MODULE.build(6, guide="nothing")


def test_a_guide_in_bfloat16_guides_alike():
    torch.manual_seed(0)
    models = [MODULE.build(6, guide_precision=kind) for kind in ("float32", "bfloat16")]
    models[1].load_state_dict(models[0].state_dict())
    maps = [torch.rand(2, c, side, side) for c, side in ((116, 8), (232, 4), (464, 2))]
    neck = [torch.rand(2, 96, side, side) for side in (8, 4, 2, 1)]
    exact, narrow = (model.eval().guide(maps, neck, detach=False) for model in models)
    assert exact.dtype == narrow.dtype == torch.float32
    assert not torch.equal(exact, narrow)
    torch.testing.assert_close(narrow, exact, atol=0.03, rtol=0.02)
