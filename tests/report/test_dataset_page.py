"""What the page of a dataset counts and shows, on hand-made boxes and images."""

import cv2
import numpy as np
import pytest

from defectbench.data.overlap import FileOverlap
from defectbench.report.site.charts import Axis, bar_chart, line_chart
from defectbench.report.site.dataset import _class_counts, _example, _size_counts
from defectbench.report.site.photos import LONGEST, Photos

PARTS = {1: "train", 2: "test"}


def boxes(*sides):
    return [
        {"image_id": n % 2 + 1, "category_id": 0, "bbox": [0, 0, side, side]}
        for n, side in enumerate(sides)
    ]


def test_sizes_are_counted_between_powers_of_two():
    counts = _size_counts(boxes(8, 15.9, 16, 31, 70), PARTS)
    assert list(counts) == ["8 to 16", "16 to 32", "32 to 64", "64 to 128"]
    assert counts["8 to 16"] == {"train": 1, "val": 0, "test": 1}
    assert counts["32 to 64"] == {"train": 0, "val": 0, "test": 0}
    assert _size_counts(boxes(3, 600), PARTS)["under 8"]["train"] == 1
    assert "512 and more" in _size_counts(boxes(3, 600), PARTS)
    assert _size_counts([], PARTS) == {}


def test_classes_without_a_box_are_counted_as_none():
    content = {"categories": [{"id": 0, "name": "hole"}, {"id": 1, "name": "dent"}]}
    counts = _class_counts(content, boxes(1, 1, 1), PARTS)
    assert counts["hole"] == {"train": 2, "val": 0, "test": 1}
    assert set(counts["dent"].values()) == {0}


@pytest.fixture
def photos(tmp_path):
    for name, shape in (("a.png", (60, 100)), ("b.png", (60, 100))):
        cv2.imwrite(str(tmp_path / name), np.zeros(shape, np.uint8))
    (tmp_path / "made").mkdir()
    return Photos(tmp_path / "made")


def test_what_two_shifted_images_share_is_outlined_in_both(photos, tmp_path):
    pair = FileOverlap("a.png", "b.png", 30, -10, 0.99, 0.58, "shift")
    first, second = _example(pair, tmp_path, photos).boxes
    assert first == (30, 0, 70, 50)
    assert second == (0, 10, 70, 50)


def test_nothing_is_outlined_where_no_shift_says_what_is_shared(photos, tmp_path):
    pair = FileOverlap("a.png", "b.png", 0, 0, 0.99, 0.5, "turned", turn=90.0)
    example = _example(pair, tmp_path, photos)
    assert example.boxes is None
    assert example.words == "50 % of the smaller image, turned, correlation 0.990"


def test_equal_images_are_one_file_and_large_ones_are_made_small(photos, tmp_path):
    assert photos.add(tmp_path / "a.png").file == photos.add(tmp_path / "b.png").file
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((500, 2000), np.uint8))
    made = photos.add(tmp_path / "c.png")
    assert (made.width, made.height) == (2000, 500)
    assert cv2.imread(str(tmp_path / "made" / made.file)).shape == (LONGEST // 4, LONGEST, 3)
    assert len(list((tmp_path / "made").iterdir())) == 2


def test_ticks_are_round_and_inside():
    assert Axis(0, 11.3, 0, 100).ticks() == [0, 2, 4, 6, 8, 10]
    assert Axis(0.8, 30, 0, 100, is_log=True).ticks() == [1, 2, 5, 10, 20]
    assert Axis(1, 100, 0, 100, is_log=True).at(10) == 50


def test_bars_are_as_long_as_their_counts():
    chart = bar_chart({"hole": {"train": 30, "test": 10}, "dent": {"train": 20, "test": 0}}, "c")
    widths = [
        float(part.partition('width="')[2].partition('"')[0]) for part in chart.split("<rect")[1:]
    ]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[3] == 0
    assert "<title>hole, train: 30</title>" in chart


def test_a_single_point_is_drawn_as_a_dot():
    assert "<circle" in line_chart({"seed 0": [(7, 0.5)]}, "loss")
    assert "<polyline" in line_chart({"seed 0": [(1, 2.0), (2, 1.0)]}, "loss", is_log=True)
