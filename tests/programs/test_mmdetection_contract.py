"""The contract of the methods that mmdetection trains: any number of classes, two sizes, every kind of truth."""

import json
from pathlib import Path

import pytest

from defectbench.base.methods import load_card

from .mmdet_environment import METHODS, NEEDED, ROOT, run_inside

CLASSES, SIZES = (1, 6, 10, 20), (64, 192)
PER_CLASS = 9 * 256 + 1  # a kernel of 3x3 over 256 features, and a bias
# of FoveaBox without a single box: its loss leaves the branch of the boxes out
UNTAUGHT = {"foveabox_r50": ("bbox_head.reg_convs.", "bbox_head.conv_reg.")}

pytestmark = NEEDED


@pytest.fixture(scope="module", params=METHODS)
def found(request, tmp_path_factory):
    """The name of a method, and what the framework did with its network."""
    out = tmp_path_factory.mktemp("contract") / "found.json"
    told = {"network": f"models/{request.param}/network.yaml", "classes": CLASSES, "sizes": SIZES}
    script = Path(__file__).with_name("mmdet_contract.py")
    run_inside(script, json.dumps({**told, "out": str(out)}))
    return request.param, json.loads(out.read_text())


@pytest.mark.parametrize("count", CLASSES)
def test_builds_for_any_number_of_classes(found, count):
    name, answer = found
    golden = load_card(ROOT / "models" / name).golden
    expected = golden.params + (count - golden.nc) * PER_CLASS
    assert answer["classes"][str(count)]["params"] == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", CLASSES)
def test_forward_gives_scores_and_boxes_of_five_levels(found, count, size):
    levels = found[1]["classes"][str(count)]["shapes"][str(size)]
    sides = [-(-size // stride) for stride in (8, 16, 32, 64, 128)]
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
    losses, untouched = (found[1]["one batch"][name] for name in ("losses", "untouched"))
    assert min(losses[-5:]) < 0.6 * losses[0]
    # no box of the batch is on the coarse levels, whose scales have nothing to learn from it
    assert [name for name in untouched if not name.startswith("bbox_head.scales.")] == []


def test_in_bfloat16_the_loss_differs_by_the_rounding_alone(found):
    """The same network and batch; what predicts is computed in float32."""
    losses = found[1]["precision"]
    assert losses["float32"] != losses["bfloat16"]
    assert losses["float32"] == pytest.approx(losses["bfloat16"], rel=0.02)
    assert losses["predictions"] == ["torch.float32"]
