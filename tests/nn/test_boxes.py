"""Overlaps of boxes: exact values by hand, by counting cells, and by plain arithmetic on random boxes."""

import math
from fractions import Fraction

import pytest
import torch

from defectbench.nn.boxes import (
    area,
    complete_iou,
    efficient_iou,
    generalised_iou,
    paired_iou,
    pairwise_iou,
    scylla_iou,
)


def box(*values):
    return torch.tensor([values], dtype=torch.float64)


def random_pairs(seed, count=60):
    """Boxes [2, count, 4], pair by pair: apart, crossing, one within the other, equal, and side by side."""
    made = torch.Generator().manual_seed(seed)
    low = torch.rand(2, count, 2, generator=made, dtype=torch.float64) * 8
    sides = torch.rand(2, count, 2, generator=made, dtype=torch.float64) * 6 + 0.1
    a, b = torch.cat((low, low + sides), -1)
    centre = (a[:5, :2] + a[:5, 2:]) / 2
    b[:5] = torch.cat((a[:5, :2] + centre, centre + a[:5, 2:]), -1) / 2
    b[5] = a[5]
    b[6] = torch.tensor((a[6, 2], a[6, 1], a[6, 2] + 1, a[6, 3]))
    return a, b


def random_cells(seed, count=40):
    """Boxes [2, count, 4] with whole corners."""
    made = torch.Generator().manual_seed(seed)
    low = torch.randint(0, 7, (2, count, 2), generator=made)
    return torch.cat((low, low + torch.randint(1, 6, (2, count, 2), generator=made)), -1)


def cells(x0, y0, x1, y1):
    """Unit cells that a box covers."""
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def counted_iou(a, b):
    """|A and B| / |A or B|."""
    return Fraction(len(cells(*a) & cells(*b)), len(cells(*a) | cells(*b)))


def counted_giou(a, b):
    """IoU minus the share of the smallest enclosing box C that neither covers, |C - (A or B)| / |C|."""
    joined = cells(*a) | cells(*b)
    xs, ys = ([cell[n] for cell in joined] for n in (0, 1))
    hull = cells(min(xs), min(ys), max(xs) + 1, max(ys) + 1)
    return counted_iou(a, b) - Fraction(len(hull - joined), len(hull))


def plain(a, b):
    """IoU, GIoU, CIoU and EIoU of two boxes of four numbers, from their papers."""
    w, h, other_w, other_h = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    both_w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    both_h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = w * h + other_w * other_h - both_w * both_h
    hull_w, hull_h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    iou = both_w * both_h / union
    giou = iou - (hull_w * hull_h - union) / (hull_w * hull_h)
    apart = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    diou = iou - apart / (hull_w**2 + hull_h**2)
    v = 4 / math.pi**2 * (math.atan(w / h) - math.atan(other_w / other_h)) ** 2
    ciou = diou - (v * v / (1 - iou + v) if v else 0.0)
    eiou = diou - (w - other_w) ** 2 / hull_w**2 - (h - other_h) ** 2 / hull_h**2
    return iou, giou, ciou, eiou


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
        (box(0, 0, 4, 4), box(1, 1, 3, 2), 1 / 8),
    ],
)
def test_giou_by_hand(first, second, expected):
    assert generalised_iou(first, second).item() == pytest.approx(expected, abs=1e-12)


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
def test_iou_and_giou_agree_with_counted_cells(seed):
    first, second = random_cells(seed)
    iou, giou = (f(first.double(), second.double()) for f in (paired_iou, generalised_iou))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert iou.tolist() == pytest.approx([float(counted_iou(*p)) for p in pairs], abs=1e-15)
    assert giou.tolist() == pytest.approx([float(counted_giou(*p)) for p in pairs], abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_all_overlaps_agree_with_plain_arithmetic(seed):
    first, second = random_pairs(seed)
    eiou, iou = efficient_iou(first, second)
    found = (iou, generalised_iou(first, second), complete_iou(first, second), eiou)
    assert torch.equal(iou, paired_iou(first, second))
    rows = (first.tolist(), second.tolist(), torch.stack(found, 1).tolist())
    for a, b, values in zip(*rows, strict=True):
        assert values == pytest.approx(plain(a, b), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_every_box_with_every_other_agrees_with_plain_arithmetic(seed):
    first, second = random_pairs(seed, 12)
    expected = [[plain(a, b)[0] for b in second.tolist()] for a in first.tolist()]
    assert pairwise_iou(first, second[:9]).shape == (12, 9)
    found = pairwise_iou(first, second).flatten().tolist()
    assert found == pytest.approx([v for row in expected for v in row], abs=1e-12)


def test_identical_boxes_cost_nothing():
    same = torch.rand(7, 2).repeat(1, 2) + torch.tensor([0.0, 0, 1, 1])
    assert torch.allclose(generalised_iou(same, same), torch.ones(7))


def test_an_inverted_box_has_no_area_and_overlaps_nothing():
    inverted, other = box(4, 4, 2, 2), box(0, 0, 5, 5)
    assert area(inverted).item() == 0
    assert paired_iou(inverted, other).item() == pairwise_iou(inverted, other).item() == 0


def corners(x, y, w, h):
    return box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((3, 4, 2, 2), (3.5, 4.5, 2, 3), 0.3920),
        ((3, 4, 2, 2), (3.2, 4, 2, 2), 0.8100),
        ((3, 4, 2, 2), (6, 7, 1, 1), -0.3828),
        ((3, 4, 2, 2), (3, 4.5, 2, 2), 0.5616),
        ((3, 4, 2, 2), (3, 4, 2, 2), 1.0),
    ],
)
def test_scylla_iou_of_published_examples(first, second, expected):
    a, b = corners(*first), corners(*second)
    assert float(scylla_iou(a, b)) == pytest.approx(expected, abs=5e-5)
    assert float(scylla_iou(b, a)) == pytest.approx(float(scylla_iou(a, b)), abs=1e-12)


def plain_siou(a, b):
    """From the paper, with the angle by its arcsine."""
    w, h, other_w, other_h = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    x, y = (b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2
    sine = abs(x) / math.hypot(x, y) if x or y else 0.0
    if sine > math.sqrt(2) / 2:
        sine = abs(y) / math.hypot(x, y)
    gamma = math.cos(2 * math.asin(sine) - math.pi / 2) - 2
    hull_w, hull_h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    distance = 2 - math.exp(gamma * (x / hull_w) ** 2) - math.exp(gamma * (y / hull_h) ** 2)
    shape = (1 - math.exp(-abs(w - other_w) / max(w, other_w))) ** 4
    shape += (1 - math.exp(-abs(h - other_h) / max(h, other_h))) ** 4
    return plain(a, b)[0] - (distance + shape) / 2


@pytest.mark.parametrize("seed", range(3))
def test_scylla_iou_agrees_with_plain_arithmetic(seed):
    a, b = random_pairs(seed)
    expected = [plain_siou(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    torch.testing.assert_close(
        scylla_iou(a, b), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_scylla_iou_of_equal_boxes_has_a_gradient():
    a = box(1, 2, 4, 6).requires_grad_()
    scylla_iou(a, box(1, 2, 4, 6)).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
