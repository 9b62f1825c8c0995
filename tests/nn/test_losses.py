"""Losses and overlaps: exact values by hand, and plain code on random cases."""

import math

import pytest
import torch

from defectbench.nn.boxes import generalised_iou, pairwise_iou
from defectbench.nn.losses import distribution_focal, quality_focal


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
