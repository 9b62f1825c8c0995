"""ATSS against slow, plain code written from the formula, image by image and box by box."""

import statistics

import pytest
import torch
from tests.networks import piece

from defectbench.nn.detector import Targets, grid_priors, level_sizes

adaptive_selection = piece("nanodet_m", "atss").adaptive_selection
PRIORS = grid_priors(96, 64, (8, 16, 32))
SIZES = level_sizes(96, 64, (8, 16, 32))


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / max(union, 1e-7)


def plain(boxes, truth):
    """{prior: (box, quality)} of one image."""
    priors = PRIORS.tolist()
    anchors = [(x - 2.5 * s, y - 2.5 * s, x + 2.5 * s, y + 2.5 * s) for x, y, s in priors]
    claims = {}
    for j, g in enumerate(truth):
        cx, cy = (g[0] + g[2]) / 2, (g[1] + g[3]) / 2
        candidates = []
        for stride in (8, 16, 32):
            level = [i for i, p in enumerate(priors) if p[2] == stride]
            apart = {i: (priors[i][0] - cx) ** 2 + (priors[i][1] - cy) ** 2 for i in level}
            candidates += sorted(level, key=lambda i, apart=apart: (apart[i], i))[:9]
        seen = [iou(anchors[i], g) for i in candidates]
        threshold = statistics.mean(seen) + statistics.stdev(seen)
        for i, u in zip(candidates, seen, strict=True):
            x, y, _ = priors[i]
            if u >= threshold and min(x - g[0], y - g[1], g[2] - x, g[3] - y) > 0.01:
                claims.setdefault(i, []).append((-u, j))
    return {i: (min(found)[1], iou(boxes[i], truth[min(found)[1]])) for i, found in claims.items()}


def random_case(seed, whole=False, batch=3, most=6):
    """Random boxes; with ``whole`` on whole pixels, where many priors are equally near."""
    made = torch.Generator().manual_seed(seed)
    points = PRIORS[:, :2]
    centre = points + torch.randn(batch, len(points), 2, generator=made) * 4
    half = torch.rand(batch, len(points), 2, generator=made) * 16 + 2
    low = torch.rand(batch, most, 2, generator=made) * 40
    truth = torch.cat((low, low + torch.rand(batch, most, 2, generator=made) * 40 + 3), -1)
    labels = torch.randint(0, 4, (batch, most), generator=made)
    counts = torch.randint(0, most + 1, (batch,), generator=made)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return torch.cat((centre - half, centre + half), -1), Targets(
        truth.round() if whole else truth, labels
    )


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_plain_code(seed, whole):
    boxes, targets = random_case(seed, whole)
    found = adaptive_selection(boxes, PRIORS, targets, SIZES)
    for b in range(len(boxes)):
        truth = targets.boxes[b][targets.valid[b]].tolist()
        expected = plain(boxes[b].tolist(), truth)
        assert set(found.positive[b].nonzero().flatten().tolist()) == set(expected)
        for i, (j, quality) in expected.items():
            assert found.index[b, i] == j
            assert float(found.quality[b, i]) == pytest.approx(quality, abs=1e-5)
        assert (found.quality[b][~found.positive[b]] == 0).all()
        assert (found.index[b][~found.positive[b]] == 0).all()


def test_no_box_no_positive():
    boxes, targets = random_case(0)
    none = Targets(targets.boxes[:, :0], targets.labels[:, :0])
    assert not adaptive_selection(boxes, PRIORS, none, SIZES).positive.any()
    padded = Targets(targets.boxes, torch.full_like(targets.labels, -1))
    assert not adaptive_selection(boxes, PRIORS, padded, SIZES).positive.any()


def test_a_square_that_fits_an_anchor_takes_it():
    truth = Targets(
        torch.tensor([[[8.0, 8, 48, 48]]]), torch.tensor([[0]])
    )  # 5 x 8 px, centre 28, 28
    found = adaptive_selection(torch.zeros(1, len(PRIORS), 4), PRIORS, truth, SIZES)
    row = PRIORS.tolist().index([28.0, 28.0, 8.0])
    assert found.positive[0, row]
    assert (PRIORS[found.positive[0], 2] == 8).all()
