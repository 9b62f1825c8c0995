"""DEIMv2-Atto, -Femto and -Pico: parameters, state and multiply-adds as published and as counted on the reference."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from defectbench.base.methods import load_method
from defectbench.nn.query_decoder import LAYERS

MODELS = Path(__file__).parents[2] / "models"
SIZES = ("atto", "femto", "pico")


def build_of(size):
    module = load_method(f"deimv2_{size}", MODELS).module
    assert module is not None
    return module.build


@pytest.mark.parametrize(
    ("size", "nc", "parameters"),
    [
        *(("atto", 6, 485_009), ("atto", 80, 508_985), ("atto", 7, 485_009 + 324)),
        *(("femto", 6, 948_129), ("femto", 80, 983_945), ("femto", 7, 948_129 + 484)),
        *(("pico", 6, 1_497_803), ("pico", 80, 1_539_539), ("pico", 7, 1_497_803 + 564)),
    ],
)
def test_parameters_by_classes(size, nc, parameters):
    assert size_of(build_of(size)(nc)) == parameters


@pytest.mark.parametrize(
    ("size", "backbone", "encoder", "decoder", "shown"),
    [
        ("atto", 230_344, 80_400, 174_265, 448),
        ("femto", 389_832, 196_352, 361_945, 672),
        ("pico", 749_202, 258_976, 489_625, 784),
    ],
)
def test_parameters_of_each_part(size, backbone, encoder, decoder, shown):
    model = build_of(size)(6)
    assert size_of(model.backbone) == backbone
    assert size_of(model.encoder) == encoder
    assert size_of(model.decoder, model.early, model.shown) == decoder
    assert size_of(model.shown) == shown
    assert len(model.early) == LAYERS - 1


def macs_m(model, side):
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(torch.rand(1, 3, side, side))
    return counter.get_total_flops() / 2e6


# as the reference counts its deployed form at six classes
@pytest.mark.parametrize(
    ("size", "queries", "side", "macs"),
    [
        *(("atto", 100, 192, 150.435), ("atto", 100, 224, 196.155), ("atto", 100, 320, 375.517)),
        *(("atto", 50, 192, 137.562), ("atto", 50, 320, 362.643)),
        *(("femto", 150, 192, 235.784), ("femto", 150, 320, 521.427), ("femto", 100, 224, 265.889)),
        *(("pico", 200, 224, 434.645), ("pico", 200, 320, 742.809), ("pico", 150, 192, 316.412)),
        ("pico", 100, 192, 280.090),
    ],
)
def test_multiply_adds(size, queries, side, macs):
    assert macs_m(build_of(size)(6, queries=queries).deploy(), side) == pytest.approx(
        macs, abs=6e-4
    )


# half of what is printed as GFLOPs, at the sides of COCO
@pytest.mark.parametrize(
    ("size", "side", "gflops"), [("atto", 320, 0.8), ("femto", 416, 1.7), ("pico", 640, 5.2)]
)
def test_printed_operations_are_twice_the_multiply_adds(size, side, gflops):
    found = 2 * macs_m(build_of(size)(80).deploy(), side) / 1000
    assert found == pytest.approx(
        gflops, abs=0.06
    )  # printed of the form in training, with one digit


def test_deployed_networks_lack_what_only_training_needs():
    deployed = build_of("atto")(6).deploy()
    names = [name for name, _ in deployed.named_parameters()]
    assert not [name for name in names if "early" in name or "shown" in name or "bins" in name]


@pytest.mark.parametrize("size", SIZES)
def test_queries_beyond_the_cells_are_left_out(size):
    model = build_of(size)(6).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 16 + 4, 10)
