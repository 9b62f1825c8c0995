"""DSLA against slow, plain code written from the formula, image by image and box by box."""

import math

import pytest
import torch

from defectbench.nn.assigners import dynamic_soft_labels
from defectbench.nn.detector import Targets, grid_priors


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def bce(z, y):
    return max(z, 0) - z * y + math.log1p(math.exp(-abs(z)))


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / max(union, 1e-7)


def inside(point, box):
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def plain(logits, boxes, priors, truth, labels):
    """{prior: (box, quality)} of one image."""
    candidates = [i for i, p in enumerate(priors) if any(inside(p, g) for g in truth)]
    claims = {}
    for j, (g, c) in enumerate(zip(truth, labels, strict=True)):
        u = {i: iou(boxes[i], g) for i in candidates}
        cost = {}
        for i in candidates:
            soft = [u[i] if k == c else 0.0 for k in range(len(logits[i]))]
            terms = [
                bce(z, y) * abs(y - sigmoid(z)) ** 2 for z, y in zip(logits[i], soft, strict=True)
            ]
            cost[i] = sum(terms) + 3.0 * -math.log(u[i] + 1e-7)
        k = max(1, int(sum(sorted(u.values(), reverse=True)[:13])))
        for i in sorted(candidates, key=lambda i: cost[i])[:k]:
            claims.setdefault(i, []).append((cost[i], j, u[i]))
    return {i: min(found)[1:] for i, found in claims.items()}


def random_case(seed, batch=3, most=5, nc=4):
    g = torch.Generator().manual_seed(seed)
    priors = grid_priors(64, 64, (8, 16), offset=0)[:, :2]
    logits = torch.randn(batch, len(priors), nc, generator=g)
    centre = priors + torch.randn(batch, len(priors), 2, generator=g) * 4
    half = torch.rand(batch, len(priors), 2, generator=g) * 16 + 2
    boxes = torch.cat((centre - half, centre + half), -1)
    low = torch.rand(batch, most, 2, generator=g) * 40
    truth = torch.cat((low, low + torch.rand(batch, most, 2, generator=g) * 30 + 3), -1)
    labels = torch.randint(0, nc, (batch, most), generator=g)
    counts = torch.randint(0, most + 1, (batch,), generator=g)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return logits, boxes, priors, Targets(truth, labels)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_plain_code(seed):
    logits, boxes, priors, targets = random_case(seed)
    found = dynamic_soft_labels(logits, boxes, priors, targets)
    for b in range(len(logits)):
        valid = targets.labels[b] >= 0
        truth, labels = targets.boxes[b][valid].tolist(), targets.labels[b][valid].tolist()
        expected = plain(logits[b].tolist(), boxes[b].tolist(), priors.tolist(), truth, labels)
        assert set(found.positive[b].nonzero().flatten().tolist()) == set(expected)
        for i, (j, quality) in expected.items():
            assert found.index[b, i] == j
            assert float(found.quality[b, i]) == pytest.approx(quality, abs=1e-5)


def test_no_box_no_positive():
    logits, boxes, priors, targets = random_case(0)
    none = Targets(targets.boxes[:, :0], targets.labels[:, :0])
    assert not dynamic_soft_labels(logits, boxes, priors, none).positive.any()
    padded = Targets(targets.boxes, torch.full_like(targets.labels, -1))
    assert not dynamic_soft_labels(logits, boxes, priors, padded).positive.any()


def test_box_smaller_than_a_cell_that_holds_no_prior_gets_none():
    logits, boxes, priors, _ = random_case(1, batch=1)
    tiny = Targets(torch.tensor([[[1.0, 1, 7, 7]]]), torch.tensor([[0]]))
    assert not dynamic_soft_labels(logits, boxes, priors, tiny).positive.any()
