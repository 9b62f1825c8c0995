"""labelme: shapes become the boxes around them; a line, which has no area, gets a thickness."""

import json

import pytest

from .small_raw import Raw


def shape(kind, *points, label="pit", **fields):
    return {"label": label, "shape_type": kind, "points": [list(p) for p in points], **fields}


def file(*shapes, **fields):
    return {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png",
            "imageData": None, "imageHeight": 30, "imageWidth": 40} | fields  # fmt: skip


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "labelme")
    raw.image("a.png")
    return raw


SHAPES = {
    "polygon": (shape("polygon", (5, 4), (20.5, 6), (9, 11.25)), (5, 4, 20.5, 11.25)),
    "old polygon": (shape(None, (5, 4), (20, 6), (9, 11)), (5, 4, 20, 11)),
    "rectangle": (shape("rectangle", (20, 11), (5, 4)), (5, 4, 20, 11)),
    "rectangle of 4": (shape("rectangle", (5, 4), (20, 4), (20, 11), (5, 11)), (5, 4, 20, 11)),
    "circle": (shape("circle", (15, 15), (18, 19)), (10, 10, 20, 20)),
    "line": (shape("line", (5, 4), (20, 11)), (5, 4, 20, 11)),
    "linestrip": (shape("linestrip", (5, 9), (12, 4), (20, 11)), (5, 4, 20, 11)),
    "level line": (shape("line", (5, 10), (20, 10)), (5, 8, 20, 12)),
    "thin strip": (shape("linestrip", (10, 5), (11, 20), (10, 25)), (8.5, 5, 12.5, 25)),
    "point": (shape("point", (10, 12)), (8, 10, 12, 14)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_becomes_the_box_around_it(raw, name):
    drawn, corners = SHAPES[name]
    raw.label("a.json", file(drawn))
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", *corners)]}
    kind = drawn["shape_type"] or "polygon"
    assert report.get("shapes_boxed", {}) == ({kind: 1} if kind != "rectangle" else {})


def test_widened_boxes_are_listed_and_counted(raw, capsys):
    raw.layout["least_thickness"] = 6
    raw.label("a.json", file(shape("line", (5, 10), (20, 10)), shape("line", (5, 4), (20, 11))))
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 5, 7, 20, 13), ("pit", 5, 4, 20, 11)]}
    assert report["lines_widened"] == [
        {"label": "a.json", "name": "pit", "from": [5, 10, 20, 10], "to": [5, 7, 20, 13]}
    ]
    told = capsys.readouterr().out
    assert "1 boxes of lines or points widened to the card's least thickness" in told


def test_a_widened_box_is_cut_at_the_edge(raw):
    raw.label("a.json", file(shape("line", (0, 5), (0, 20))))
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 0, 5, 2, 20)]}
    assert report["boxes_clipped"][0]["from"] == [-2, 5, 2, 20]


def test_a_thin_polygon_is_no_line(raw):
    raw.label("a.json", file(shape("polygon", (5, 10), (20, 10), (12, 11))))
    assert raw.convert()[0] == {"a.png": [("pit", 5, 10, 20, 11)]}
    raw.label("a.json", file(shape("polygon", (5, 10), (20, 10), (12, 10))))
    raw.refused("a.json", "shapes 0 points", "a box needs an area")


@pytest.mark.parametrize("named", ["..\\images\\a.png", "C:\\x\\a.png", "../b/a.png"])
def test_folders_of_another_machine_do_no_harm(raw, named):
    raw.label("a.json", file(SHAPES["polygon"][0], imagePath=named))
    assert raw.convert()[1]["file_name_fields_ignored"] == []


def test_the_name_of_another_image_is_told(raw):
    raw.label("a.json", file(SHAPES["polygon"][0], imagePath="..\\b.png"))
    _, report = raw.convert()
    assert report["file_name_fields_ignored"] == [{"label": "a.json", "filename": "b.png"}]


def test_labels_made_for_another_size(raw):
    raw.image("b.png")
    for name in "ab":
        raw.label(f"{name}.json", file(SHAPES["polygon"][0], imageHeight=60, imageWidth=80))
    raw.refused("a.json: size: got '80 x 60'", "its image has 40 x 30 pixels")
    boxes, report = raw.convert(ignore_label_sizes=True)
    assert boxes["a.png"] == [("pit", 5, 4, 20.5, 11.25)]
    assert len(report["size_fields_ignored"]) == 2


def test_a_picture_inside_and_what_is_not_used(raw):
    drawn = shape(
        "polygon",
        (5, 4),
        (20, 6),
        (9, 11),
        group_id=3,
        description="",
        flags={"hard": True, "x": False},
    )
    raw.label("a.json", file(drawn, imageData="A" * 4000, flags={"bad": True}, author="me"))
    _, report = raw.convert()
    assert report["tags_ignored"] == {
        "author": 1, "flags.bad": 1, "shapes.group_id": 1, "shapes.flags.hard": 1,
    }  # fmt: skip


def test_no_shape_is_free_of_defects_where_the_card_allows_it(raw):
    raw.label("a.json", file())
    raw.refused("a.json", "each image of this set shows a defect")
    assert raw.convert(allow_empty=True)[0] == {"a.png": []}


def test_images_and_labels_in_one_folder(tmp_path):
    raw = Raw(tmp_path, "labelme", images=["images"], labels=["images"])
    raw.image("a.png")
    raw.label("../images/a.json", file(SHAPES["polygon"][0]))
    assert raw.convert()[0] == {"a.png": [("pit", 5, 4, 20.5, 11.25)]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("content", "it is no JSON")),
        (b'{"shapes": [', ("content", "it is no JSON")),
        (b'{"shapes": [], "shapes": []}', ("content", "'shapes' stands twice")),
        (b'{"shapes": NaN}', ("content", "NaN is no number of JSON")),
        (b'{"shapes": "\xb2"}', ("line 1", "save the file as UTF-8")),
        (b"[" * 100_000, ("content", "it is no JSON")),
        ([], ("content: got 'list'", "begins with {")),
        ({"images": []}, ("shapes: got 'nothing'", "list of objects", "this file holds images")),
        (file(shape("circle", (5, 5), (1.5e308, 1.5e308))), ("shapes 0 points", "each x and y")),
        ({"shapes": {}}, ("shapes: got 'dict'",)),
        ({"shapes": [None]}, ("shapes 0: got None",)),
        (file(imageHeight="30"), ("imageHeight: got '30'", "whole number")),
        (file(imageWidth=-40), ("imageWidth: got -40",)),
        (file(imageWidth=40.5), ("imageWidth: got 40.5",)),
        (file(shape("polygon", (1, 1), (2, 2), (3, 1), label="")), ("shapes 0 label", "write a name")),
        (file(shape("polygon", (1, 1), (2, 2), (3, 1), label=7)), ("shapes 0 label: got 7",)),
        (file(shape("polygon", (1, 1), (2, 2), (3, 1), label="dent")), ("shapes 0 label: got 'dent'", "add an alias")),
        (file(shape("mask", (1, 1), (9, 9))), ("shapes 0 shape_type: got 'mask'", "draw one of polygon")),
        (file(shape([], (1, 1))), ("shapes 0 shape_type", "draw one of polygon")),
        (file(shape("polygon", (1, 1), (2, 2))), ("shapes 0 points: got 2", "3 points or more")),
        (file(shape("circle", (1, 1))), ("shapes 0 points: got 1", "a point of its rim")),
        (file(shape("linestrip", (1, 1))), ("shapes 0 points: got 1", "2 points or more")),
        (file(shape("polygon", (1, 1), (2, 2), (3,))), ("shapes 0 points: got [3]", "each x and y")),
        (file(shape("polygon", (1, 1), (2, 2), (3, "1"))), ("shapes 0 points", "each x and y")),
        (file(shape("polygon", (1, 1), (2, 2), (3, 10**400))), ("shapes 0 points", "each x and y")),
        (file(shape("polygon", (1, 1), (2, 2), (3, True))), ("shapes 0 points", "each x and y")),
        (file(shape("polygon", (50, 1), (60, 2), (55, 9))), ("shapes 0 points", "40 x 30 pixels")),
        (file(shape("polygon", (0.1, 0.1), (0.5, 0.2), (0.3, 0.9))), ("fractions of the side",)),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_named(raw, content, words):
    raw.label("a.json", content if isinstance(content, bytes) else json.dumps(content))
    raw.refused("a.json", *words)


def test_a_number_of_thousands_of_digits(raw):
    raw.label("a.json", b'{"shapes": [' + b"1" * 9000 + b"]}")
    raw.refused("a.json")
