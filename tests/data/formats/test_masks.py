"""Masks: each connected component of a value becomes a box; values, loss and least area stand on the card."""

import numpy as np
import pytest
from PIL import Image

from .small_raw import SIZE, Raw

INDICES = {"values": {"pit": 1, "scratch": 5}}
COLOURS = {"values": {"pit": [255, 0, 0], "scratch": [255, 0, 255]}}


def indices(*parts):
    """Index by pixel; a part is a value and its rows and columns."""
    pixels = np.zeros(SIZE[::-1], np.uint8)
    for value, area in parts:
        pixels[area] = value
    return pixels


def colours(*parts):
    pixels = np.zeros((*SIZE[::-1], 3), np.uint8)
    for value, area in parts:
        pixels[area] = value
    return pixels


def write(raw, pixels, name="a.png", **options):
    path = raw.home / "labels" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "masks", mask=INDICES)
    raw.image("a.jpg")
    return raw


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_components_become_boxes(raw, suffix):
    write(
        raw,
        indices((1, np.s_[3:5, 4:9]), (1, np.s_[20:, 30:]), (5, np.s_[3:5, 9:12])),
        f"a.{suffix}",
    )
    boxes, report = raw.convert()
    assert boxes == {
        "a.jpg": [("pit", 4, 3, 9, 5), ("pit", 30, 20, 40, 30), ("scratch", 9, 3, 12, 5)]
    }
    assert report["coordinates"].startswith("a box is the columns and rows")
    assert "colours_read_as_nearest" not in report


def test_pixels_that_touch_at_a_corner_are_one(raw):
    write(raw, indices((1, np.s_[3:5, 4:6]), (1, np.s_[5:7, 6:8])))
    assert raw.convert()[0] == {"a.jpg": [("pit", 4, 3, 8, 7)]}


def test_small_components_are_left_out_and_listed(raw, capsys):
    raw.layout["mask"] = INDICES | {"least_area": 4}
    write(raw, indices((1, np.s_[3:5, 4:6]), (1, np.s_[10, 10:13])))
    boxes, report = raw.convert()
    assert boxes == {"a.jpg": [("pit", 4, 3, 6, 5)]}
    assert report["components_left_out"] == [
        {"label": "a.png", "name": "pit", "box": [10, 10, 13, 11], "area": 3}
    ]
    assert "1 components of masks left out" in capsys.readouterr().out


def test_the_indices_of_a_palette(raw):
    image = Image.fromarray(indices((5, np.s_[3:5, 4:6]))).convert("P")
    image.putpalette([200, 100, 50] * 256)
    image.putdata(list(indices((5, np.s_[3:5, 4:6])).ravel()))
    (raw.home / "labels").mkdir()
    image.save(raw.home / "labels" / "a.png")
    assert raw.convert()[0] == {"a.jpg": [("scratch", 4, 3, 6, 5)]}


def test_black_and_white_of_one_bit(raw):
    write(raw, indices((1, np.s_[3:5, 4:6])).astype(bool))
    assert raw.convert()[0] == {"a.jpg": [("pit", 4, 3, 6, 5)]}


@pytest.mark.parametrize("mode", ["RGB", "LA", "RGBA"])
def test_indices_in_equal_channels_or_with_alpha(raw, mode):
    (raw.home / "labels").mkdir()
    image = Image.fromarray(indices((5, np.s_[3:5, 4:6]))).convert(mode)
    image.save(raw.home / "labels" / "a.png")
    assert raw.convert()[0] == {"a.jpg": [("scratch", 4, 3, 6, 5)]}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours(raw, mode):
    raw.layout["mask"] = COLOURS
    pixels = colours(([255, 0, 0], np.s_[3:5, 4:9]), ([255, 0, 255], np.s_[9:12, 4:9]))
    (raw.home / "labels").mkdir()
    Image.fromarray(pixels).convert(mode).save(raw.home / "labels" / "a.png")
    assert raw.convert()[0] == {"a.jpg": [("pit", 4, 3, 9, 5), ("scratch", 4, 9, 9, 12)]}


def test_another_background(raw):
    raw.layout["mask"] = {"values": {"pit": 0, "scratch": 5}, "background": 255}
    write(raw, indices((255, np.s_[:, :]), (0, np.s_[3:5, 4:6])))
    assert raw.convert()[0] == {"a.jpg": [("pit", 4, 3, 6, 5)]}


def test_a_mask_saved_with_loss(raw, capsys):
    raw.layout["mask"] = COLOURS | {"tolerance": 120, "least_area": 12}
    pixels = colours(([255, 0, 0], np.s_[8:16, 8:24]), ([255, 0, 255], np.s_[16:, 32:]))
    write(raw, pixels, "a.jpg", quality=90, subsampling=0)
    boxes, report = raw.convert()
    assert boxes == {"a.jpg": [("pit", 8, 8, 24, 16), ("scratch", 32, 16, 40, 30)]}
    (entry,) = report["colours_read_as_nearest"]
    assert entry["label"] == "a.jpg"
    assert entry["pixels"] > 0
    assert 0 < entry["farthest"] <= 120
    assert "1 masks with pixels that are read as the nearest value" in capsys.readouterr().out


def test_a_value_that_means_nothing_is_named(raw):
    write(raw, indices((1, np.s_[3:5, 4:6]), (7, np.s_[9, 9:12])))
    raw.refused("a.png", "pixels: got 7", "3 pixels are of no value", "raise `tolerance`")
    raw.layout["mask"] = COLOURS | {"tolerance": 9}
    write(raw, colours(([10, 0, 0], np.s_[9, 9:12]), ([255, 9, 0], np.s_[3, 3])))
    raw.refused("a.png", "pixels: got [10, 0, 0]", "3 pixels are of no value")


def test_a_mask_of_another_size(raw):
    write(raw, np.zeros((30, 41), np.uint8))
    raw.refused("a.png", "size: got '41 x 30'", "its image has 40 x 30 pixels")


def test_colours_where_indices_are_told(raw):
    write(raw, colours(([255, 0, 0], np.s_[3:5, 4:9])))
    raw.refused("a.png", "channels: got 3", "write colours in the card's `mask`")


def test_a_blank_mask_is_free_of_defects_where_the_card_allows_it(raw):
    write(raw, indices())
    raw.refused("a.png", "each image of this set shows a defect")
    assert raw.convert(allow_empty=True)[0] == {"a.jpg": []}


def test_masks_beside_their_images_have_an_ending_of_their_own(tmp_path):
    raw = Raw(tmp_path, "masks", mask=INDICES, images=["."], labels=["."], label_ending="_label")
    for name in ("kos01/Part0", "kos02/Part0"):
        raw.image(f"../{name}.png")
        write(raw, indices((1, np.s_[3:5, 4:6])), f"../{name}_label.bmp")
    boxes, _ = raw.convert()
    assert boxes == {f"{k}-Part0.png": [("pit", 4, 3, 6, 5)] for k in ("kos01", "kos02")}


def test_jpeg_is_the_image_where_a_folder_holds_both(tmp_path):
    raw = Raw(tmp_path, "masks", mask=INDICES, images=["images"], labels=["images"])
    raw.image("a.jpg")
    Image.fromarray(indices((1, np.s_[3:5, 4:6]))).save(raw.home / "images" / "a.png")
    assert raw.convert()[0] == {"a.jpg": [("pit", 4, 3, 6, 5)]}


def test_a_mask_without_image(raw):
    write(raw, indices((1, np.s_[3:5, 4:6])))
    write(raw, indices((1, np.s_[3:5, 4:6])), "b.png")
    raw.refused("b.png", "get the image of b")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "get a whole copy"),
        (b"<html>", "kind of image: got 'a web page'"),
        (b"\x89PNG\r\n\x1a\n", "get a whole copy"),
    ],
)
def test_a_file_that_is_no_mask(raw, content, told):
    raw.label("a.png", content)
    raw.refused("a.png", told)


def test_16_bits_are_refused(raw):
    write(raw, np.zeros((30, 40), np.uint16))
    raw.refused("a.png", "depth of pixels")
