"""Conversion: every quirk of NEU-DET on a small folder, and every fault as one named error."""

import json

import cv2
import numpy as np
import pytest

from defectbench.base.cards import DatasetCard, load_dataset_card
from defectbench.base.errors import ConversionError
from defectbench.data.convert import convert

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation><object><name>&b;</name></object></annotation>'


def label(path, *objects, file_name="other.jpg"):
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(OBJECT.format(*o) for o in objects)
    path.write_text(f"<annotation><filename>{file_name}</filename>{body}</annotation>")


def picture(path, width=200, height=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(
        str(path), np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8)
    )


@pytest.fixture
def raw(tmp_path):
    """Three images with the quirks of the real set."""
    folder = tmp_path / "raw" / "NEU-DET"
    for name in ("scratches_2.jpg", "scratches_10.JPG", "crazing_1.jpg"):
        picture(folder / "IMAGES" / name)
    labels = folder / "ANNOTATIONS"
    label(labels / "scratches_2.xml", ("scratches", 1, 1, 200, 100), ("inclusion", 5, 6, 7, 8))
    label(
        labels / "scratches_10.xml",
        ("rolled_in_scale", 3, 3, 9, 9),
        ("rolled-in_scale", 3, 3, 9, 9),
    )
    label(labels / "crazing_1.xml", ("crazing", 190, 90, 230, 130), ("d", 1, 1, 5, 5))
    return tmp_path / "raw"


def card(**changes):
    base = load_dataset_card("datasets/neu-det.yaml").model_dump()
    return DatasetCard.model_validate({**base, "drop": ["d"], "expected": None, **changes})


@pytest.fixture(autouse=True)
def at_root(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def refused(raw, out, match, **changes):
    with pytest.raises(ConversionError, match=match):
        convert(card(**changes), raw, out)
    assert not out.exists()


def test_quirks_are_repaired_and_listed(raw, tmp_path):
    out = tmp_path / "out"
    convert(card(), raw, out)
    coco = json.loads((out / "annotations.json").read_text())
    assert [i["file_name"] for i in coco["images"]] == [
        "crazing_1.jpg",
        "scratches_2.jpg",
        "scratches_10.JPG",
    ]
    assert {(i["width"], i["height"]) for i in coco["images"]} == {(200, 100)}
    boxes = [(a["image_id"], a["category_id"], a["bbox"]) for a in coco["annotations"]]
    assert boxes == [
        (1, 0, [189, 89, 11, 11]),
        (2, 5, [0, 0, 200, 100]),
        (2, 1, [4, 5, 3, 3]),
        (3, 4, [2, 2, 7, 7]),
    ]
    report = json.loads((out / "conversion.json").read_text())
    assert report["duplicate_boxes_dropped"] == [
        {"label": "scratches_10.xml", "name": "rolled-in_scale", "box": [2, 2, 9, 9]}
    ]
    assert report["boxes_clipped"][0]["to"] == [189, 89, 200, 100]
    assert report["labels_dropped"] == [{"label": "crazing_1.xml", "name": "d"}]
    assert report["names_mapped"] == {"rolled_in_scale": 1}
    for name in ("crazing_1.jpg", "scratches_10.JPG"):
        original = raw / "NEU-DET" / "IMAGES" / name
        assert (out / "images" / name).read_bytes() == original.read_bytes()


def test_unknown_class(raw, tmp_path):
    label(raw / "NEU-DET/ANNOTATIONS/crazing_1.xml", ("rust", 1, 1, 5, 5))
    refused(raw, tmp_path / "out", r"crazing_1.xml: object.name: got 'rust'; write one of crazing")


def test_label_without_objects_unless_allowed(raw, tmp_path):
    label(raw / "NEU-DET/ANNOTATIONS/crazing_1.xml")
    refused(raw, tmp_path / "out", "objects: got 0")
    convert(card(allow_empty=True), raw, tmp_path / "out")
    report = json.loads((tmp_path / "out/conversion.json").read_text())
    assert report["images_without_defect"] == 1


@pytest.mark.parametrize("box", [(201, 5, 240, 9), (9, 9, 4, 20), (5, 120, 9, 130)])
def test_box_outside_the_image(raw, tmp_path, box):
    label(raw / "NEU-DET/ANNOTATIONS/crazing_1.xml", ("crazing", *box))
    refused(raw, tmp_path / "out", "bndbox.*needs an area inside")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (BOMB, "entities are refused"),
        ("<annotation><object>", "not XML"),
        ("", "not XML"),
        ("<annotation><object><bndbox/></object></annotation>", "object.name"),
        ("<annotation><object><name>crazing</name></object></annotation>", "bndbox.xmin"),
    ],
)
def test_bad_label_file(raw, tmp_path, text, match):
    (raw / "NEU-DET/ANNOTATIONS/crazing_1.xml").write_text(text)
    refused(raw, tmp_path / "out", match)


@pytest.mark.parametrize("cut", [0, 40, -20])
def test_corrupt_jpeg(raw, tmp_path, cut):
    path = raw / "NEU-DET/IMAGES/crazing_1.jpg"
    path.write_bytes(path.read_bytes()[:cut])
    refused(raw, tmp_path / "out", "crazing_1.jpg: image")


def test_label_without_image_and_image_without_label(raw, tmp_path):
    (raw / "NEU-DET/IMAGES/crazing_1.jpg").rename(raw / "NEU-DET/IMAGES/crazing_9.jpg")
    refused(
        raw, tmp_path / "out", "crazing_1.xml: image|crazing_9.jpg: label|each image needs a label"
    )


def test_stem_that_occurs_twice(raw, tmp_path):
    picture(raw / "NEU-DET/IMAGES/CRAZING_1.png")
    refused(raw, tmp_path / "out", "stem")


def test_counts_that_are_not_the_registered_ones(raw, tmp_path):
    expected = {"images": 3, "boxes": 5, "duplicates": 1}
    refused(raw, tmp_path / "out", "boxes: got 4; 5 are registered", expected=expected)


def test_empty_folder(tmp_path):
    (tmp_path / "raw").mkdir()
    refused(tmp_path / "raw", tmp_path / "out", "expected files in a folder")
