"""A pruned task-aligned detector that learns from its whole form."""

import copy
from pathlib import Path

import pytest
import torch

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets
from defectbench.nn.distillation import enhanced_kl
from defectbench.nn.plan import Plan
from defectbench.nn.task_aligned import BINS_GAIN, CLASS_GAIN

MODELS = Path(__file__).parents[2] / "models"
METHODS = ("yolov8n", "tinydefectnet")
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TARGETS = Targets(torch.tensor([[[4.0, 4, 40, 50]], [[10, 20, 30, 60]]]), torch.tensor([[1], [0]]))


def module_of(name):
    return load_method(name, MODELS).module


@pytest.fixture(params=METHODS)
def pair(request):
    """A whole network in eval mode, and one of the narrower widths of a plan that may learn from it."""
    module = module_of(request.param)
    torch.manual_seed(1)
    whole = module.build(3).eval()
    name = "backbone.stages.0.0.0" if request.param == "yolov8n" else "neck.down.0.0"
    width = Plan.of(whole).widths[name] // 2
    return whole, module.build(3, plan={"widths": {name: width}}, kd="ekl").train()


def test_it_learns_from_the_wider_network_and_keeps_nothing_of_it(pair):
    whole, student = pair
    before = set(student.state_dict())
    alone = student.loss(IMAGES, TARGETS, 0)
    student.set_teacher(whole.state_dict())
    assert set(student.state_dict()) == before
    assert copy.deepcopy(student).teacher is student.teacher
    assert student.teacher.detector.training is False
    taught = student.loss(IMAGES, TARGETS, 0)
    assert set(taught) - set(alone) == {"kd_cls", "kd_loc"}
    lost = enhanced_kl(student.predictions(IMAGES), whole.predictions(IMAGES))
    torch.testing.assert_close(taught["kd_cls"], CLASS_GAIN * 2 * lost["cls"])
    torch.testing.assert_close(taught["kd_loc"], BINS_GAIN * 2 * lost["loc"])
    assert min(taught["kd_cls"], taught["kd_loc"]) > 0
    total = sum(value for name, value in taught.items() if name != "loss")
    torch.testing.assert_close(taught["loss"], total)
    (taught["kd_cls"] + taught["kd_loc"]).backward()
    assert all(p.grad is None for p in student.teacher.detector.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(name):
    student = module_of(name).build(3, kd="ekl").eval()
    student.set_teacher(copy.deepcopy(student.state_dict()))
    losses = student.loss(IMAGES, TARGETS, 0)
    assert losses["kd_cls"].item() == pytest.approx(0, abs=1e-6)
    assert losses["kd_loc"].item() == pytest.approx(0, abs=1e-6)


def test_one_that_learns_from_none_and_weights_of_another_network_are_refused(pair):
    whole, student = pair
    with pytest.raises(ConfigError, match="the same network, options and number of classes"):
        student.set_teacher(student.state_dict())
    with pytest.raises(ConfigError, match="learns from none"):
        whole.set_teacher(whole.state_dict())


def test_another_way_of_teaching_is_named():
    with pytest.raises(ConfigError, match="choose one of none, ekl"):
        module_of("yolov8n").build(3, kd="chen2017")
