import cv2
import numpy as np
import pytest
from small_sets import texture

from defectbench.data.d4 import symmetric_pairs, symmetries, thumbnail


def test_symmetries_of_a_square_are_the_eight_of_its_group():
    square = np.array([[1.0, 2.0], [3.0, 4.0]])
    views = {tuple(view.ravel()) for view in symmetries(square)}
    assert len(views) == 8
    assert np.array_equal(symmetries(square)[0], square)


@pytest.mark.parametrize("turn", range(8))
def test_every_symmetry_of_a_picture_is_found(turn):
    first = texture(1)
    second = np.ascontiguousarray(symmetries(first)[turn])
    assert list(symmetric_pairs([first, texture(2), second])) == [
        (0, 2, pytest.approx(1, abs=1e-5))
    ]


def test_a_flipped_brightened_jpeg_is_found():
    first = texture(3)
    second = (first[:, ::-1].astype(np.float32) * 0.8 + 20).round().astype(np.uint8)
    second = cv2.imdecode(cv2.imencode(".jpg", second)[1], cv2.IMREAD_GRAYSCALE)
    ((i, j, value),) = symmetric_pairs([first, second])
    assert (i, j) == (0, 1)
    assert value > 0.8


def test_an_oblong_picture_matches_its_quarter_turn():
    first = texture(4, 120, 200)
    assert [pair[:2] for pair in symmetric_pairs([first, np.rot90(first)])] == [(0, 1)]


def test_unrelated_pictures_do_not_match():
    assert list(symmetric_pairs([texture(seed) for seed in range(10, 30)])) == []
    assert list(symmetric_pairs([])) == []


def test_pictures_alike_only_in_brightness_do_not_match():
    ramp = np.tile(np.linspace(20, 200, 200), (200, 1))
    pair = [(ramp + texture(seed).astype(float) / 10).astype(np.uint8) for seed in (5, 6)]
    assert list(symmetric_pairs(pair)) == []


def test_blank_pictures_match_only_if_equal():
    grey = [np.full((50, 50), value, np.uint8) for value in (7, 9, 7)]
    assert list(symmetric_pairs(grey)) == [(0, 2, 1.0)]
    assert list(symmetric_pairs(grey[:2])) == []


def test_a_thumbnail_turns_with_its_picture():
    image = texture(7)
    assert np.linalg.norm(thumbnail(image)) == pytest.approx(1, abs=1e-5)
    for turned, small in zip(symmetries(image), symmetries(thumbnail(image)), strict=True):
        assert thumbnail(np.ascontiguousarray(turned)) == pytest.approx(small, abs=1e-4)
