"""TAL and its losses against slow, plain code written from the formulas, image by image and box by box."""

import math

import pytest
import torch

from defectbench.nn.boxes import paired_iou
from defectbench.nn.detector import Targets, grid_priors
from defectbench.nn.task_aligned import task_aligned, task_aligned_losses


def ciou(a, b):
    overlap = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    iou = overlap / union
    apart = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    hull = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    angle = math.atan((a[2] - a[0]) / (a[3] - a[1])) - math.atan((b[2] - b[0]) / (b[3] - b[1]))
    v = 4 / math.pi**2 * angle**2
    return iou - apart / hull - (v * v / (1 - iou + v) if v else 0.0)


def eiou_and_iou(a, b):
    overlap = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    iou = overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)
    apart = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    w, h = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    wider, higher = (a[2] - a[0]) - (b[2] - b[0]), (a[3] - a[1]) - (b[3] - b[1])
    return iou - apart / (w * w + h * h) - (wider / w) ** 2 - (higher / h) ** 2, iou


def inside(point, box, least_side):
    held = True
    for axis in (0, 1):
        low, high = box[axis], box[axis + 2]
        if high - low < least_side:
            low, high = (low + high - least_side) / 2, (low + high + least_side) / 2
        held = held and low < point[axis] < high
    return held


def plain(scores, boxes, priors, truth, labels, top=10, alpha=0.5, overlap_of=ciou, least_side=0.0):
    """{prior: (box, quality)} of one image."""
    overlap, metric, claims = {}, {}, {}
    for j, (g, c) in enumerate(zip(truth, labels, strict=True)):
        for i in [i for i, p in enumerate(priors) if inside(p, g, least_side)]:
            overlap[i, j] = max(0.0, overlap_of(boxes[i], g))
            metric[i, j] = scores[i][c] ** alpha * overlap[i, j] ** 6
        own = sorted((i for i, k in metric if k == j), key=lambda i, j=j: -metric[i, j])
        for i in [i for i in own[:top] if metric[i, j] > 0]:
            claims.setdefault(i, []).append(j)
    made = {}
    for i, boxes_of in claims.items():
        around = [j for k, j in overlap if k == i]
        made[i] = (
            boxes_of[0] if len(boxes_of) == 1 else max(around, key=lambda j, i=i: overlap[i, j])
        )
    quality = {}
    for i, j in made.items():
        of_box = [k for k, other in made.items() if other == j]
        largest = max(metric[k, j] for k in of_box)
        quality[i] = metric[i, j] * max(overlap[k, j] for k in of_box) / (largest + 1e-9)
    return {i: (j, quality[i]) for i, j in made.items()}


def random_case(seed, batch=3, most=6, nc=4):
    g = torch.Generator().manual_seed(seed)
    priors = grid_priors(64, 64, (8, 16, 32)).double()
    count = len(priors)
    scores = torch.rand(batch, count, nc, generator=g, dtype=torch.float64)
    centre = priors[:, :2] + torch.randn(batch, count, 2, generator=g, dtype=torch.float64) * 4
    half = torch.rand(batch, count, 2, generator=g, dtype=torch.float64) * 16 + 2
    low = torch.rand(batch, most, 2, generator=g, dtype=torch.float64) * 40
    high = low + torch.rand(batch, most, 2, generator=g, dtype=torch.float64) * 40 + 3
    labels = torch.randint(0, nc, (batch, most), generator=g)
    counts = torch.randint(0, most + 1, (batch,), generator=g)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    boxes = torch.cat((centre - half, centre + half), -1)
    return scores, boxes, priors, Targets(torch.cat((low, high), -1), labels)


def expectations(scores, boxes, priors, targets, **settings):
    """What the plain code assigns in each image."""
    for b in range(len(scores)):
        valid = targets.labels[b] >= 0
        truth, labels = targets.boxes[b][valid].tolist(), targets.labels[b][valid].tolist()
        rows = scores[b].tolist(), boxes[b].tolist(), priors.tolist()
        yield plain(*rows, truth, labels, **settings)


def iou(a, b):
    return eiou_and_iou(a, b)[1]


# YOLOv8's settings, those of its version 8.4, and YOLOv6's
SETTINGS = [
    ({}, {}),
    ({"least_side": 16.0}, {}),
    ({"top": 13, "alpha": 1.0}, {"overlap_of": (paired_iou, iou)}),
]


@pytest.mark.parametrize(("settings", "measures"), SETTINGS)
@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_plain_code(seed, settings, measures):
    scores, boxes, priors, targets = random_case(seed)
    ours, theirs = ({**settings, **{k: v[n] for k, v in measures.items()}} for n in (0, 1))
    found = task_aligned(scores, boxes, priors[:, :2], targets, **ours)
    for b, expected in enumerate(expectations(scores, boxes, priors, targets, **theirs)):
        assert set(found.positive[b].nonzero().flatten().tolist()) == set(expected)
        assert found.quality[b].count_nonzero() == len(expected)
        assert not found.index[b][~found.positive[b]].any()
        for i, (j, quality) in expected.items():
            assert found.index[b, i] == j
            assert float(found.quality[b, i]) == pytest.approx(quality, rel=1e-9)


def test_some_random_case_has_a_prior_that_two_boxes_take():
    shared = 0
    for seed in range(20):
        scores, boxes, priors, targets = random_case(seed)
        alone = Targets(targets.boxes[:, :1], targets.labels[:, :1])
        both = task_aligned(scores, boxes, priors[:, :2], targets)
        one = task_aligned(scores, boxes, priors[:, :2], alone)
        shared += int((one.positive & both.positive & (both.index > 0)).sum())
    assert shared > 0


def test_a_thin_box_takes_the_priors_around_it():
    priors = grid_priors(64, 64, (8, 16, 32)).double()
    truth = torch.tensor([[[9.0, 0.0, 11.0, 64.0]]], dtype=torch.float64)  # between two columns
    targets = Targets(truth, torch.zeros(1, 1, dtype=torch.long))
    case = torch.full((1, len(priors), 1), 0.5).double(), truth.expand(1, len(priors), 4)
    assert not task_aligned(*case, priors[:, :2], targets).positive.any()
    found = task_aligned(*case, priors[:, :2], targets, least_side=16.0)
    assert found.positive.sum() == 10
    assert ((priors[found.positive[0], 0] - 10).abs() < 8).all()


def test_no_box_no_positive():
    scores, boxes, priors, targets = random_case(0)
    padded = Targets(targets.boxes, torch.full_like(targets.labels, -1))
    none = Targets(targets.boxes[:, :0], targets.labels[:, :0]).with_a_row()
    for nothing in (padded, none):
        found = task_aligned(scores, boxes, priors[:, :2], nothing)
        assert not found.positive.any()
        assert not found.quality.any()


def test_no_overlap_no_positive():
    _, _, priors, targets = random_case(1)
    scores = torch.ones(3, len(priors), 4, dtype=torch.float64)
    away = torch.tensor([500.0, 500, 510, 510]).double().expand(3, len(priors), 4)
    assert not task_aligned(scores, away, priors[:, :2], targets).positive.any()


def test_best_prior_of_a_box_has_the_quality_of_its_best_overlap():
    scores, boxes, priors, _ = random_case(2, batch=1)
    truth = [10.0, 12, 50, 44]
    targets = Targets(torch.tensor([[truth]]).double(), torch.tensor([[1]]))
    found = task_aligned(scores, boxes, priors[:, :2], targets)
    taken = found.positive[0].nonzero().flatten().tolist()
    assert len(taken) == 10
    best = max(ciou(boxes[0, i].tolist(), truth) for i in taken)
    assert float(found.quality.max()) == pytest.approx(best, rel=1e-3)


def plain_losses(raw, nc, priors, targets, kind):
    """Box, class and distance loss from the formulas."""
    sums, total = {"box": 0.0, "cls": 0.0, "dfl": 0.0}, 0.0
    p = [[row[:nc].sigmoid().tolist() for row in image] for image in raw]
    spread = raw[..., nc:].unflatten(-1, (4, 16)).softmax(-1)
    sides = (spread * torch.arange(16.0)).sum(-1) * priors[:, 2:]
    boxes = torch.cat((priors[:, :2] - sides[..., :2], priors[:, :2] + sides[..., 2:]), -1)
    scores = raw[..., :nc].sigmoid()
    for b, made in enumerate(expectations(scores, boxes, priors, targets)):
        for i, (x, y, stride) in enumerate(priors.tolist()):
            j, quality = made.get(i, (None, 0.0))
            wanted = [0.0] * nc
            if j is not None:
                wanted[int(targets.labels[b, j])] = quality
                x0, y0, x1, y1 = g = targets.boxes[b, j].tolist()
                eiou, iou = eiou_and_iou(boxes[b, i].tolist(), g)
                focal = iou**0.5 * (1 - eiou)
                apart = focal if kind == "focal_eiou" else 1 - ciou(boxes[b, i].tolist(), g)
                sums["box"] += quality * apart
                for side, d in enumerate((x - x0, y - y0, x1 - x, y1 - y)):
                    d = min(max(d / stride, 0.0), 14.99)
                    low, q = int(d), spread[b, i, side].tolist()
                    cross = -(low + 1 - d) * math.log(q[low]) - (d - low) * math.log(q[low + 1])
                    sums["dfl"] += quality * cross / 4
            for found, y_ in zip(p[b][i], wanted, strict=True):
                sums["cls"] -= y_ * math.log(found) + (1 - y_) * math.log(1 - found)
            total += quality
    gains = {"box": 7.5, "cls": 0.5, "dfl": 1.5}
    return {k: gains[k] * v / max(total, 1) * len(raw) for k, v in sums.items()}


@pytest.mark.parametrize("kind", ["ciou", "focal_eiou"])
@pytest.mark.parametrize("seed", range(4))
def test_losses_agree_with_plain_code(seed, kind):
    _, _, priors, targets = random_case(seed, nc=3)
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(3, len(priors), 3 + 64, generator=made, dtype=torch.float64) * 2
    spread = raw[..., 3:].unflatten(-1, (4, 16)).softmax(-1)
    sides = (spread * torch.arange(16.0)).sum(-1) * priors[:, 2:]
    boxes = torch.cat((priors[:, :2] - sides[..., :2], priors[:, :2] + sides[..., 2:]), -1)
    found = task_aligned(raw[..., :3].sigmoid(), boxes, priors[:, :2], targets)
    losses = task_aligned_losses(raw, 3, priors, targets, found, kind)
    expected = plain_losses(raw, 3, priors, targets, kind)
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(expected, rel=1e-9)


def test_without_boxes_only_the_class_loss_is_left():
    priors = grid_priors(64, 64, (8, 16, 32))
    raw = torch.randn(2, len(priors), 66, requires_grad=True)
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long)).with_a_row()
    boxes = torch.zeros(2, len(priors), 4)
    found = task_aligned(raw.detach()[..., :2].sigmoid(), boxes, priors[:, :2], nothing)
    losses = task_aligned_losses(raw, 2, priors, nothing, found)
    assert losses["box"].item() == losses["dfl"].item() == 0.0
    assert losses["cls"].item() > 0
    sum(losses.values()).backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()
