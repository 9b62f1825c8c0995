import numpy as np
import pytest
from small_sets import texture

from defectbench.data.keypoints import features, mirrored_descriptors, unit_descriptors
from defectbench.data.surface_index import find_candidates


def strips(count, crops, seed=0):
    """Crops of 200 x 200 along strips, each 110 pixels on and up to 20 aside; strip of each."""
    random = np.random.default_rng(seed)
    images, strip_of = [], []
    for strip in range(count):
        pixels = texture(seed + 100 + strip, 220, 110 * crops + 110)
        for k in range(crops):
            y = int(random.integers(0, 20))
            images.append(np.ascontiguousarray(pixels[y : y + 200, 110 * k : 110 * k + 200]))
            strip_of.append(strip)
    return images, strip_of


def test_neighbours_on_a_strip_are_candidates():
    images, strip_of = strips(12, 5)
    shifts = set(find_candidates(images, 200).shifts)
    neighbours = {(k, k + 1) for k in range(len(images) - 1) if strip_of[k] == strip_of[k + 1]}
    assert len(neighbours) == 48
    assert neighbours <= shifts


def test_candidates_are_the_same_each_time():
    images, _ = strips(3, 3)
    first, again = find_candidates(images, 200), find_candidates(images, 200)
    assert first.shifts == again.shifts
    assert [view.votes for view in first.views] == [view.votes for view in again.views]


@pytest.mark.parametrize("images", [[], [np.full((200, 200), 9, np.uint8)] * 3])
def test_a_set_that_shows_nothing_has_no_candidates(images):
    assert find_candidates(images, 200) == ([], [])


def test_features_of_a_mirrored_picture_are_those_of_the_picture_rearranged():
    picture = texture(1)
    here, there = (features(p, 1.0) for p in (picture, np.ascontiguousarray(picture[:, ::-1])))
    likeness = (
        unit_descriptors(here.descriptors)
        @ unit_descriptors(mirrored_descriptors(there.descriptors)).T
    )
    partner = likeness.argmax(1)
    assert np.median(likeness.max(1)) > 0.99
    apart = here.points[:, 0] - (199 - there.points[partner, 0])
    assert np.median(np.abs(apart)) < 1


def test_points_are_told_in_pixels_of_the_picture():
    picture = texture(2, 300, 400)
    seen = features(picture, 0.5)
    assert seen.points[:, 0].max() > 300
    assert seen.points[:, 0].max() < 400
