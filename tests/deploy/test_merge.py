"""Boxes of tiles become boxes of their image: once each, however many tiles show them."""

import numpy as np
import pytest
from tiled_oracle import cut_truth, merged_truth, oracle_score

from defectbench.base.tiling import Tiling
from defectbench.data.tiling import tile_windows
from defectbench.deploy.merge import merge_tiles
from defectbench.deploy.nms import IOU_THRESHOLD

TILING = Tiling(side=96, overlap=32)
SIZE = (320, 200)
NOTHING = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


def merge(tiles, threshold=0.001, size=SIZE, tiling=TILING):
    """Merge detections that are given by tile number, in pixels of the image."""
    windows = tile_windows(*size, tiling)
    parts = []
    for number, window in enumerate(windows):
        rows = tiles.get(number, [])
        boxes = np.array([box for box, _, _ in rows], np.float64).reshape(-1, 4)
        scores = np.array([score for _, score, _ in rows], np.float64)
        labels = np.array([label for _, _, label in rows], np.int64)
        parts.append((boxes - np.tile(window[:2], 2), scores, labels))
    boxes, scores, labels = merge_tiles(windows, size, parts, threshold)
    return [
        (box.round(3).tolist(), float(score), int(label))
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]


def as_rows(boxes):
    return sorted(map(tuple, np.asarray(boxes).round(6).tolist()))


def test_the_tiles_of_these_tests():
    windows = tile_windows(*SIZE, TILING).tolist()
    assert windows[:3] == [[0, 0, 96, 96], [56, 0, 152, 96], [112, 0, 208, 96]]
    assert len(windows) == 15


def test_a_box_across_four_tiles_comes_back_once():
    box = np.array([[50.0, 40.0, 140.0, 120.0]])
    windows = tile_windows(*SIZE, TILING)
    tiles = cut_truth(box, np.zeros(1, np.int64), windows)
    assert sum(len(boxes) for boxes, _, _ in tiles) > 4
    assert all((boxes[:, 2:] - boxes[:, :2]).max(initial=0) < 96.1 for boxes, _, _ in tiles)
    boxes, scores, labels = merge_tiles(windows, SIZE, tiles, 0.001)
    assert boxes.tolist() == box.tolist()
    assert (scores.tolist(), labels.tolist()) == ([1.0], [0])


def test_a_box_that_fills_the_image_comes_back_once():
    boxes = np.array([[0.0, 0.0, 320.0, 200.0]])
    assert merged_truth(boxes, np.zeros(1, np.int64), SIZE, TILING)[0].tolist() == boxes.tolist()


@pytest.mark.parametrize("least", [8, 20, 48])
def test_neighbours_of_one_class_stay_apart_at_any_overlap(least):
    tiling = Tiling(side=96, overlap=least)
    side_by_side = [[10.0 + 45 * n, 60.0, 54.0 + 45 * n, 130.0] for n in range(6)]
    on_one_another = [[60.0, 5.0 + 50 * n, 250.0, 54.0 + 50 * n] for n in range(3)]
    nested = [[50.0, 40.0, 200.0, 160.0], [90.0, 80.0, 110.0, 120.0], [60.0, 30.0, 100.0, 150.0]]
    for boxes in map(np.array, (side_by_side, on_one_another, nested)):
        merged = merged_truth(boxes, np.zeros(len(boxes), np.int64), SIZE, tiling)
        assert as_rows(merged[0]) == as_rows(boxes)


def scattered(seed, count=10):
    """Boxes of one class of which no two overlap as suppression forbids; and the size of their image."""
    random = np.random.default_rng(seed)
    size = random.integers(60, 700, 2)
    boxes = np.zeros((0, 4))
    for _ in range(count):
        corner = random.uniform(0, size - 5)
        end = np.minimum(corner + 2 + random.exponential(50, 2), size)
        box = np.concatenate([corner, end]).round(2)
        low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
        if not (shared > IOU_THRESHOLD * union).any():
            boxes = np.concatenate([boxes, box[None]])
    return boxes, tuple(size.tolist())


def test_crowds_of_overlapping_boxes_come_back_unchanged():
    for seed in range(30):
        boxes, size = scattered(seed)
        tiling = Tiling(side=int((96, 160)[seed % 2]), overlap=8 + seed)
        merged = merged_truth(boxes, np.zeros(len(boxes), np.int64), size, tiling)
        assert as_rows(merged[0]) == as_rows(boxes), seed


def test_the_score_of_the_tiles_oracle_is_one():
    images, annotations = [], []
    for number in range(1, 13):
        boxes, (width, height) = scattered(100 + number)
        images.append({"id": number, "file_name": str(number), "width": width, "height": height})
        for count, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            row = {"image_id": number, "category_id": count % 2, "iscrowd": 0}
            sides = [x0, y0, x1 - x0, y1 - y0]
            annotations.append(
                {**row, "id": len(annotations) + 1, "bbox": sides, "area": sides[2] * sides[3]}
            )
    classes = [{"id": n, "name": name} for n, name in enumerate("ab")]
    truth = {"images": images, "annotations": annotations, "categories": classes}
    scores = oracle_score(truth, TILING)
    assert scores.map50_95 == pytest.approx(1.0)
    assert scores.recall_100 == pytest.approx(1.0)


def test_classes_are_joined_apart():
    whole = [60.0, 20.0, 140.0, 80.0]
    left, right = [60.0, 20.0, 96.0, 80.0], [60.0, 20.0, 140.0, 80.0]
    seen = merge({0: [(left, 0.9, 0)], 1: [(right, 0.8, 1)]})
    assert seen == [(left, 0.9, 0), (whole, 0.8, 1)]


def test_a_joined_box_has_the_score_of_its_best_piece():
    left, right = [40.0, 20.0, 96.0, 80.0], [56.0, 22.0, 140.0, 80.0]
    seen = merge({0: [(left, 0.4, 0)], 1: [(right, 0.7, 0)]})
    assert seen == [([40.0, 20.0, 140.0, 80.0], 0.7, 0)]


def test_a_whole_box_is_not_enlarged_by_what_another_tile_makes_of_it():
    whole, piece = [40.0, 20.0, 90.0, 80.0], [56.0, 20.0, 110.0, 80.0]  # the piece reaches too far
    assert merge({0: [(whole, 0.9, 0)], 1: [(piece, 0.3, 0)]}) == [(whole, 0.9, 0)]


def test_a_piece_that_its_tile_misjudged_goes_with_the_box_that_it_lies_in():
    whole = [60.0, 10.0, 150.0, 90.0]
    sliver = [60.0, 30.0, 96.0, 50.0]  # half as high as it should be
    assert merge({0: [(sliver, 0.3, 0)], 1: [(whole, 0.9, 0)]}) == [(whole, 0.9, 0)]
    other_class = merge({0: [(sliver, 0.3, 1)], 1: [(whole, 0.9, 0)]})
    assert len(other_class) == 2


def test_what_is_whole_in_its_tile_stays_within_a_larger_box():
    large, small = [60.0, 10.0, 150.0, 90.0], [70.0, 30.0, 90.0, 50.0]
    seen = merge({0: [(small, 0.3, 0)], 1: [(large, 0.9, 0)]})
    assert seen == [(large, 0.9, 0), (small, 0.3, 0)]


def test_a_box_that_two_tiles_see_whole_is_suppressed_once_over_the_image():
    first, second = [60.0, 20.0, 90.0, 50.0], [61.0, 20.0, 91.0, 50.0]
    assert merge({0: [(first, 0.5, 0)], 1: [(second, 0.6, 0)]}) == [(second, 0.6, 0)]
    assert merge({0: [(first, 0.5, 0)]}, threshold=0.5) == []


def test_at_most_100_boxes_of_an_image_are_left():
    boxes = [
        ([8.0 * n % 88, 9.0 * (n // 11), 8.0 * n % 88 + 7, 9.0 * (n // 11) + 8]) for n in range(99)
    ]
    rows = [(box, 0.5, 0) for box in boxes]
    far = [([224.0 + box[0], box[1], 224.0 + box[2], box[3]], 0.4, 0) for box, _, _ in rows]
    assert len(merge({0: rows, 4: far})) == 100


def test_an_image_without_boxes_or_tiles_has_none():
    assert merge({}) == []
    boxes, scores, labels = merge_tiles(np.zeros((0, 4), np.int64), SIZE, [], 0.1)
    assert (boxes.shape, len(scores), len(labels)) == ((0, 4), 0, 0)
    boxes, _, _ = merge_tiles(np.array([[0, 0, 96, 96]]), (96, 96), [NOTHING], 0.1)
    assert boxes.shape == (0, 4)
