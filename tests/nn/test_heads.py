"""The three losses of a head with bins against plain sums written from their formulas."""

import math

import pytest
import torch

from defectbench.nn.assigners import Assignment
from defectbench.nn.detector import Targets, grid_priors
from defectbench.nn.heads import decode_bins, nanodet_losses

PRIORS = grid_priors(32, 32, (8, 16))
NC = 3


def case(seed, share=0.4, batch=2):
    """Raw output, truth and an assignment drawn at random, in float64."""
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(batch, len(PRIORS), NC + 32, generator=made, dtype=torch.float64)
    low = torch.rand(batch, 4, 2, generator=made, dtype=torch.float64) * 16
    boxes = torch.cat((low, low + 4 + torch.rand(batch, 4, 2, generator=made).double() * 12), -1)
    targets = Targets(boxes, torch.randint(0, NC, (batch, 4), generator=made))
    positive = torch.rand(batch, len(PRIORS), generator=made) < share
    index = torch.randint(0, 4, (batch, len(PRIORS)), generator=made) * positive
    quality = torch.rand(batch, len(PRIORS), generator=made).double() * positive
    return raw, targets, Assignment(positive, index, quality)


def giou_of(a, b):
    """Generalised IoU of two boxes of four numbers."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(w, 0.0) * max(h, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return overlap / union - (hull - union) / hull


def class_term(z, q, name):
    p = 1 / (1 + math.exp(-z))
    cross = -(q * math.log(p) + (1 - q) * math.log(1 - p))
    if name == "qfl":
        return cross * (q - p) ** 2
    return cross * (q if q > 0 else 0.75 * p**2)


def plain(raw, boxes, targets, found, name, least):
    """Class loss, GIoU and DFL as printed, prior by prior."""
    classes = giou = dfl = weights = 0.0
    for b, i in torch.cartesian_prod(torch.arange(len(raw)), torch.arange(len(PRIORS))).tolist():
        row, hit = int(found.index[b, i]), bool(found.positive[b, i])
        own = int(targets.labels[b, row]) if hit else -1
        for c in range(NC):
            q = float(found.quality[b, i]) if c == own else 0.0
            classes += class_term(float(raw[b, i, c]), q, name)
        if not hit:
            continue
        truth, (x, y, s) = targets.boxes[b, row].tolist(), PRIORS[i].tolist()
        w = max(1 / (1 + math.exp(-float(z))) for z in raw[b, i, :NC])
        weights += w
        giou += w * (1 - giou_of(boxes[b, i].tolist(), truth))
        sides = (x - truth[0], y - truth[1], truth[2] - x, truth[3] - y)
        for side, bins in zip(sides, raw[b, i, NC:].view(4, 8), strict=True):
            t = min(max(side / s, 0.0), 6.9)
            powers = [math.exp(z) for z in bins.tolist()]
            at_low, at_high = (math.log(powers[int(t) + n] / sum(powers)) for n in (0, 1))
            dfl -= w * (at_low * (1 - t % 1) + at_high * (t % 1))
    total = max(weights, least)
    positives = max(int(found.positive.sum()), 1)
    return classes / positives, 2 * giou / total, 0.25 * dfl / (4 * total)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_bins_agree_with_plain_means(seed):
    raw, _, _ = case(seed)
    found = decode_bins(raw[..., NC:], PRIORS.double())
    for rows, boxes in zip(raw[..., NC:].tolist(), found.tolist(), strict=True):
        for row, (x, y, s), box in zip(rows, PRIORS.tolist(), boxes, strict=True):
            powers = [[math.exp(z) for z in row[8 * side : 8 * side + 8]] for side in range(4)]
            d = [s * sum(k * p for k, p in enumerate(side)) / sum(side) for side in powers]
            assert box == pytest.approx((x - d[0], y - d[1], x + d[2], y + d[3]), rel=1e-12)


@pytest.mark.parametrize(("name", "least"), [("qfl", 1.0), ("vfl", 1.0), ("qfl", 1e-7)])
@pytest.mark.parametrize(("seed", "share"), [(0, 0.4), (1, 0.05), (2, 0.02), (3, 1.0)])
def test_losses_agree_with_plain_sums(seed, share, name, least):
    raw, targets, found = case(seed, share)
    boxes = decode_bins(raw[..., NC:], PRIORS.double())
    losses = nanodet_losses(raw, boxes, NC, PRIORS.double(), targets, found, name, least)
    assert list(losses) == [name, "giou", "dfl"]
    expected = plain(raw, boxes, targets, found, name, least)
    assert [float(v) for v in losses.values()] == pytest.approx(list(expected), rel=1e-9)


@pytest.mark.parametrize("least", [1.0, 1e-7])
def test_no_positive_leaves_the_box_terms_at_zero(least):
    raw, targets, found = case(0, share=0.0)
    boxes = decode_bins(raw[..., NC:], PRIORS.double())
    losses = nanodet_losses(raw, boxes, NC, PRIORS.double(), targets, found, "qfl", least)
    assert losses["giou"] == losses["dfl"] == 0
    assert losses["qfl"] > 0
