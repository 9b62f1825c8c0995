"""The contract of the methods that mmdetection trains: any number of classes, two sizes, every kind of truth."""

import json
from pathlib import Path

import pytest

from defectbench.base.methods import load_card

from .mmdet_environment import METHODS, NEEDED, ROOT, run_inside

CLASSES, SIZES = (1, 6, 10, 20), (64, 192)
# a kernel of 3x3 over 256 features and a bias; of RTMDet 1x1 over 96 and a bias at each level
PER_CLASS = {"foveabox_r50": 9 * 256 + 1, "tood_r50": 9 * 256 + 1, "rtmdet_tiny": 3 * (96 + 1)}
STRIDES = {"rtmdet_tiny": (8, 16, 32)}
# of FoveaBox without a single box: its loss leaves the branch of the boxes out
UNTAUGHT = {"foveabox_r50": ("bbox_head.reg_convs.", "bbox_head.conv_reg.")}

USUAL = {"steps": 15, "rate": 3e-4, "taught": False}
# RTMDet's first boxes are points, which overlap nothing: there is little to lose until some have grown
SLOW = {"rtmdet_tiny": {"steps": 20, "rate": 1e-3, "taught": True}}
# no box of the batch is on the coarse levels, which have nothing to learn of boxes from it
COARSE = {"rtmdet_tiny": ("bbox_head.reg_convs.2.", "bbox_head.rtm_reg.2.")}

pytestmark = NEEDED


@pytest.fixture(scope="module", params=METHODS)
def found(request, tmp_path_factory):
    """The name of a method, and what the framework did with its network."""
    out = tmp_path_factory.mktemp("contract") / "found.json"
    told = {"network": f"models/{request.param}/network.yaml", "classes": CLASSES, "sizes": SIZES}
    told |= SLOW.get(request.param, USUAL)
    script = Path(__file__).with_name("mmdet_contract.py")
    run_inside(script, json.dumps({**told, "out": str(out)}))
    return request.param, json.loads(out.read_text())


@pytest.mark.parametrize("count", CLASSES)
def test_builds_for_any_number_of_classes(found, count):
    name, answer = found
    golden = load_card(ROOT / "models" / name).golden
    expected = golden.params + (count - golden.nc) * PER_CLASS[name]
    assert answer["classes"][str(count)]["params"] == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", CLASSES)
def test_forward_gives_scores_and_boxes_of_each_level(found, count, size):
    name, answer = found
    levels = answer["classes"][str(count)]["shapes"][str(size)]
    sides = [-(-size // stride) for stride in STRIDES.get(name, (8, 16, 32, 64, 128))]
    assert levels == [[[2, count, n, n], [2, 4, n, n]] for n in sides]


@pytest.mark.parametrize("kind", ["few", "full"])
@pytest.mark.parametrize("count", CLASSES)
def test_every_parameter_gets_a_finite_gradient(found, count, kind):
    for answer in found[1]["classes"][str(count)][kind]:
        assert (answer["missing"], answer["broken"]) == ([], [])
        assert 0 < answer["loss"] < 100


@pytest.mark.parametrize("count", CLASSES)
def test_empty_truth_gives_a_finite_loss_and_gradient(found, count):
    name, content = found
    for answer in content["classes"][str(count)]["none"]:
        assert answer["broken"] == []
        assert 0 < answer["loss"] < 100
        assert [p for p in answer["missing"] if not p.startswith(UNTAUGHT.get(name, ()))] == []


def test_loss_falls_on_one_batch_and_reaches_every_parameter(found):
    name, answer = found
    losses, untouched = (answer["one batch"][key] for key in ("losses", "untouched"))
    assert min(losses[-5:]) < 0.6 * (max(losses) if name in SLOW else losses[0])
    known = COARSE.get(name, ("bbox_head.scales.",))
    assert [parameter for parameter in untouched if not parameter.startswith(known)] == []


def test_in_bfloat16_the_loss_differs_by_the_rounding_alone(found):
    """The same network and batch; what predicts is computed in float32. RTMDet assigns by what it predicts."""
    losses = found[1]["precision"]
    assert losses["float32"] != losses["bfloat16"]
    near = 0.05 if found[0] in SLOW else 0.02
    assert losses["float32"] == pytest.approx(losses["bfloat16"], rel=near)
    assert losses["predictions"] == ["torch.float32"]
