"""Clustering of anchors: by hand, against plain code, and what it promises."""

import statistics

import pytest
import torch

from defectbench.nn.anchors import anchor_quality, cluster_anchors, mean_best_iou, shape_iou


def random_sides(seed, count=120):
    made = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=made) * 90 + 6


def plain_iou(a, b):
    overlap = min(a[0], b[0]) * min(a[1], b[1])
    return overlap / (a[0] * a[1] + b[0] * b[1] - overlap)


@pytest.mark.parametrize("seed", range(3))
def test_shape_iou_agrees_with_plain_code(seed):
    first, second = random_sides(seed, 9).double(), random_sides(seed + 50, 7).double()
    expected = [[plain_iou(a, b) for b in second.tolist()] for a in first.tolist()]
    assert torch.equal(shape_iou(first, second), torch.tensor(expected, dtype=torch.float64))


def test_three_heaps_are_found_and_sorted_by_area():
    made = torch.Generator().manual_seed(0)
    centres = torch.tensor([[80.0, 40], [10, 12], [30, 60]])
    sides = torch.cat([c + torch.rand(41, 2, generator=made) - 0.5 for c in centres])
    anchors = cluster_anchors(sides, 3, seed=1)
    heaps = [sides[41:82], sides[82:], sides[:41]]
    assert torch.equal(anchors, torch.stack([heap.median(0).values for heap in heaps]))


@pytest.mark.parametrize("count", [6, 9])
def test_anchors_are_the_medians_of_the_boxes_nearest_to_them(count):
    sides = random_sides(3, 201)
    anchors = cluster_anchors(sides, count, seed=0)
    heaps = [[] for _ in range(count)]
    for box in sides.tolist():
        overlaps = [plain_iou(box, a) for a in anchors.tolist()]
        heaps[overlaps.index(max(overlaps))].append(box)
    for anchor, heap in zip(anchors.tolist(), heaps, strict=True):
        expected = [statistics.median_low(box[side] for box in heap) for side in (0, 1)]
        assert anchor == pytest.approx(expected, abs=1e-6)


def test_equal_seeds_give_equal_anchors_and_restarts_help():
    sides = random_sides(5)
    first, again = (cluster_anchors(sides, 6, seed=4) for _ in range(2))
    assert torch.equal(first, again)
    single = [mean_best_iou(sides, cluster_anchors(sides, 6, s, restarts=1)) for s in range(10)]
    several = [mean_best_iou(sides, cluster_anchors(sides, 6, s)) for s in range(4)]
    assert len(set(single)) > 1
    assert min(several) > statistics.mean(single)


def test_mean_best_iou_by_hand():
    sides, anchors = torch.tensor([[2.0, 2], [4, 2]]), torch.tensor([[2.0, 2], [1, 1]])
    assert mean_best_iou(sides, anchors) == pytest.approx((1 + 0.5) / 2)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_fewer_boxes_than_anchors(count):
    sides = torch.tensor([[10.0, 20], [30, 30]])[:count]
    anchors = cluster_anchors(sides, 6, seed=0)
    assert anchors.shape == (6, 2)
    assert {tuple(a) for a in anchors.tolist()} == {tuple(a) for a in sides.tolist()}


def test_quality_by_hand():
    sides = torch.tensor([[2.0, 2], [4, 2], [10, 10], [4, 4]])
    anchors = torch.tensor([[2.0, 2], [1, 1], [0.5, 0.5]])
    # the best have IoU 1, 1/2, 1/25 and exactly 1/4, which is not above the threshold
    assert anchor_quality(sides, anchors) == {
        "n_boxes": 4,
        "anchors_mean_best_iou": round((1 + 0.5 + 0.04 + 0.25) / 4, 4),
        "anchors_best_possible_recall_iou_25": 0.5,
    }


def test_quality_without_boxes_has_only_their_number():
    assert anchor_quality(torch.zeros(0, 2), torch.ones(3, 2)) == {"n_boxes": 0}
