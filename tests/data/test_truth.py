"""Annotations and lists that a user wrote or changed: checked once, the same for the verbs of data and of measures."""

import codecs
import json

import pytest
from small_sets import blank_images, write_dataset

from defectbench.base.errors import MeasurementError, SplitError
from defectbench.data.coco import read_coco, read_detection, read_part
from defectbench.measure.accuracy import listed_images


def changed(folder, change):
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda c: c.pop("images"), "images: got 'NoneType'"),
        (lambda c: c["annotations"][1].update(image_id=99), "annotations 1 image_id: got 99"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2]), r"annotations 1 bbox: got \[1, 2\]"),
        (lambda c: c["annotations"][1].update(category_id=9), "annotations 1 category_id: got 9"),
        (lambda c: c["images"][0].update(width="8"), "images 0 width: got '8'"),
        (lambda c: c["images"][0].update(width=0), "images 0 width: got 0"),
        (lambda c: c["images"][0].pop("height"), "images 0 height: got 'nothing'"),
        (
            lambda c: c["images"][0].update(file_name="pit_1.png"),
            "images file_name: got 'pit_1.png",
        ),
        (lambda c: c["categories"][1].update(id=7), r"categories id: got \[0, 7\]"),
        (lambda c: c.update(images=[], annotations=[]), "images: got 0"),
    ],
)
def test_what_is_no_dataset_is_named(tmp_path, change, field):
    path = changed(write_dataset(tmp_path / "set", blank_images(3)), change)
    with pytest.raises(MeasurementError, match=rf"annotations\.json: {field}"):
        read_coco(path)


def test_content_that_is_no_object_is_named(tmp_path):
    (tmp_path / "annotations.json").write_text("[]")
    for read in (read_coco, read_detection):
        with pytest.raises(MeasurementError, match=r"annotations\.json: content: got 'list'"):
            read(tmp_path / "annotations.json")


@pytest.mark.parametrize(
    "data", [b"a.png\n\xc3\xbc.png", codecs.BOM_UTF8 + b"a.png\r\n\xc3\xbc.png\r\n\r\n"]
)
def test_lists_are_read_by_one_reader(tmp_path, data):
    (tmp_path / "test.txt").write_bytes(data)
    assert read_part(tmp_path, "test") == ["a.png", "ü.png"]
    assert listed_images(tmp_path / "test.txt") == ["a.png", "ü.png"]


def test_a_list_in_another_encoding_is_named(tmp_path):
    (tmp_path / "test.txt").write_bytes("a.png\nü.png\n".encode("latin-1"))
    for read, kind in (
        (lambda: read_part(tmp_path, "test"), SplitError),
        (lambda: listed_images(tmp_path / "test.txt"), MeasurementError),
    ):
        with pytest.raises(kind, match=r"test\.txt: line 2: .*not UTF-8"):
            read()
