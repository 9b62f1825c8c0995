"""Plans: what they name, what they refuse, and networks narrowed by them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from defectbench.base.errors import CompressionError
from defectbench.base.methods import load_method
from defectbench.nn.plan import Plan, narrow
from defectbench.nn.yolo import C2f, residual_convs
from defectbench.nn.yolov4 import YOLOv4

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


class Net(nn.Module):
    """A stem, a cross-stage block with a residual, a depthwise convolution, a predictor with a bias."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1, bias=False)
        self.block = C2f(6, 8, residual_convs)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.out = nn.Conv2d(8, 5, 1)

    def forward(self, x):
        return self.out(self.depthwise(self.block(self.stem(x))))


def test_the_plan_of_a_network_names_all_of_it():
    plan = Plan.of(Net()).to_dict()
    assert plan == {
        "widths": {
            "stem": 6,
            "block.first.0": 8,
            "block.chain.0.body.0.0": 4,
            "block.chain.0.body.1.0": 4,
            "block.last.0": 8,
            "depthwise": 8,
            "out": 5,
        },
        "units": {},
        "splits": {"block": [4, 4]},
    }
    assert Plan(**plan).to_dict() == plan


def narrowed():
    plan = Plan.of(Net()).to_dict()
    plan["widths"] |= {"stem": 2, "block.first.0": 4, "block.chain.0.body.0.0": 3}
    plan["widths"] |= {"block.chain.0.body.1.0": 1, "block.last.0": 7, "depthwise": 7}
    plan["splits"] = {"block": [3, 1]}
    return plan


def test_inputs_follow_from_what_arrives():
    net = narrow(Net(), Plan(**narrowed()))
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    assert shapes["stem.weight"] == (2, 3, 1, 1)
    assert shapes["block.first.0.weight"] == (4, 2, 1, 1)
    assert shapes["block.chain.0.body.0.0.weight"] == (3, 1, 3, 3)
    assert shapes["block.chain.0.body.1.0.weight"] == (1, 3, 3, 3)
    assert shapes["block.last.0.weight"] == (7, 3 + 1 + 1, 1, 1)
    assert shapes["block.last.1.weight"] == (7,)
    assert shapes["depthwise.weight"] == (7, 1, 3, 3)
    assert shapes["out.weight"] == (5, 7, 1, 1)
    assert net.depthwise.groups == 7
    assert net.training
    assert Plan.of(net).to_dict() == narrowed()
    assert net(torch.rand(1, 3, 16, 16)).shape == (1, 5, 16, 16)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"stem": 0}, "at least one channel"),
        ({"stem": 7}, "at most 3 in, 6 out"),
        ({"block.chain.0.body.1.0": 3}, "maps of 1 and 3 channels"),  # the residual's sum
        ({"nowhere": 3}, "none of that name"),
        ({"depthwise": 3}, "the network has 7"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(change, match):
    plan = narrowed()
    with pytest.raises(CompressionError, match=match):
        narrow(Net(), Plan(**{**plan, "widths": plan["widths"] | change}))


def test_splits_that_do_not_fit_are_refused():
    for splits, match in (
        ({"block": [4, 0]}, "at least one"),
        ({"block": [3, 1], "stem": [3, 1]}, "none of that"),
    ):
        with pytest.raises(CompressionError, match=match):
            narrow(Net(), Plan(**{**narrowed(), "splits": splits}))


def test_a_group_norm_is_not_narrowed():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4))
    with pytest.raises(CompressionError, match="group norm"):
        narrow(net, Plan(widths={"0": 2}))


def test_a_yolov4_refuses_plans_of_others():
    build = load_method("yolov4", MODELS).module.build
    own = Plan.of(YOLOv4(6, Plan(0.05))).to_dict()
    with torch.device("meta"):
        assert Plan.of(build(6, plan=own)).to_dict() == own
        with pytest.raises(CompressionError, match=r"head\.outputs\.0"):
            build(2, plan=own)  # of other classes
        with pytest.raises(CompressionError, match="units 0 to 0"):
            build(6, plan={"units": {"backbone.stages.0": [1]}})
        with pytest.raises(CompressionError, match=r"expand"):
            build(6, plan={"widths": {"backbone.stages.0.units.0.expand.0": 3}})
        with pytest.raises(CompressionError, match=r"stage9"):
            build(6, plan={"units": {"stage9": [0]}})


def test_the_widest_plan_changes_nothing():
    for name in ("yolov8n", "tinydefectnet"):
        build = load_method(name, MODELS).module.build
        torch.manual_seed(1)
        whole = build(6)
        torch.manual_seed(1)
        again = build(6, plan=Plan.of(whole).to_dict())
        assert whole.state_dict().keys() == again.state_dict().keys()
        for a, b in zip(whole.parameters(), again.parameters(), strict=True):
            assert torch.equal(a, b)
            assert a.requires_grad == b.requires_grad
