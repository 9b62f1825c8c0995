"""COCO: boxes, polygons and run lengths of one file or several; images and entries answer each other."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from .small_raw import Raw

CATEGORIES = [{"id": 7, "name": "pit"}, {"id": 2, "name": "scratch", "supercategory": "x"}]


def entry(image=1, category=7, **fields):
    return {"id": 5, "image_id": image, "category_id": category, "area": 1, "iscrowd": 0} | fields


def box(*numbers, **fields):
    return entry(bbox=list(numbers), **fields)


def file(*annotations, images=("a.png",), **fields):
    listed = [
        {"id": n, "file_name": name, "width": 40, "height": 30} for n, name in enumerate(images, 1)
    ]
    content = {"images": listed, "categories": CATEGORIES, "annotations": list(annotations)}
    return content | fields


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "coco")
    raw.image("a.png")
    return raw


def test_a_box_is_corner_and_sides(raw):
    raw.label("all.json", file(box(3, 4.5, 10, 6), box(0, 0, 40, 30, category=2)))
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 3, 4.5, 13, 10.5), ("scratch", 0, 0, 40, 30)]}
    assert "shapes_boxed" not in report
    assert report["tags_ignored"] == {}


def test_a_polygon_stands_in_where_there_is_no_box(raw):
    outline = [[5, 4, 20, 6, 9, 11], [30, 2, 31, 2, 31, 3]]
    raw.label("all.json", file(entry(segmentation=outline), box(1, 1, 2, 2, segmentation=outline)))
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 5, 2, 31, 11), ("pit", 1, 1, 3, 3)]}
    assert report["shapes_boxed"] == {"segmentation": 1}


MASKS = {
    "block": np.s_[4:11, 5:20],
    "column": np.s_[3:9, 6:7],
    "all": np.s_[:, :],
    "corner": np.s_[29:, 39:],
    "dot": np.s_[0:1, 0:1],
}


@pytest.mark.parametrize("form", ["list", "letters"])
@pytest.mark.parametrize("name", MASKS)
def test_run_lengths_as_the_library_of_coco_writes_them(raw, name, form):
    rows, columns = MASKS[name]
    pixels = np.zeros((30, 40), np.uint8, order="F")
    pixels[rows, columns] = 1
    letters = coco_mask.encode(pixels)
    counts = letters["counts"].decode()
    if form == "list":
        flat = pixels.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = [int(n) for n in np.diff([0, *edges, flat.size])]
        counts = [0, *counts] if flat[0] else counts
    raw.label("all.json", file(entry(segmentation={"size": [30, 40], "counts": counts}, iscrowd=0)))
    x, y, width, height = coco_mask.toBbox(letters).tolist()
    assert raw.convert()[0] == {"a.png": [("pit", x, y, x + width, y + height)]}


def test_names_with_folders_and_in_several_files(raw):
    raw.image("x/b.png")
    raw.image("y/b.png")
    raw.label("one.json", file(box(1, 1, 2, 2), images=["images/a.jpg"]))
    raw.label(
        "two.json",
        file(box(1, 1, 3, 3), box(1, 1, 4, 4, image=2), images=["x\\b.png", "set/images/y/b.png"]),
    )
    boxes, report = raw.convert()
    assert boxes == {
        "a.png": [("pit", 1, 1, 3, 3)],
        "x-b.png": [("pit", 1, 1, 4, 4)],
        "y-b.png": [("pit", 1, 1, 5, 5)],
    }
    assert set(report["files_renamed"].values()) == {"x-b.png", "y-b.png"}


def test_categories_are_mapped_by_the_card(raw):
    categories = [{"id": 0, "name": "defects"}, {"id": 1, "name": "Pit"}, {"id": 2, "name": "dust"}]
    raw.label(
        "all.json",
        file(box(1, 1, 2, 2, category=1), box(1, 1, 3, 3, category=2), categories=categories),
    )
    boxes, report = raw.convert(drop=["dust"])
    assert boxes == {"a.png": [("pit", 1, 1, 3, 3)]}
    assert report["names_mapped"] == {"Pit": 1}
    assert report["labels_dropped"] == [{"label": "all.json: a.png", "name": "dust"}]
    raw.refused("annotations 1 category_id: got 'dust'", "add an alias")


def test_what_becomes_of_crowds_stands_on_the_card(raw, capsys):
    raw.label("all.json", file(box(1, 1, 2, 2), box(5, 5, 9, 9, iscrowd=1)))
    raw.refused("annotations 1 bbox: got 'iscrowd'", "`difficult: keep`, `drop` or `ignore`")
    small, crowd = ("pit", 1, 1, 3, 3), ("pit", 5, 5, 14, 14)
    raw.layout["difficult"] = "keep"
    assert raw.convert()[0] == {"a.png": [small, crowd]}
    raw.layout["difficult"] = "ignore"
    boxes, report = raw.convert()
    assert boxes == {"a.png": [small, (*crowd, "ignored")]}
    assert report["apart_ignored"] == [{"label": "all.json: a.png", "name": "pit"}]
    raw.layout["difficult"] = "drop"
    boxes, report = raw.convert()
    assert boxes == {"a.png": [small]}
    assert report["apart_dropped"] == [{"label": "all.json: a.png", "name": "pit"}]
    assert "1 objects set apart by their labels and dropped" in capsys.readouterr().out


def test_an_image_without_entry_and_an_entry_without_image(raw):
    raw.label("all.json", file(box(1, 1, 2, 2), images=["a.png", "b.png"]))
    raw.refused("images 1 file_name: got 'b.png'", "it is not among the images")
    raw.label("all.json", file(box(1, 1, 2, 2)))
    raw.image("c.png")
    raw.refused("c.png", "label", "no file lists it (1 images are in none)")
    assert raw.convert(allow_empty=True, unlabelled_are_empty=True)[0]["c.png"] == []
    raw.layout["drop_images"] = ["unlabelled"]
    boxes, report = raw.convert()
    assert list(boxes) == ["a.png"]
    assert report["images_dropped"] == [{"file": "set/images/c.png", "why": "no label"}]


def test_an_entry_without_objects_is_free_of_defects_where_the_card_allows_it(raw):
    raw.label("all.json", file())
    raw.refused("all.json", "each image of this set shows a defect")
    assert raw.convert(allow_empty=True)[0] == {"a.png": []}


def test_an_image_that_two_files_list(raw):
    raw.label("one.json", file(box(1, 1, 2, 2)))
    raw.label("two.json", file(box(1, 1, 2, 2)))
    raw.refused("two.json", "images 0 file_name", "one.json has it already")


def test_labels_made_for_another_size(raw):
    images = [
        {"id": n, "file_name": f"{name}.png", "width": 80, "height": 60}
        for n, name in enumerate("ab", 1)
    ]
    raw.image("b.png")
    raw.label(
        "all.json", file(box(1, 1, 2, 2), box(1, 1, 2, 2, image=2), images=[]) | {"images": images}
    )
    raw.refused("all.json: a.png: size: got '80 x 60'", "its image has 40 x 30 pixels")


RUNS = {"size": [30, 40], "counts": [10, 20, 1170]}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (box(1, 1, 2), ("annotations 0 bbox", "x, y, width and height")),
        (box(1, 1, -2, 2), ("annotations 0 bbox", "above 0")),
        (box(1, 1, 0, 2), ("annotations 0 bbox", "above 0")),
        (box(1, 1, "2", 2), ("annotations 0 bbox", "finite numbers")),
        (box(1, 1, 10**400, 2), ("annotations 0 bbox", "finite numbers")),
        (box(41, 1, 2, 2), ("annotations 0 bbox", "40 x 30 pixels")),
        (box(0.1, 0.1, 0.2, 0.2), ("annotations 0 bbox", "fractions of the side")),
        (entry(), ("annotations 0 segmentation: got 'nothing'", "needs a `bbox`")),
        (entry(segmentation=[[1, 1, 2, 2]]), ("annotations 0 segmentation: got 4", "3 points")),
        (entry(segmentation=[7]), ("annotations 0 segmentation: got 7",)),
        (entry(segmentation=RUNS | {"size": [40, 30]}), ("segmentation size", "here 30 and 40")),
        (entry(segmentation=RUNS | {"size": "x"}), ("segmentation size: got 'x'",)),
        (entry(segmentation=RUNS | {"counts": [10, 20]}), ("segmentation counts: got 30", "1200 pixels")),
        (entry(segmentation=RUNS | {"counts": [1200]}), ("segmentation counts: got 'no pixel'",)),
        (entry(segmentation=RUNS | {"counts": [10, -20, 1210]}), ("segmentation counts",)),
        (entry(segmentation=RUNS | {"counts": "0é"}), ("segmentation counts: got '0é'",)),
        (entry(segmentation=RUNS | {"counts": "T"}), ("segmentation counts: got 'T'",)),
        (entry(segmentation=RUNS | {"counts": None}), ("segmentation counts: got 'None'",)),
        (box(1, 1, 2, 2, image=3), ("annotations 0 image_id: got 3", "lists no such entry")),
        (box(1, 1, 2, 2, category=3), ("annotations 0 category_id: got 3", "lists no such entry")),
        (box(1, 1, 2, 2, image="1"), ("annotations 0 image_id: got '1'", "whole number")),
        (box(1, 1, 2, 2, iscrowd="no"), ("annotations 0 iscrowd: got 'no'", "0 or 1")),
    ],
)  # fmt: skip
def test_an_object_that_is_none_is_named(raw, annotation, words):
    raw.label("all.json", file(annotation))
    raw.refused("all.json", *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"shapes": []}, ("categories: got 'nothing'",)),
        (file(images=[]) | {"images": 3}, ("images: got 'int'",)),
        (file() | {"images": [{"id": 1}]}, ("images 0 file_name: got None", "write a name")),
        (file() | {"images": [{"id": "1", "file_name": "a.png"}]}, ("images 0 id: got '1'",)),
        (file(images=["a.png", "a.png"]), ("images 1 file_name", "list each image once")),
        (file() | {"images": 2 * [{"id": 1, "file_name": "a.png"}]}, ("images 1 id: got 1", "stands twice")),
        (file() | {"categories": 2 * [{"id": 1, "name": "pit"}]}, ("categories 1 id: got 1",)),
        (file() | {"categories": [{"id": 1, "name": " "}]}, ("categories 0 name",)),
        (file() | {"images": [{"id": 1, "file_name": "a.png", "width": "40"}]}, ("images 0 width",)),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_named(raw, content, words):
    raw.label("all.json", json.dumps(content))
    raw.refused("all.json", *words)
