"""Losses and overlaps: exact values by hand, and plain code on random cases."""

import math

import pytest
import torch

from defectbench.nn.boxes import (
    complete_iou,
    efficient_iou,
    generalised_iou,
    paired_iou,
    pairwise_iou,
)
from defectbench.nn.losses import (
    distribution_focal,
    focal_efficient_iou,
    quality_focal,
    varifocal,
)


def box(*values):
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (box(0, 0, 2, 2), box(1, 1, 3, 3), 1 / 7),
        (box(0, 0, 4, 2), box(0, 0, 2, 2), 1 / 2),
        (box(0, 0, 1, 1), box(2, 2, 3, 3), 0.0),
        (box(0, 0, 5, 5), box(0, 0, 5, 5), 1.0),
    ],
)
def test_iou_by_hand(first, second, expected):
    assert pairwise_iou(first, second).item() == pytest.approx(expected, abs=1e-12)
    assert paired_iou(first, second).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (box(0, 0, 2, 2), box(1, 1, 3, 3), 1 / 7 - 2 / 9),
        (box(0, 0, 1, 1), box(2, 0, 3, 1), -1 / 3),
        (box(0, 0, 5, 5), box(0, 0, 5, 5), 1.0),
    ],
)
def test_giou_by_hand(first, second, expected):
    assert generalised_iou(first, second).item() == pytest.approx(expected, abs=1e-12)


def test_quality_focal_by_hand():
    z, y = 0.0, 1.0
    expected = math.log(2) * 0.25
    assert quality_focal(torch.tensor(z), torch.tensor(y)).item() == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_quality_focal_on_random_cases(seed):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(50, generator=g, dtype=torch.float64) * 4
    y = torch.rand(50, generator=g, dtype=torch.float64)
    for logit, target, found in zip(
        z.tolist(), y.tolist(), quality_focal(z, y).tolist(), strict=True
    ):
        p = 1 / (1 + math.exp(-logit))
        cross = -(target * math.log(p) + (1 - target) * math.log(1 - p))
        assert found == pytest.approx(cross * (target - p) ** 2, rel=1e-9)


@pytest.mark.parametrize("distance", [0.0, 0.3, 2.0, 5.75, 6.9])
def test_distribution_focal_on_random_logits(distance):
    logits = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    low = int(distance)
    p = logits.softmax(0)
    expected = -(1 - (distance - low)) * p[low].log() - (distance - low) * p[low + 1].log()
    found = distribution_focal(logits, torch.tensor(distance, dtype=torch.float64))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_identical_boxes_cost_nothing():
    same = torch.rand(7, 2).repeat(1, 2) + torch.tensor([0.0, 0, 1, 1])
    assert torch.allclose(generalised_iou(same, same), torch.ones(7))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (box(0, 0, 2, 2), box(1, 1, 3, 3), 1 / 7 - 1 / 9),
        (box(0, 0, 5, 5), box(0, 0, 5, 5), 1.0),
        (box(0, 0, 1, 1), box(2, 0, 3, 1), -4 / 10),
    ],
)
def test_ciou_by_hand(first, second, expected):
    assert complete_iou(first, second).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_ciou_on_random_cases(seed):
    made = torch.Generator().manual_seed(seed)
    low = torch.rand(2, 20, 2, generator=made, dtype=torch.float64) * 8
    sides = torch.rand(2, 20, 2, generator=made, dtype=torch.float64) * 6 + 0.1
    a, b = torch.cat((low, low + sides), -1)
    found = complete_iou(a, b)
    for n, ((ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1)) in enumerate(
        zip(a.tolist(), b.tolist(), strict=True)
    ):
        overlap = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
        iou = overlap / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - overlap)
        apart = ((ax0 + ax1 - bx0 - bx1) / 2) ** 2 + ((ay0 + ay1 - by0 - by1) / 2) ** 2
        hull = (max(ax1, bx1) - min(ax0, bx0)) ** 2 + (max(ay1, by1) - min(ay0, by0)) ** 2
        angle = math.atan((ax1 - ax0) / (ay1 - ay0)) - math.atan((bx1 - bx0) / (by1 - by0))
        v = 4 / math.pi**2 * angle**2
        expected = iou - apart / hull - v * v / max(1 - iou + v, 1e-7)
        assert found[n].item() == pytest.approx(expected, abs=1e-9)


def test_varifocal_by_hand():
    found = varifocal(torch.tensor([0.0, 0.0]), torch.tensor([0.8, 0.0]))
    assert found.tolist() == pytest.approx([0.8 * math.log(2), 0.75 * 0.25 * math.log(2)])


@pytest.mark.parametrize("seed", range(3))
def test_varifocal_on_random_cases(seed):
    made = torch.Generator().manual_seed(seed)
    z = torch.randn(30, generator=made, dtype=torch.float64) * 3
    q = torch.rand(30, generator=made, dtype=torch.float64) * (torch.arange(30) % 3 == 0)
    for zi, qi, found in zip(z.tolist(), q.tolist(), varifocal(z, q).tolist(), strict=True):
        p = 1 / (1 + math.exp(-zi))
        bce = -(qi * math.log(p) + (1 - qi) * math.log(1 - p))
        assert found == pytest.approx(bce * (qi if qi > 0 else 0.75 * p**2), rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "eiou_loss", "focal"),
    [
        (box(0, 0, 2, 2), box(1, 1, 3, 3), 0.968254, 0.365966),
        (box(0, 0, 4, 2), box(0, 0, 2, 2), 0.8, 0.565685),
        (box(0, 0, 5, 5), box(0, 0, 5, 5), 0.0, 0.0),
        (box(0, 0, 1, 1), box(2, 0, 3, 1), 1.4, 0.0),
    ],
)
def test_focal_eiou_by_hand(first, second, eiou_loss, focal):
    assert 1 - efficient_iou(first, second)[0].item() == pytest.approx(eiou_loss, abs=1e-6)
    assert focal_efficient_iou(first, second).item() == pytest.approx(focal, abs=1e-6)


def test_focal_weight_has_no_gradient_even_without_overlap():
    boxes = torch.cat((box(0, 0, 2, 2), box(7, 7, 8, 8))).requires_grad_()
    truth = torch.cat((box(1, 1, 3, 3), box(0, 0, 1, 1)))
    focal_efficient_iou(boxes, truth).sum().backward()
    found = boxes.grad
    other = boxes.detach().clone().requires_grad_()
    weight = torch.tensor([(1 / 7) ** 0.5, 0.0], dtype=torch.float64)
    ((1 - efficient_iou(other, truth)[0]) * weight).sum().backward()
    assert found is not None
    assert other.grad is not None
    assert torch.allclose(found, other.grad)
