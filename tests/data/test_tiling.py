"""Where tiles lie, and which boxes are in the truth of which."""

from itertools import pairwise

import numpy as np
import pytest

from defectbench.base.tiling import Tiling
from defectbench.data.tiling import (
    assign_boxes,
    count_tiles,
    cut_to,
    starts,
    tile_windows,
    visible_shares,
)

TILING = Tiling(side=96, overlap=32)


@pytest.mark.parametrize("overlap", [8, 31, 32, 72])
@pytest.mark.parametrize("length", [97, 100, 160, 161, 500, 2048])
def test_tiles_reach_from_end_to_end_and_overlap_enough(length, overlap):
    begins = starts(length, 96, overlap)
    assert (begins[0], begins[-1] + 96) == (0, length)
    assert all(overlap <= a + 96 - b < 96 for a, b in pairwise(begins))
    fewer = len(begins) - 1
    assert fewer * (96 - overlap) + overlap < length  # one tile less would leave a gap


def test_a_smaller_image_is_one_tile_that_ends_where_it_does():
    assert tile_windows(60, 40, TILING).tolist() == [[0, 0, 60, 40]]
    assert tile_windows(96, 200, TILING).tolist() == [
        [0, 0, 96, 96],
        [0, 52, 96, 148],
        [0, 104, 96, 200],
    ]


def test_tiles_are_counted_without_being_made():
    for width, height in ((1, 1), (96, 97), (500, 333), (2048, 1000)):
        assert count_tiles(width, height, TILING) == len(tile_windows(width, height, TILING))


def test_a_box_larger_than_a_tile_is_visible_where_it_fills_one():
    windows = tile_windows(300, 96, TILING)
    line = np.array([[0.0, 40.0, 300.0, 50.0]])
    assert visible_shares(line, windows, 96).tolist() == [[1.0] * len(windows)]
    half = np.array([[48.0, 0.0, 96.0 + 48, 96.0]])  # as large as a tile, half of it in the first
    assert visible_shares(half, windows, 96)[0, 0] == 0.5


def test_a_tile_has_the_boxes_of_which_enough_is_visible():
    windows = np.array([[0, 0, 96, 96], [64, 0, 160, 96]])
    boxes = np.array([[56.0, 0.0, 72.0, 10.0], [90.0, 0.0, 110.0, 10.0]])
    assert assign_boxes(boxes, windows, TILING).tolist() == [[True, True], [False, True]]
    strict = TILING.model_copy(update={"least_visible": 1.0})
    assert assign_boxes(boxes, windows, strict).tolist() == [[True, False], [False, True]]


def test_no_box_is_lost_where_no_tile_shows_enough_of_it():
    windows = np.array([[0, 0, 96, 96], [88, 0, 184, 96]])
    boxes = np.array([[60.0, 0.0, 130.0, 10.0]])  # 70 px wide; the second tile shows 42 of them
    tiling = Tiling(side=96, overlap=8, least_visible=1.0)
    assert assign_boxes(boxes, windows, tiling).tolist() == [[False, True]]
    assert assign_boxes(np.zeros((0, 4)), windows, tiling).shape == (0, 2)


def test_boxes_are_cut_at_their_tile():
    window = np.array([64, 32, 160, 128])
    boxes = np.array([[60.0, 0.0, 100.0, 40.0], [100.0, 100.0, 300.0, 110.0]])
    assert cut_to(boxes, window).tolist() == [[0, 0, 36, 8], [36, 68, 96, 78]]
