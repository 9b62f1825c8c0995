"""Losses per logit and per side: exact values by hand, and plain code on random cases."""

import math

import pytest
import torch

from defectbench.nn.boxes import efficient_iou
from defectbench.nn.losses import (
    distribution_focal,
    focal_efficient_iou,
    quality_focal,
    varifocal,
)


def box(*values):
    return torch.tensor([values], dtype=torch.float64)


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


@pytest.mark.parametrize("seed", range(5))
def test_distribution_focal_on_random_cases(seed):
    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 8, generator=made, dtype=torch.float64) * 3
    distance = torch.rand(40, generator=made, dtype=torch.float64) * 6.9
    distance[:8] = torch.arange(8).clamp(max=6)  # whole bins too
    found = distribution_focal(logits, distance)
    torch.testing.assert_close(
        distribution_focal(logits.T, distance, dim=0), found, rtol=1e-12, atol=1e-14
    )
    for z, d, value in zip(logits.tolist(), distance.tolist(), found.tolist(), strict=True):
        total, low = sum(math.exp(v) for v in z), int(d)
        log_p = [math.log(math.exp(v) / total) for v in z]
        expected = -(low + 1 - d) * log_p[low] - (d - low) * log_p[low + 1]
        assert value == pytest.approx(expected, rel=1e-9)


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


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_focal_eiou_on_random_cases(seed, gamma):
    made = torch.Generator().manual_seed(seed)
    low = torch.rand(2, 40, 2, generator=made, dtype=torch.float64) * 6
    sides = torch.rand(2, 40, 2, generator=made, dtype=torch.float64) * 6 + 0.1
    first, second = torch.cat((low, low + sides), -1)
    found = focal_efficient_iou(first, second, gamma)
    for a, b, value in zip(first.tolist(), second.tolist(), found.tolist(), strict=True):
        w, h = (max(a[n + 2], b[n + 2]) - min(a[n], b[n]) for n in (0, 1))
        x, y = (max(0.0, min(a[n + 2], b[n + 2]) - max(a[n], b[n])) for n in (0, 1))
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        iou = x * y / (sum(areas) - x * y)
        apart = sum((a[n] + a[n + 2] - b[n] - b[n + 2]) ** 2 / 4 for n in (0, 1))
        wider, higher = ((a[n + 2] - a[n] - b[n + 2] + b[n]) for n in (0, 1))
        lost = 1 - iou + apart / (w * w + h * h) + (wider / w) ** 2 + (higher / h) ** 2
        assert value == pytest.approx(iou**gamma * lost, rel=1e-9, abs=1e-12)
