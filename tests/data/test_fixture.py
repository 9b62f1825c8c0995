import cv2
import numpy as np
import pytest
from small_sets import texture, write_dataset

from defectbench.data.fixture import find_fixtures
from defectbench.data.overlap import find_overlaps


def lit(surface, random):
    """A sheet under a ring lamp that moved by up to two pixels: its light, its ring, black around."""
    height, width = surface.shape
    x, y = np.array([width // 2, height // 2 - 12]) + random.integers(-2, 3, 2)
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows - y, columns - x)
    image = surface * (0.5 + away / 160)
    image[away > 72] = 210
    image[away > 82] = 12
    return (image + random.normal(0, 1, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def lamp_set():
    """40 photographs of unlike sheets under one lamp, and ten of them mirrored or turned."""
    random = np.random.default_rng(0)
    images = {f"{k:03}.png": lit(texture(300 + k, 180, 240), random) for k in range(40)}
    for k in range(10):
        axis = [0, 1, (0, 1)][k % 3]
        images[f"{k + 100}.png"] = np.ascontiguousarray(np.flip(images[f"{k:03}.png"], axis))
    return images


def test_a_lamp_is_found_and_the_sheet_in_it_left(lamp_set):
    images = list(lamp_set.values())
    (fixture,) = find_fixtures(images, [image.shape for image in images]).values()
    assert fixture.surface[70:100, 100:140].mean() > 0.9
    fixed = 1 - fixture.surface
    assert 0.03 < fixed.mean() < 0.6
    ring = np.abs(np.hypot(*(np.mgrid[:180, :240] - np.array([78, 120])[:, None, None])) - 77) < 3
    assert max(fixed[ring].mean(), fixed[::-1][ring].mean()) > 0.8


def test_a_lamp_is_no_shared_surface(lamp_set, tmp_path):
    pairs = find_overlaps(write_dataset(tmp_path / "set", lamp_set))
    assert {p.names for p in pairs} == {(f"{k:03}.png", f"{k + 100}.png") for k in range(10)}
    assert {p.kind for p in pairs} <= {"symmetry", "turned"}


def test_strips_have_no_fixture():
    images = []
    for seed in range(6):
        strip = texture(seed, 200, 600)
        images += [strip[:, x : x + 200] for x in range(0, 400, 60)]
    assert find_fixtures(images, [image.shape for image in images]) == {}


def test_a_few_pictures_tell_of_no_fixture(lamp_set):
    images = list(lamp_set.values())[:8]
    assert find_fixtures(images, [image.shape for image in images]) == {}


def test_copies_of_one_picture_are_no_fixture(tmp_path):
    random = np.random.default_rng(1)
    one = texture(1).astype(float)
    images = {
        f"{k:02}.png": (one + random.normal(0, 3, one.shape)).clip(0, 255).astype(np.uint8)
        for k in range(14)
    }
    assert len(find_overlaps(write_dataset(tmp_path / "set", images))) == 14 * 13 / 2


def test_what_was_taken_out_leaves_the_rest_as_it_lies(lamp_set):
    images = list(lamp_set.values())
    (fixture,) = find_fixtures(images, [image.shape for image in images]).values()
    alone = fixture.taken_out(images[5])
    mirrored = fixture.taken_out(np.ascontiguousarray(images[5][:, ::-1]))
    assert alone.shape == images[5].shape
    assert np.array_equal(alone[:, ::-1], mirrored)
    middle = np.s_[60:110, 90:150]
    grain = [
        img[middle] - cv2.GaussianBlur(img[middle].astype(float), (0, 0), 2)
        for img in (alone, images[5])
    ]
    assert np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1] > 0.95
