"""Distillation losses against slow, plain code; what a teacher is to its student."""

import copy
import math

import pytest
import torch
from torch import nn

from defectbench.base.errors import ConfigError
from defectbench.nn.assigners import Assignment
from defectbench.nn.detector import Detector
from defectbench.nn.distillation import Predictions, Teacher, enhanced_kl, fading, plain_kl

BINS = 5


def random_case(seed, nc=3, batch=2, count=7):
    made = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=made, dtype=torch.float64)

    def one():
        return Predictions(2 * draw(batch, count, nc), draw(batch, count, 4 * BINS))

    positive = torch.rand(batch, count, generator=made) < 0.4
    quality = torch.rand(batch, count, generator=made, dtype=torch.float64) * positive
    return one(), one(), Assignment(positive, torch.zeros_like(positive).long(), quality)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / sum(powers) for p in powers]


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def bernoulli(a, b):
    p, q = sigmoid(a), sigmoid(b)
    return kl((p, 1 - p), (q, 1 - q))


def side_kl(taught, own, temperature):
    """Of each side, from rows of 4 * BINS logits."""
    for side in range(4):
        span = slice(side * BINS, (side + 1) * BINS)
        p, q = (softmax([v / temperature for v in row[span]]) for row in (taught, own))
        yield kl(p, q)


def rows_of(predictions):
    logits, bins = predictions.logits.flatten(0, 1), predictions.bins.flatten(0, 1)
    return list(zip(logits.tolist(), bins.tolist(), strict=True))


def plain_enhanced(student, teacher, t, t_bins, symmetry):
    weights, classes, places = 0.0, 0.0, 0.0
    for (own, own_bins), (taught, taught_bins) in zip(
        rows_of(student), rows_of(teacher), strict=True
    ):
        w = max(sigmoid(z) for z in taught)
        weights += w
        for a, b in zip(taught, own, strict=True):
            back = bernoulli(b / t, a / t)
            classes += w * (bernoulli(a / t, b / t) + symmetry * back)
        places += w * sum(side_kl(taught_bins, own_bins, t_bins)) / 4
    z = max(1.0, weights)
    return {"cls": t**2 * classes / z, "loc": t_bins**2 * places / z}


def plain_plain(student, teacher, found, t):
    total, classes, sides = max(1.0, float(found.quality.sum())), 0.0, []
    rows = zip(rows_of(student), rows_of(teacher), found.positive.flatten().tolist(), strict=True)
    for (own, own_bins), (taught, taught_bins), positive in rows:
        p, q = (softmax([sigmoid(z) / t for z in row]) for row in (taught, own))
        classes += kl(p, q)
        if positive:
            sides += side_kl(taught_bins, own_bins, t)
    mean = sum(sides) / len(sides) if sides else 0.0
    weight = float(found.quality.sum()) / total
    return {"cls": t**2 * classes / total, "loc": t**2 * mean * weight}


def values(losses):
    return {name: float(value) for name, value in losses.items()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("t", "t_bins", "symmetry"), [(1.0, 2.0, 0.0), (3.0, 1.5, 0.5)])
def test_enhanced_kl_agrees_with_plain_code(seed, t, t_bins, symmetry):
    student, teacher, _ = random_case(seed, nc=1 + seed)
    expected = plain_enhanced(student, teacher, t, t_bins, symmetry)
    found = values(enhanced_kl(student, teacher, t, t_bins, symmetry))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("t", [1.0, 30.0])
def test_plain_kl_agrees_with_plain_code(seed, t):
    student, teacher, assigned = random_case(seed)
    expected = plain_plain(student, teacher, assigned, t)
    found = values(plain_kl(student, teacher, assigned, t))
    assert found == pytest.approx(expected, rel=1e-7)


def test_enhanced_kl_is_zero_for_equal_networks_and_pulls_a_single_class():
    student, teacher, _ = random_case(0, nc=1)
    assert values(enhanced_kl(teacher, teacher)) == {"cls": 0.0, "loc": 0.0}
    student.logits.requires_grad_()
    loss = enhanced_kl(student, teacher)["cls"]
    loss.backward()
    assert loss.item() > 0
    assert student.logits.grad is not None
    assert student.logits.grad.abs().min() > 0


def test_plain_kl_teaches_nothing_about_a_single_class():
    student, teacher, assigned = random_case(0, nc=1)
    student.logits.requires_grad_()
    loss = plain_kl(student, teacher, assigned)["cls"]
    loss.backward()
    assert loss.item() == 0.0
    assert student.logits.grad is not None
    assert student.logits.grad.abs().max() == 0


def test_plain_kl_is_nearly_a_centred_squared_error_of_scores():
    student, teacher, assigned = random_case(1, nc=4)
    error = teacher.logits.sigmoid() - student.logits.sigmoid()
    centred = (error - error.mean(-1, keepdim=True)).square().sum() / (2 * 4)
    expected = float(centred / assigned.quality.sum().clamp(min=1))
    found = float(plain_kl(student, teacher, assigned, 30.0)["cls"])
    assert found == pytest.approx(expected, rel=0.01)


def test_without_positives_plain_kl_is_finite():
    student, teacher, assigned = random_case(2)
    nothing = Assignment(torch.zeros_like(assigned.positive), assigned.index, 0 * assigned.quality)
    assert values(plain_kl(student, teacher, nothing))["loc"] == 0.0


def test_extreme_logits_stay_finite():
    student, teacher, _ = random_case(3)
    wild = Predictions(student.logits.float() * 100, student.bins.float() * 100)
    other = Predictions(-teacher.logits.float() * 100, -teacher.bins.float() * 100)
    assert all(math.isfinite(v) for v in values(enhanced_kl(wild, other, symmetry=0.5)).values())


def test_the_teacher_fades_by_half_a_cosine():
    assert fading(0, 100) == 1.0
    assert fading(50, 100) == pytest.approx(0.505)
    assert fading(100, 100) == pytest.approx(0.01)
    assert fading(7, math.inf) == 1.0


class Small(Detector):
    strides = (8,)

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.teacher = None

    def predictions(self, images):
        out = self.layer(images).mean((2, 3)).unsqueeze(1)
        return Predictions(out, out)


def test_a_teacher_is_frozen_and_no_part_of_its_student():
    student, other = Small(), Small()
    before = list(student.state_dict())
    student.teacher = Teacher(student, other.state_dict())
    assert list(student.state_dict()) == before
    assert len(list(student.parameters())) == 4
    images = torch.rand(4, 3, 8, 8)
    shown = student.teacher(images).logits
    assert not shown.requires_grad
    assert torch.equal(shown, other.eval().predictions(images).logits)
    student.train()
    assert torch.equal(student.teacher(images).logits, shown)
    assert copy.deepcopy(student).teacher is student.teacher


def test_weights_of_another_network_are_refused():
    with pytest.raises(ConfigError, match="the same network, options and number of classes"):
        Teacher(Small(), {"layer.0.weight": torch.zeros(4, 3, 5, 5)})


def test_a_method_without_distillation_refuses_a_teacher():
    with pytest.raises(ConfigError, match="learns from none"):
        Small().set_teacher({})
