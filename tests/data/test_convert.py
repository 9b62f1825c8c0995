"""Conversion of a small NEU-like folder to exact values, and one named error per broken rule."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from steel_like import card, files_of, voc, write_image, write_pair, write_steel_like

from defectbench.base.errors import BusyError, ConversionError, DiskFullError
from defectbench.base.files import exclusive_lock
from defectbench.data.convert import convert
from defectbench.data.formats.voc import read_voc

CRAZING, INCLUSION, SCALE = 0, 1, 2
OUTPUTS = {"images", "annotations.json", "conversion.json"}


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw" / "SET"


def outputs(out):
    return (
        {path.name for path in out.iterdir() if path.suffix != ".lock"} if out.exists() else set()
    )


def assert_refused(raw, tmp_path, *words, the_card=None):
    out = tmp_path / "out"
    with pytest.raises(ConversionError) as caught:
        convert(the_card or card(), raw, out)
    for word in words:
        assert word in str(caught.value)
    assert outputs(out) == set()


@pytest.fixture
def converted(raw, tmp_path):
    convert(card(), write_steel_like(raw), tmp_path / "out")
    return tmp_path / "out"


# What comes out


def test_annotations_to_the_unit(converted):
    coco = json.loads((converted / "annotations.json").read_text())
    assert coco["categories"] == [
        {"id": 0, "name": "crazing"},
        {"id": 1, "name": "inclusion"},
        {"id": 2, "name": "rolled-in_scale"},
    ]
    names = ["crazing_2.jpg", "crazing_10.jpg", "inclusion_1.jpg", "rolled-in_scale_1.jpg"]
    assert coco["images"] == [
        {"id": k, "file_name": name, "width": 40, "height": 30} for k, name in enumerate(names, 1)
    ]
    boxes = [(a["image_id"], a["category_id"], a["bbox"], a["area"]) for a in coco["annotations"]]
    assert boxes == [
        (1, CRAZING, [0, 0, 40, 30], 1200),
        (1, INCLUSION, [2, 3, 1, 1], 1),
        (2, INCLUSION, [4, 5, 6, 7], 42),
        (2, SCALE, [1, 1, 8, 8], 64),
        (3, INCLUSION, [29, 19, 11, 10], 110),
        (4, SCALE, [1, 2, 3, 3], 9),
        (4, CRAZING, [1, 2, 3, 3], 9),
    ]
    assert [a["id"] for a in coco["annotations"]] == list(range(1, 8))
    assert {a["iscrowd"] for a in coco["annotations"]} == {0}


def test_report_lists_every_repair_and_drop(converted):
    report = json.loads((converted / "conversion.json").read_text())
    assert report == {
        "dataset": "steel-like",
        "images": 4,
        "boxes_labelled": 8,
        "duplicates": 1,
        "boxes": 7,
        "boxes_per_class": {"crazing": 2, "inclusion": 3, "rolled-in_scale": 2},
        "images_without_defect": 0,
        "images_of_several_classes": 3,
        "boxes_unlike_file_name": 4,
        "coordinates": "1-based inclusive corners become 0-based: x0 = xmin - 1, x1 = xmax",
        "duplicate_boxes_dropped": [
            {"label": "crazing_2.xml", "name": "crazing", "box": [0, 0, 40, 30]}
        ],
        "boxes_clipped": [
            {"label": "inclusion_1.xml", "from": [29, 19, 45, 29], "to": [29, 19, 40, 29]}
        ],
        "labels_dropped": [],
        "names_mapped": {"rolled_in_scale": 1},
        "file_name_fields_ignored": [{"label": "crazing_2.xml", "filename": "crazing_2"}],
        "size_fields_ignored": [
            {"label": "inclusion_1.xml", "labelled": [200, 100], "decoded": [40, 30]}
        ],
        "depth_fields_ignored": 3,
        "tags_ignored": {},
        "images_without_label": [],
        "files_renamed": {},
        "identical_images": [["crazing_10.jpg", "inclusion_1.jpg"]],
        "files_ignored": ["IMAGES/._crazing_2.jpg", "IMAGES/Thumbs.db"],
    }


def test_images_keep_their_bytes(converted, raw):
    before = {Path(name).name: digest for name, digest in files_of(raw / "IMAGES").items()}
    after = files_of(converted / "images")
    assert len(after) == 4
    assert after.items() <= before.items()


def test_second_run_gives_the_same_bytes(converted, raw):
    before = files_of(converted)
    convert(card(), raw, converted)
    assert files_of(converted) == before


def test_layouts_of_other_copies_give_the_same(converted, raw, tmp_path):
    """Kaggle: small letters, parts, a folder a class; a label lies in the other part."""
    other = tmp_path / "kaggle"
    for path in sorted(p for p in raw.rglob("*") if p.is_file()):
        part = "validation" if path.name == "crazing_2.xml" else "train"
        folder = "annotations" if path.parent.name == "ANNOTATIONS" else "images/a class"
        (other / part / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / part / folder)
    convert(card(), other, tmp_path / "out2")
    first, second = files_of(converted), files_of(tmp_path / "out2")
    for lists_of_paths in (first, second):
        del lists_of_paths["conversion.json"]
    assert first == second


def test_defect_free_images_where_the_card_allows_them(raw, tmp_path):
    write_pair(raw, "clean_1")
    write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5), seed=1)
    convert(card(allow_empty=True), raw, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert (report["images"], report["boxes"], report["images_without_defect"]) == (2, 1, 1)


def test_listed_drops(raw, tmp_path):
    write_pair(raw, "crazing_1", ("d", 1, 1, 5, 5), ("crazing", 1, 1, 5, 5))
    convert(card(drop=["d"]), raw, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert report["labels_dropped"] == [{"label": "crazing_1.xml", "name": "d"}]
    assert (report["boxes_labelled"], report["boxes"]) == (2, 1)


def test_one_based_corners_become_exact_zero_based(tmp_path):
    label = tmp_path / "a.xml"
    label.write_text(voc(("crazing", 1, 2, 200, 2)))
    assert read_voc(label).boxes[0].corners == (0.0, 1.0, 200.0, 2.0)


def test_size_comes_from_the_pixels(raw, tmp_path):
    write_image(raw / "IMAGES" / "a.png", size=(33, 17))
    (raw / "ANNOTATIONS").mkdir()
    (raw / "ANNOTATIONS" / "a.xml").write_text(voc(("crazing", 1, 1, 99, 99)))
    convert(card(), raw, tmp_path / "out")
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert coco["images"][0] == {"id": 1, "file_name": "a.png", "width": 33, "height": 17}
    assert coco["annotations"][0]["bbox"] == [0, 0, 33, 17]


# What is refused


def test_unknown_class(raw, tmp_path):
    write_pair(raw, "crazing_1", ("rust", 1, 1, 5, 5))
    assert_refused(raw, tmp_path, "crazing_1.xml", "object.name", "'rust'", "crazing, inclusion")


@pytest.mark.parametrize("name", ["Crazing", "rolled in scale", ""])
def test_other_spellings_need_an_alias(raw, tmp_path, name):
    write_pair(raw, "crazing_1", (name, 1, 1, 5, 5))
    assert_refused(raw, tmp_path, "crazing_1.xml", "object.name")


def test_empty_label(raw, tmp_path):
    write_pair(raw, "crazing_1")
    assert_refused(raw, tmp_path, "crazing_1.xml", "objects", "got 0", "each image of this set")


def test_label_that_is_empty_after_drops(raw, tmp_path):
    write_pair(raw, "crazing_1", ("d", 1, 1, 5, 5))
    assert_refused(raw, tmp_path, "crazing_1.xml", "objects", the_card=card(drop=["d"]))


@pytest.mark.parametrize(
    "corners", [(41, 1, 50, 9), (1, 31, 9, 40), (-9, 1, 0, 9), (9, 1, 8, 9), (1, 9, 9, 8)]
)
def test_box_outside_the_image_or_without_area(raw, tmp_path, corners):
    write_pair(raw, "crazing_1", ("crazing", *corners))
    assert_refused(raw, tmp_path, "crazing_1.xml", "bndbox", "40 x 30 pixels")


@pytest.mark.parametrize("value", ["", "left", "nan", "inf", "1e999"])
def test_corner_that_is_no_number(raw, tmp_path, value):
    write_pair(raw, "crazing_1", ("crazing", value, 1, 5, 5))
    assert_refused(raw, tmp_path, "crazing_1.xml", "bndbox.xmin", f"got {value!r}")


def test_label_without_image(raw, tmp_path):
    write_steel_like(raw)
    (raw / "IMAGES" / "crazing_10.jpg").unlink()
    assert_refused(raw, tmp_path, "crazing_10.xml", "image", "get the image of crazing_10")


def test_image_without_label(raw, tmp_path):
    write_steel_like(raw)
    (raw / "ANNOTATIONS" / "crazing_10.xml").unlink()
    assert_refused(raw, tmp_path, "crazing_10.jpg", "label", "get the label of crazing_10")


def test_two_images_of_one_stem(raw, tmp_path):
    write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5))
    write_image(raw / "IMAGES" / "CRAZING_1.png")
    assert_refused(raw, tmp_path, "stem", "keep one")


@pytest.mark.parametrize("folder", ["IMAGES", "ANNOTATIONS"])
def test_missing_folder(raw, tmp_path, folder):
    write_steel_like(raw)
    shutil.rmtree(raw / folder)
    assert_refused(raw, tmp_path, f"in a folder {folder}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_truncated_image(raw, tmp_path, suffix, share):
    image, _ = write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5), suffix=suffix)
    data = image.read_bytes()
    image.write_bytes(data[: int(len(data) * share)])
    assert_refused(raw, tmp_path, image.name, "get a whole copy")


@pytest.mark.parametrize("lost", [1, 2, 20])
def test_jpeg_without_its_last_bytes(raw, tmp_path, lost):
    image, _ = write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5), suffix=".JPG")
    image.write_bytes(image.read_bytes()[:-lost])
    assert_refused(raw, tmp_path, "crazing_1.JPG", "get a whole copy")


@pytest.mark.parametrize("content", [b"<html>not found</html>", bytes(5000), b"\xff\xd8\xff\xd9"])
def test_file_that_is_no_image(raw, tmp_path, content):
    image, _ = write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5))
    image.write_bytes(content)
    assert_refused(raw, tmp_path, "crazing_1.jpg", "image")


def test_image_bomb(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5))
    assert_refused(raw, tmp_path, "crazing_1.jpg", "bomb")


def test_rotation_tag(raw, tmp_path):
    image, _ = write_pair(raw, "crazing_1", ("crazing", 1, 1, 5, 5))
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(image) as pixels:
        pixels.save(image, exif=exif)
    assert_refused(raw, tmp_path, "crazing_1.jpg", "EXIF orientation")


LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    "<annotation><object><name>&b;</name></object></annotation>"
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (LAUGHS, "entities are refused"),
        (OUTSIDE, "entities are refused"),
        ("", "it is not XML"),
        ("<annotation><object>", "it is not XML"),
        ('<?xml version="1.0" encoding="utf-7000"?><annotation/>', "save the file as UTF-8"),
        ("<html><object/></html>", "begins with <annotation>"),
        ("<annotation><object><bndbox/></object></annotation>", "object.name"),
        ("<annotation><object><name>crazing</name></object></annotation>", "bndbox.xmin"),
    ],
)
def test_hostile_or_damaged_label(raw, tmp_path, content, word):
    _, label = write_pair(raw, "crazing_1")
    label.write_text(content)
    assert_refused(raw, tmp_path, "crazing_1.xml", word, the_card=card(allow_empty=True))


REGISTERED = {
    "images": 4,
    "boxes_labelled": 8,
    "duplicates": 1,
    "boxes": 7,
    "boxes_per_class": {"crazing": 2, "inclusion": 3, "rolled-in_scale": 2},
}


def test_registered_counts_hold(raw, tmp_path):
    convert(card(expected=REGISTERED), write_steel_like(raw), tmp_path / "out")
    assert outputs(tmp_path / "out") == OUTPUTS


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 5},
        {"boxes_labelled": 9},
        {"duplicates": 0},
        {"boxes": 8},
        {"boxes_per_class": {"crazing": 3, "inclusion": 2, "rolled-in_scale": 2}},
    ],
)
def test_other_counts_than_registered(raw, tmp_path, wrong):
    write_steel_like(raw)
    word, value = next(iter(wrong.items()))
    assert_refused(
        raw,
        tmp_path,
        word,
        f"{value} is registered for steel-like",
        the_card=card(expected={**REGISTERED, **wrong}),
    )


def test_a_failed_run_leaves_the_old_output_as_it_was(converted, raw):
    before = files_of(converted)
    (raw / "ANNOTATIONS" / "crazing_10.xml").write_text(voc(("rust", 1, 1, 2, 2)))
    with pytest.raises(ConversionError):
        convert(card(), raw, converted)
    assert files_of(converted) == before


def test_full_disk(raw, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_steel_like(raw)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DiskFullError, match="make room"):
        convert(card(), raw, tmp_path / "out")
    assert outputs(tmp_path / "out") == set()


def test_two_runs_at_once(raw, tmp_path):
    write_steel_like(raw)
    with (
        exclusive_lock(tmp_path / "out" / ".convert.lock"),
        pytest.raises(BusyError, match="wait for that run"),
    ):
        convert(card(), raw, tmp_path / "out")
    assert outputs(tmp_path / "out") == set()


def test_the_verb_says_one_line_and_fails(raw, tmp_path):
    write_pair(raw, "crazing_1", ("rust", 1, 1, 5, 5))
    cards = Path(__file__).parents[2] / "datasets"
    program = [sys.executable, "-m", "defectbench.cli", "convert", "--raw", str(raw)]
    options = ["--card", str(cards / "demo-steel.yaml"), "--out", str(tmp_path / "out")]
    result = subprocess.run([*program, *options], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("ConversionError: ")
    assert result.stderr.count("\n") == 1
