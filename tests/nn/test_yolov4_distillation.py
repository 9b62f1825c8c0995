"""A pruned YOLOv4 and its teacher: losses against plain code, and a teacher of other widths."""

import copy
import math

import pytest
import torch

from defectbench.base.errors import ConfigError
from defectbench.nn.detector import Targets
from defectbench.nn.plan import Plan
from defectbench.nn.yolov4 import YOLOv4, plan_of
from defectbench.nn.yolov4_distillation import (
    Seen,
    softmax_kl,
    teaching_losses,
    weighted_bernoulli_kl,
    worse_boxes,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / sum(powers) for p in powers]


def two_outputs():
    return 3 * torch.randn(2, 5, 4), 3 * torch.randn(2, 5, 4)


def test_softmax_kl_equals_plain_code():
    student, teacher = two_outputs()
    expected = 0.0
    for image in range(2):
        for cell in range(5):
            p = softmax([v / 3 for v in teacher[image, cell].tolist()])
            q = softmax([v / 3 for v in student[image, cell].tolist()])
            expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert softmax_kl(student, teacher).item() == pytest.approx(9 / 2 * expected, rel=1e-5)


def test_bernoulli_kl_equals_plain_code():
    student, teacher = two_outputs()
    lost = weights = 0.0
    for image in range(2):
        for cell in range(5):
            weight, apart = sigmoid(teacher[image, cell, 0].item()), 0.0
            for s, t in zip(student[image, cell].tolist(), teacher[image, cell].tolist()):  # noqa: B905
                p, q = sigmoid(t / 3), sigmoid(s / 3)
                apart += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
            lost, weights = lost + weight * apart / 4, weights + weight
    expected = 9 * lost / max(1.0, weights)
    assert weighted_bernoulli_kl(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_only_boxes_worse_than_the_teachers_count_and_are_drawn_to_the_truth():
    truth = torch.tensor([[0.0, 0, 2, 2]]).repeat(3, 1)
    student = torch.tensor([[1.0, 0, 3, 2], [0, 0, 2, 4], [0.5, 0, 2.5, 2]]).requires_grad_()
    teacher = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 3], [1, 0, 3, 2]])
    # centre 1 off: 1; centre 1 off and side 2 off: 1 + 4, teacher 0.25 + 1; the third is better
    lost = worse_boxes(student, teacher, truth)
    assert lost.item() == pytest.approx(1 + 5)
    lost.backward()
    assert student.grad is not None
    assert student.grad[2].tolist() == [0] * 4
    assert student.grad[0, 0] > 0  # towards the truth's left side


def test_weights_of_both_losses():
    logits, boxes = torch.zeros(1, 2, 3), torch.tensor([[1.0, 0, 3, 2]])
    truth = torch.tensor([[0.0, 0, 2, 2]])
    teacher = Seen(torch.randn(1, 2, 3), truth)
    chen = teaching_losses("chen2017", Seen(logits, boxes), teacher, truth)
    assert chen["kd_box"].item() == pytest.approx(1e-3)
    assert chen["kd_cls"] == 1e-4 * softmax_kl(logits, teacher.logits)
    ours = teaching_losses("bernoulli", Seen(logits, boxes), teacher, truth)
    assert ours["kd_box"] == chen["kd_box"]
    assert ours["kd_cls"] == weighted_bernoulli_kl(logits, teacher.logits)


def batch():
    boxes = torch.tensor([[[4.0, 4, 30, 40], [20, 20, 60, 60]], [[8, 8, 24, 24], [0, 0, 0, 0]]])
    return torch.rand(2, 3, 64, 64), Targets(boxes, torch.tensor([[0, 3], [5, -1]]))


def pruned():
    """A network with fewer units and channels than its teacher."""
    widths = {"neck.out4.2.0": 7, "backbone.stages.2.main.0": 3}
    return Plan(0.05, widths, {"backbone.stages.0": [], "backbone.stages.2": [1, 6]})


@pytest.mark.parametrize("kd", ["chen2017", "bernoulli"])
def test_a_student_learns_from_a_wider_teacher(kd):
    teacher, student = YOLOv4(6, Plan(0.1)).eval(), YOLOv4(6, pruned(), kd)
    teacher.anchors += 3
    alone = student.state_dict().keys()
    images, targets = batch()
    assert "kd_cls" not in student.loss(images, targets, 0)
    student.set_teacher(teacher.state_dict())
    assert student.state_dict().keys() == alone
    assert torch.equal(student.anchors, teacher.anchors)  # cells are compared one by one
    student.eval()
    parts = student.loss(images, targets, 0)
    with torch.no_grad():
        own, taught = student(images), teacher(images)
        (image, prior, row), _ = student.match(targets, 64, 64)
        stride = student._cells(64, 64)[1][prior]
        seen = [
            Seen(raw[..., 4:], student.boxes(raw, 64, 64)[image, prior] / stride)
            for raw in (own, taught)
        ]
        expected = teaching_losses(kd, *seen, targets.boxes[image, row] / stride)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value)
        assert value > 0
    assert parts["loss"].item() == pytest.approx(
        sum(v.item() for k, v in parts.items() if k != "loss"), rel=1e-5
    )
    parts["loss"].backward()
    assert all(p.grad is None for p in student.teacher.detector.parameters())


def test_a_student_that_equals_its_teacher_has_nothing_to_learn():
    student = YOLOv4(6, Plan(0.05), "chen2017").eval()
    student.set_teacher(copy.deepcopy(student.state_dict()))
    parts = student.loss(*batch(), 0)
    assert parts["kd_cls"].item() == pytest.approx(0, abs=1e-8)
    assert parts["kd_box"].item() == 0


def test_a_teacher_is_refused_without_a_loss_and_of_other_classes():
    state = YOLOv4(6, Plan(0.05)).state_dict()
    with pytest.raises(ConfigError, match="learns from none"):
        YOLOv4(6, Plan(0.05)).set_teacher(state)
    with pytest.raises(ConfigError, match="number of classes"):
        YOLOv4(2, Plan(0.05), "chen2017").set_teacher(state)
    with pytest.raises(ConfigError, match="number of classes"):
        YOLOv4(6, Plan(0.05), "chen2017").set_teacher({"conv.weight": torch.zeros(3, 3, 1, 1)})
    with pytest.raises(ConfigError, match="bernoulli"):
        YOLOv4(6, Plan(0.05), "ekl")


def test_the_plan_of_a_state_dict_is_that_of_its_network():
    for plan in (pruned(), Plan(0.05)):
        model = YOLOv4(6, plan)
        found = plan_of(model.state_dict()).to_dict()
        assert found == Plan.of(model).to_dict()
