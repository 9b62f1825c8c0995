"""Our YOLOv8n: published counts, and what does not learn."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method

METHOD = load_method("yolov8n", Path(__file__).parents[2] / "models")
MODULE = METHOD.module
assert MODULE is not None


@pytest.mark.parametrize(
    ("nc", "trained", "fused"),
    [
        (6, 3_012_018, 3_006_818),
        (10, 3_012_798, 3_007_598),
        (20, 3_014_748, 3_009_548),
        (80, 3_157_200, 3_151_904),
    ],
)
def test_published_parameters(nc, trained, fused):
    model = MODULE.build(nc)
    assert size_of(model) == trained
    assert size_of(model.deploy()) == fused


def test_only_the_ramp_of_distances_does_not_learn():
    model = MODULE.build(6)
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert fixed == ["ramp"]
    assert model.ramp.tolist() == list(range(16))


def test_backbone_maps():
    maps = MODULE.Backbone().eval()(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 8, 12), (128, 4, 6), (256, 2, 3)]


def test_unknown_box_loss_is_named():
    with pytest.raises(ConfigError, match="box_loss"):
        MODULE.build(6, box_loss="iou")


def test_loss_is_the_sum_of_its_parts():
    from defectbench.nn.detector import Targets

    model = MODULE.build(3).train()
    targets = Targets(torch.tensor([[[4.0, 4, 60, 50]]]), torch.tensor([[1]]))
    losses = model.loss(torch.rand(1, 3, 64, 64), targets, 0)
    assert list(losses) == ["loss", "box", "cls", "dfl"]
    assert losses["loss"].item() == pytest.approx(sum(losses[k].item() for k in list(losses)[1:]))
