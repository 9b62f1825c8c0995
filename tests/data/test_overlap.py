import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from small_sets import texture, write_dataset

from defectbench.base.errors import SplitError
from defectbench.data.coco import read_grey
from defectbench.data.overlap import FileOverlap, find_overlaps, read_overlaps, series
from defectbench.data.phase import (
    correlation,
    refine,
    residual,
    shared_windows,
    shifted_pairs,
    without_lines,
)
from defectbench.data.synthetic import synthesize


def crop(strip, x, y, side=200):
    return strip[y : y + side, x : x + side]


def all_pairs(images):
    return shifted_pairs(images)


SHIFTS = [(0, 0), (60, 0), (0, -88), (-46, 72), (140, 20), (-101, -55), (31, 150)]


@pytest.mark.parametrize(("dx", "dy"), SHIFTS)
def test_shifted_crops_are_found_to_the_pixel(dx, dy):
    strip = texture(1, 600, 600)
    first, second = crop(strip, 200, 200), crop(strip, 200 + dx, 200 + dy)
    (found,) = all_pairs([first, second])
    assert found[:4] == (0, 1, dx, dy)
    assert found.correlation > 0.95
    assert found.share == pytest.approx((1 - abs(dx) / 200) * (1 - abs(dy) / 200))


def coarse_texture(random):
    """Steel-like texture of a random grain, float [500, 500]: coarse grain makes a low, wide peak."""
    grain = gaussian_filter(random.standard_normal((500, 500)), random.uniform(0.6, 2.5))
    clouds = gaussian_filter(random.standard_normal((500, 500)), 20)
    return 128 + 25 * grain / grain.std() + 400 * clouds


def test_crops_of_any_grain_are_found_from_a_fifth_of_the_area_on():
    random, seen = np.random.default_rng(0), 0
    while seen < 30:
        dx, dy = (
            2 * int(n) + 1 for n in random.integers(-65, 65, 2)
        )  # odd: between two view pixels
        if not 0.2 < (200 - abs(dx)) * (200 - abs(dy)) / 200**2 < 0.35:
            continue
        seen += 1
        strip = coarse_texture(random)
        views = (crop(strip, 150, 150), crop(strip, 150 + dx, 150 + dy))
        noisy = [view + random.normal(0, 2, view.shape) for view in views]
        pair = all_pairs([view.clip(0, 255).astype(np.uint8) for view in noisy])
        assert [found[:4] for found in pair] == [(0, 1, dx, dy)]


def test_crops_of_other_brightness_and_noise_are_found():
    strip = texture(2, 400, 400).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, (200, 200))
    second = (crop(strip, 80, 30) * 0.8 + 30 + noise).clip(0, 255).round().astype(np.uint8)
    (found,) = all_pairs([crop(strip, 0, 0).round().astype(np.uint8), second])
    assert found[:4] == (0, 1, 80, 30)


def test_jpeg_crops_are_found():
    strip = texture(3, 300, 300)
    crops = [crop(strip, 0, 0), crop(strip, 61, 45)]
    jpegs = [cv2.imdecode(cv2.imencode(".jpg", c)[1], cv2.IMREAD_GRAYSCALE) for c in crops]
    assert [found[:4] for found in all_pairs(jpegs)] == [(0, 1, 61, 45)]


def test_unrelated_textures_never_match():
    assert all_pairs([texture(seed) for seed in range(10, 40)]) == []


def test_straight_lines_alone_do_not_match():
    lines = 100 + 60 * (np.arange(200) % 23 == 0)[None] * np.ones((200, 1))
    pair = [
        (lines + texture(seed).astype(float) / 8).clip(0, 255).astype(np.uint8) for seed in (4, 5)
    ]
    assert all_pairs(pair) == []


def test_constant_images_do_not_match():
    assert all_pairs([np.full((200, 200), 90, np.uint8)] * 2) == []


def test_pairs_that_are_not_asked_for_are_not_looked_at():
    same = texture(6)
    assert shifted_pairs([same, same, same], [(0, 2)])[0][:2] == (0, 2)
    assert shifted_pairs([same, same], []) == []
    assert shifted_pairs([same]) == []


def test_large_images_keep_their_own_pixels():
    strip = texture(7, 900, 1500)
    strip = cv2.resize(cv2.GaussianBlur(strip, (0, 0), 1), (3000, 1800))
    (found,) = all_pairs([strip[:1000, :2000], strip[160:1160, 840:2840]])
    assert (found.dx, found.dy) == (pytest.approx(840, abs=5), pytest.approx(160, abs=5))


def test_crops_of_different_sizes_match():
    strip = texture(8, 300, 300)
    (found,) = all_pairs([strip[:200, :200], strip[50:170, 40:180]])
    assert found[2:4] == (40, 50)
    assert found.share == 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(3, 12),
    st.integers(3, 12),
    st.integers(3, 12),
    st.integers(3, 12),
    st.integers(-12, 12),
    st.integers(-12, 12),
)
def test_shared_windows_show_the_same_places(h, w, h2, w2, dx, dy):
    rows, columns = np.mgrid[0:60, 0:60]
    plane = (rows * 100 + columns).astype(np.float32)
    first = plane[20 : 20 + h, 20 : 20 + w]
    second = plane[20 + dy : 20 + dy + h2, 20 + dx : 20 + dx + w2]
    a, b = shared_windows(first, second, dx, dy)
    assert np.array_equal(a, b)
    assert a.size == len(set(first.ravel()) & set(second.ravel()))


def test_correlation_of_hand_made_windows():
    a = np.array([[0, 1], [2, 3]], np.float32)
    assert correlation(a, a * 5 - 3) == pytest.approx(1)
    assert correlation(a, -a) == pytest.approx(-1)
    assert correlation(a, np.ones((2, 2), np.float32)) == 0.0
    assert correlation(a[:0], a[:0]) == 0.0


def test_without_lines_leaves_nothing_of_rows_and_columns():
    lines = np.add.outer(np.arange(5.0), np.array([3.0, 1.0, 4.0, 1.0])).astype(np.float32)
    assert without_lines(lines) == pytest.approx(np.zeros((5, 4)), abs=1e-5)


def test_refine_mends_three_pixels_but_not_four():
    strip = residual(texture(9, 300, 300).astype(np.float32))
    first, second = crop(strip, 0, 0), crop(strip, 40, 20)
    x, y, value, share = refine(first, second, 43, 17)
    assert (x, y) == (40, 20)
    assert value == pytest.approx(1, abs=1e-5)
    assert share == pytest.approx(0.8 * 0.9)
    assert refine(first, second, 44, 20)[2] < 0.9


def test_find_overlaps_writes_all_kinds_sorted(tmp_path):
    strip = texture(20, 400, 400)
    images = {
        "b.png": crop(strip, 0, 0),
        "a.png": crop(strip, 70, 10),
        "c.png": np.rot90(texture(21)),
        "d.png": texture(21),
        "e.png": np.full((200, 200), 7, np.uint8),
        "f.png": np.full((200, 200), 7, np.uint8),
        "g.png": texture(22),
    }
    folder = write_dataset(tmp_path / "set", images)
    found = find_overlaps(folder)
    assert [(p.names, p.dx, p.dy, p.kind) for p in found] == [
        (("a.png", "b.png"), -70, -10, "shift"),
        (("c.png", "d.png"), 0, 0, "symmetry"),
        (("e.png", "f.png"), 0, 0, "shift"),
    ]
    read = read_overlaps(folder)
    assert [p.names for p in read] == [p.names for p in found]
    assert read[0].shared_area == pytest.approx(found[0].shared_area, abs=5e-5)
    before = (folder / "overlaps.csv").read_bytes()
    find_overlaps(folder)
    assert (folder / "overlaps.csv").read_bytes() == before


def test_acceptance_is_a_parameter(tmp_path):
    strip = texture(23, 400, 400)
    folder = write_dataset(
        tmp_path / "set", {"a.png": crop(strip, 0, 0), "b.png": crop(strip, 40, 0)}
    )
    assert len(find_overlaps(folder, accept=0.5)) == 1
    assert find_overlaps(folder, accept=1.01) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("crazing_12.jpg", ("crazing_", 12)), ("plain.png", ("plain", 0)), ("007.jpg", ("", 7))],
)
def test_series(name, expected):
    assert series(name) == expected


def test_missing_and_foreign_tables_are_named(tmp_path):
    with pytest.raises(SplitError, match=r"overlaps\.csv: file"):
        read_overlaps(tmp_path)
    (tmp_path / "overlaps.csv").write_text("image_a,image_b\n")
    with pytest.raises(SplitError, match=r"overlaps\.csv: columns"):
        read_overlaps(tmp_path)


def test_names_of_an_overlap():
    assert FileOverlap("a", "b", 0, 0, 1.0, 1.0, "shift").names == ("a", "b")


def test_crops_of_the_synthetic_set_are_found_as_they_were_cut(tmp_path):
    synthesize(tmp_path / "raw", seed=3, images=40)
    files = sorted((tmp_path / "raw" / "IMAGES").iterdir())
    images = [read_grey(file) for file in files]
    truth = {
        (row.image_a, row.image_b): (row.dx, row.dy)
        for row in pd.read_csv(tmp_path / "raw" / "overlaps.csv").itertuples()
    }
    found = {(files[p.i].name, files[p.j].name): (p.dx, p.dy) for p in all_pairs(images)}
    assert found.items() <= truth.items()
    height, width = images[0].shape
    wide = {
        names for names, (dx, dy) in truth.items() if max(abs(dx) / width, abs(dy) / height) < 0.75
    }
    assert len(wide) > 5
    assert wide <= set(found)
