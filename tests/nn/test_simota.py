"""PicoDet's and YOLOX's SimOTA against slow, plain code written from the formulas, image by image and box by box."""

import math

import pytest
import torch

from defectbench.nn.detector import Targets, grid_priors
from defectbench.nn.simota import objectness_simota, varifocal_simota

PRIORS = grid_priors(64, 64, (8, 16, 32))


def varifocal(z, q):
    p = 1 / (1 + math.exp(-z))
    cross = max(z, 0) - z * q + math.log1p(math.exp(-abs(z)))
    return cross * (q if q > 0 else 0.75 * p**2)


def area(a):
    return (a[2] - a[0]) * (a[3] - a[1])


def overlaps(a, b):
    """IoU and GIoU."""
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - w * h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return w * h / union, w * h / union - (hull - union) / hull


def places(prior, g):
    """Whether a prior lies in a box, and whether in the square round its centre."""
    x, y, s = prior
    cx, cy = (g[0] + g[2]) / 2, (g[1] + g[3]) / 2
    inside = g[0] < x < g[2] and g[1] < y < g[3]
    return inside, abs(x - cx) < 2.5 * s and abs(y - cy) < 2.5 * s


def plain(logits, boxes, truth, labels):
    """{prior: (box, quality)} of one image."""
    priors = PRIORS.tolist()
    candidates = [i for i, p in enumerate(priors) if any(any(places(p, g)) for g in truth)]
    claims = {}
    for j, (g, c) in enumerate(zip(truth, labels, strict=True)):
        u, cost = {}, {}
        for i in candidates:
            u[i], giou = overlaps(boxes[i], g)
            terms = [varifocal(z, u[i] if k == c else 0.0) for k, z in enumerate(logits[i])]
            cost[i] = sum(terms) + 6 * (1 - giou) + 1e8 * (not all(places(priors[i], g)))
        k = max(1, int(sum(sorted(u.values(), reverse=True)[:10])))
        for i in sorted(candidates, key=cost.__getitem__)[:k]:
            claims.setdefault(i, []).append((cost[i], j, u[i]))
    return {i: min(found)[1:] for i, found in claims.items()}


def random_case(seed, batch=3, most=6, nc=4):
    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, len(PRIORS), nc, generator=made)
    centre = PRIORS[:, :2] + torch.randn(batch, len(PRIORS), 2, generator=made) * 4
    half = torch.rand(batch, len(PRIORS), 2, generator=made) * 16 + 2
    low = torch.rand(batch, most, 2, generator=made) * 40
    # Down to 2 px: boxes that hold no prior live on what only the penalty orders
    truth = torch.cat((low, low + torch.rand(batch, most, 2, generator=made) * 30 + 2), -1)
    labels = torch.randint(0, nc, (batch, most), generator=made)
    counts = torch.randint(0, most + 1, (batch,), generator=made)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return logits, torch.cat((centre - half, centre + half), -1), Targets(truth, labels)


def agree(found, logits, boxes, targets):
    for b in range(len(logits)):
        valid = targets.valid[b]
        truth, labels = targets.boxes[b][valid].tolist(), targets.labels[b][valid].tolist()
        expected = plain(logits[b].tolist(), boxes[b].tolist(), truth, labels)
        assert set(found.positive[b].nonzero().flatten().tolist()) == set(expected)
        for i, (j, quality) in expected.items():
            assert found.index[b, i] == j
            assert float(found.quality[b, i]) == pytest.approx(quality, abs=1e-5)
        assert (found.quality[b][~found.positive[b]] == 0).all()


@pytest.mark.parametrize("seed", range(30))
def test_agrees_with_plain_code(seed):
    logits, boxes, targets = random_case(seed)
    agree(varifocal_simota(logits, boxes, PRIORS, targets), logits, boxes, targets)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_that_hold_no_prior_take_the_cheapest_near_their_centre(seed):
    logits, boxes, _ = random_case(seed, batch=1)
    tiny = Targets(torch.tensor([[[1.0, 1, 3, 3], [25, 41, 27, 43]]]), torch.tensor([[0, 3]]))
    found = varifocal_simota(logits, boxes, PRIORS, tiny)
    agree(found, logits, boxes, tiny)
    assert set(found.index[found.positive].tolist()) == {0, 1}


def test_no_box_no_positive():
    logits, boxes, targets = random_case(0)
    none = Targets(targets.boxes[:, :0], targets.labels[:, :0])
    assert not varifocal_simota(logits, boxes, PRIORS, none).positive.any()
    padded = Targets(targets.boxes, torch.full_like(targets.labels, -1))
    assert not varifocal_simota(logits, boxes, PRIORS, padded).positive.any()


def entropy(p, y):
    return -(y * max(math.log(p), -100) + (1 - y) * max(math.log(1 - p), -100))


def plain_objectness(logits, objectness, boxes, truth, labels):
    """{prior: (box, quality)} of one image, YOLOX's way."""
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    near = {}
    for i, (x, y, s) in enumerate(PRIORS.tolist()):
        centres = [((g[0] + g[2]) / 2, (g[1] + g[3]) / 2) for g in truth]
        near[i] = [abs(x - cx) < 1.5 * s and abs(y - cy) < 1.5 * s for cx, cy in centres]
    candidates = [i for i, square in near.items() if any(square)]
    claims = {}
    for j, (g, c) in enumerate(zip(truth, labels, strict=True)):
        u, cost = {}, {}
        for i in candidates:
            u[i], _ = overlaps(boxes[i], g)
            p = [math.sqrt(sigmoid(z) * sigmoid(objectness[i])) for z in logits[i]]
            classes = sum(entropy(q, float(k == c)) for k, q in enumerate(p))
            cost[i] = classes - 3 * math.log(u[i] + 1e-8) + 1e6 * (not near[i][j])
        k = max(1, int(sum(sorted(u.values(), reverse=True)[:10])))
        for i in sorted(candidates, key=cost.__getitem__)[:k]:
            claims.setdefault(i, []).append((cost[i], j, u[i]))
    return {i: min(found)[1:] for i, found in claims.items()}


@pytest.mark.parametrize("seed", range(30))
def test_yolox_agrees_with_plain_code(seed):
    logits, boxes, targets = random_case(seed)
    # In double: of the pairs outside a square only the last digits of the cost decide
    logits, boxes = logits.double(), boxes.double()
    objectness = torch.randn(
        boxes.shape[:2], generator=torch.Generator().manual_seed(seed)
    ).double()
    found = objectness_simota(logits, objectness, boxes, PRIORS, targets)
    for b in range(len(logits)):
        valid = targets.valid[b]
        truth, labels = targets.boxes[b][valid].tolist(), targets.labels[b][valid].tolist()
        lists = (x[b].tolist() for x in (logits, objectness, boxes))
        expected = plain_objectness(*lists, truth, labels)
        assert set(found.positive[b].nonzero().flatten().tolist()) == set(expected)
        for i, (j, quality) in expected.items():
            assert found.index[b, i] == j
            assert float(found.quality[b, i]) == pytest.approx(quality, abs=1e-6)


def test_yolox_ignores_whether_a_prior_lies_in_the_box():
    # The box is 2 px wide and holds no prior, yet the priors round its centre are candidates
    targets = Targets(torch.tensor([[[25.0, 41, 27, 43]]]), torch.tensor([[0]]))
    half = PRIORS[:, 2:] / 2
    boxes = torch.cat((PRIORS[:, :2] - half, PRIORS[:, :2] + half), 1).unsqueeze(0)
    found = objectness_simota(
        torch.zeros(1, len(PRIORS), 2), torch.zeros(1, len(PRIORS)), boxes, PRIORS, targets
    )
    (only,) = found.positive[0].nonzero().flatten().tolist()
    assert PRIORS[only].tolist() == [28, 44, 8]


def test_yolox_without_boxes_has_no_positive():
    logits, boxes, targets = random_case(0)
    padded = Targets(targets.boxes, torch.full_like(targets.labels, -1))
    found = objectness_simota(logits, logits[..., 0], boxes, PRIORS, padded)
    assert not found.positive.any()
