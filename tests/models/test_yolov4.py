"""YOLOv4 and its thin form: counts of the parts of one network, by classes and width."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch import nn

from defectbench.base.methods import load_method
from defectbench.nn.csp_darknet import ResidualUnit

MODELS = Path(__file__).parents[2] / "models"
WHOLE_METHOD, THIN_METHOD = (load_method(name, MODELS) for name in ("yolov4", "yolov4_thin"))
MODULE, THIN = WHOLE_METHOD.module, THIN_METHOD.module
assert MODULE is not None
assert THIN is not None


@pytest.fixture(scope="module")
def whole():
    with torch.device("meta"):
        return MODULE.build(6)


def stored_mib(model):
    """As the paper counts: parameters and the running statistics of batch norms, in float32."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    return 4 * (size_of(model) + 2 * sum(norm.num_features for norm in norms)) / 2**20


def test_parameters_of_each_part(whole):
    stages = [size_of(stage) for stage in whole.backbone.stages]
    assert size_of(whole.backbone.stem) == 928
    assert stages == [60_224, 193_920, 1_758_976, 7_024_128, 17_579_008]
    spp = size_of(whole.neck.before, whole.neck.after)
    assert (spp, size_of(whole.neck) - spp) == (12_066_816, 19_024_640)
    assert size_of(whole.head) == 6_255_971


def test_layers_and_stored_size(whole):
    norms = [m for m in whole.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in whole.modules() if isinstance(m, nn.Conv2d)]
    units = [m for m in whole.modules() if isinstance(m, ResidualUnit)]
    assert (len(norms), len(convs), len(units)) == (107, 110, 23)
    assert sum(norm.num_features for norm in norms) == 33_152
    assert stored_mib(whole) == pytest.approx(244.26, abs=0.005)


@pytest.mark.parametrize(
    ("nc", "width", "parameters"),
    [(80, 1.0, 64_363_101), (6, 0.13, 1_100_632), (6, 0.125, 1_013_359)],
)
def test_parameters_by_classes_and_width(nc, width, parameters):
    with torch.device("meta"):
        assert size_of(MODULE.build(nc, width=width)) == parameters


def test_the_thin_form_is_the_same_network_at_a_width_of_0_13():
    with torch.device("meta"):
        thin, narrow, slim = THIN.build(6), MODULE.build(6, width=0.13), THIN.build(6, width=0.125)
    shapes = {name: value.shape for name, value in narrow.state_dict().items()}
    assert {name: value.shape for name, value in thin.state_dict().items()} == shapes
    assert type(thin) is type(narrow)
    assert stored_mib(thin) == pytest.approx(4.23, abs=0.005)
    assert stored_mib(slim) == pytest.approx(3.90, abs=0.005)


def test_the_thin_form_learns_as_the_whole_one():
    assert THIN_METHOD.recipe == WHOLE_METHOD.recipe
