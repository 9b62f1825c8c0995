"""DeepPCB's lists: corners in pixels and a class number; the tested image, never its template."""

import pytest

from .small_raw import Raw

NAMES = {1: "pit", 3: "scratch"}


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "deeppcb", names=NAMES, first_pixel=0, image_ending="_test")
    raw.image("9_test.jpg")
    return raw


@pytest.mark.parametrize("line", ["3 4 20 9 3", "3,4,20,9,3", " 3, 4, 20, 9, 3 ", "3\t4 20  9 3.0"])
def test_corners_are_edges_parted_by_blanks_or_commas(raw, line):
    raw.label("9.txt", f"{line}\n0 0 40 30 1")
    boxes, report = raw.convert()
    assert boxes == {"9_test.jpg": [("scratch", 3, 4, 20, 9), ("pit", 0, 0, 40, 30)]}
    assert report["coordinates"] == "corners are edges of pixels that count from 0"


def test_pixels_that_count_from_1(raw):
    raw.layout["first_pixel"] = 1
    raw.label("9.txt", "1 1 40 30 1\n")
    boxes, report = raw.convert()
    assert boxes == {"9_test.jpg": [("pit", 0, 0, 40, 30)]}
    assert report["coordinates"].startswith("1-based inclusive")


def test_templates_are_no_images_of_the_set(raw):
    raw.label("9.txt", "3 4 20 9 3\n")
    raw.image("9_temp.jpg")
    raw.image("8_temp.jpg")
    boxes, report = raw.convert()
    assert list(boxes) == ["9_test.jpg"]
    assert report["files_ignored"] == []


def test_the_folders_of_the_official_set(tmp_path):
    layout = {"images": ["group*"], "labels": ["*_not"], "image_ending": "_test"}
    raw = Raw(tmp_path, "deeppcb", names=NAMES, first_pixel=0, **layout)
    for group in ("00041", "12000"):
        raw.image(f"../PCBData/group{group}/{group}/{group}001_test.jpg")
        raw.label(f"../PCBData/group{group}/{group}_not/{group}001.txt", "1 1 9 9 3\n")
    for name in ("trainval.txt", "test.txt"):  # official lists, which are no labels
        raw.label(f"../PCBData/{name}", "group00041/00041/00041001.jpg group00041/x.txt")
    boxes, _ = raw.convert()
    assert boxes == {f"{g}001_test.jpg": [("scratch", 1, 1, 9, 9)] for g in ("00041", "12000")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3 4 20 9", ("line 1", "x1 y1 x2 y2 and a class number")),
        ("3 4 20 9 3 0.9", ("line 1", "x1 y1 x2 y2 and a class number")),
        ("3,4,20,9,3,", ("line 1", "x1 y1 x2 y2 and a class number")),
        ("3 4 20 x 3", ("line 1: got 'x'", "finite number")),
        ("3 4 20 nan 3", ("line 1: got 'nan'",)),
        ("3 4 20 9 0", ("line 1 class: got '0'", "1 pit, 3 scratch")),
        ("3 4 20 9 1.5", ("line 1 class: got '1.5'",)),
        ("20 4 3 9 3", ("line 1: got [20.0, 4.0, 3.0, 9.0]", "a box needs an area")),
        ("41 4 50 9 3", ("line 1", "40 x 30 pixels")),
        ("0.1 0.2 0.5 0.6 3", ("line 1", "fractions of the side; write pixels, counted from 0")),
    ],
)
def test_a_line_that_is_none_is_named(raw, line, words):
    raw.label("9.txt", line)
    raw.refused("9.txt", *words)


def test_a_label_whose_tested_image_is_lost(raw):
    raw.label("9.txt", "3 4 20 9 3\n")
    raw.label("8.txt", "3 4 20 9 3\n")
    raw.image("8_temp.jpg")
    raw.refused("8.txt", "get the image of 8")
