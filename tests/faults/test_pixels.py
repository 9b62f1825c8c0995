"""Pixels that packs cannot hold as they are: refused by name, never cut to what is left of them."""

import numpy as np
import pytest
from PIL import Image

from defectbench.base.errors import ConversionError
from defectbench.data.pack import read_rgb
from defectbench.data.pairing import decode

GREY = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def save_grey16(path):
    Image.fromarray(GREY).save(path)


def save_colour16(path):
    import cv2

    assert cv2.imwrite(str(path), np.stack([GREY] * 3, axis=-1) * 16)


def save_int32(path):
    Image.fromarray(GREY.astype(np.int32)).save(path)


def save_float(path):
    Image.fromarray(GREY.astype(np.float32)).save(path)


@pytest.mark.parametrize(
    ("save", "name", "depth"),
    [
        (save_grey16, "a.png", "16 bits"),
        (save_colour16, "a.png", "16 bits"),
        (save_grey16, "a.tif", "16 bits"),
        (save_colour16, "a.tiff", "16 bits"),
        (save_int32, "a.tif", "32 bits"),
        (save_float, "a.tif", "32 bits"),
    ],
)
def test_more_than_eight_bits_are_refused(tmp_path, save, name, depth):
    save(tmp_path / name)
    with pytest.raises(
        ConversionError, match=rf"{name}: depth of pixels: got '{depth}'; save it with 8"
    ):
        decode(tmp_path / name)


def test_deep_pixels_under_another_suffix(tmp_path):
    save_grey16(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    with pytest.raises(ConversionError, match="depth of pixels: got '16 bits'"):
        decode(tmp_path / "a.jpg")


@pytest.mark.parametrize("marker", [b"\xc1", b"\xc2", b"\xc3", b"\xf7"])
@pytest.mark.parametrize("bits", [12, 16])
def test_a_jpeg_of_more_than_eight_bits_is_told_its_depth(tmp_path, bits, marker):
    path = tmp_path / "a.jpg"
    with Image.fromarray((GREY // 16).astype(np.uint8)) as image:
        image.save(path, exif=b"Exif\0\0" + b"\xff\xc0\0\x0b\x08" * 20, quality=95)
    jpeg = path.read_bytes()
    at = jpeg.rindex(b"\xff\xc0")
    path.write_bytes(
        jpeg[: at + 1] + marker + jpeg[at + 2 : at + 4] + bytes([bits]) + jpeg[at + 5 :]
    )
    with pytest.raises(ConversionError, match=rf"depth of pixels: got '{bits} bits'; save it with"):
        decode(path)
    path.write_bytes(jpeg)
    assert decode(path).width == 64


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIF"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"\n<!DOCTYPE HTML><html>404", "a web page"),
        (b"<svg width='9'/>", "XML"),
    ],
)
def test_what_is_no_image_of_ours_is_told_by_its_kind(tmp_path, head, kind):
    (tmp_path / "a.jpg").write_bytes(head + bytes(99))
    with pytest.raises(ConversionError, match=f"kind of image: got '{kind}'; save it as PNG"):
        decode(tmp_path / "a.jpg")


def test_a_set_of_a_twelve_bit_camera_is_refused(plant):
    plates = plant.draw(count=3)
    for path in (plates / "IMAGES").iterdir():
        with Image.open(path) as image:
            pixels = np.asarray(image).astype(np.uint16) * 16
        Image.fromarray(pixels).save(path)
    with pytest.raises(ConversionError, match=r"plate_0\.png: depth of pixels"):
        plant.convert("plates")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_eight_bits_and_fewer_are_read(tmp_path, mode):
    grey = (GREY // 16).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    assert (decode(tmp_path / "a.png").width, read_rgb(tmp_path / "a.png").shape) == (
        64,
        (64, 64, 3),
    )


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tif", "1"), ("a.tif", "RGB"), ("a.jpg", "CMYK"), ("a.webp", "RGB")]
)
def test_other_formats_of_eight_bits_are_read(tmp_path, name, mode):
    Image.fromarray((GREY // 16).astype(np.uint8)).convert(mode).save(tmp_path / name)
    assert (decode(tmp_path / name).height, read_rgb(tmp_path / name).shape) == (64, (64, 64, 3))


def test_grey_levels_come_through_unchanged(tmp_path):
    grey = (GREY // 16).astype(np.uint8)
    for name in ("a.png", "a.bmp", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        assert np.array_equal(read_rgb(tmp_path / name)[..., 0], grey)


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.png"])
def test_several_pages_are_refused(tmp_path, name):
    pages = [Image.fromarray(np.full((8, 8), level, np.uint8)).convert("RGB") for level in (0, 200)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], lossless=True)
    with pytest.raises(ConversionError, match=rf"{name}: pages: got 2; one picture a file"):
        decode(tmp_path / name)


@pytest.mark.parametrize("form", ["GIF", "PPM", "JPEG2000", "TGA"])
def test_another_kind_of_image_under_a_suffix_that_is_read(tmp_path, form):
    Image.fromarray((GREY // 16).astype(np.uint8)).save(tmp_path / "a.png", form)
    with pytest.raises(
        ConversionError, match=rf"a\.png: kind of image: got '{form}'; save it as PNG"
    ):
        decode(tmp_path / "a.png")


def test_a_tiff_that_is_not_opaque_is_refused(tmp_path):
    """OpenCV multiplies its pixels by alpha: 200 would be packed as 31."""
    for alpha in (40, 255):
        pixels = np.full((8, 8, 4), 200, np.uint8)
        pixels[..., 3] = alpha
        Image.fromarray(pixels).save(tmp_path / f"{alpha}.tif")
        Image.fromarray(pixels).save(tmp_path / f"{alpha}.png")
    with pytest.raises(ConversionError, match=r"40\.tif: alpha: .*save it without alpha"):
        decode(tmp_path / "40.tif")
    for name in ("255.tif", "40.png"):
        assert decode(tmp_path / name).channels == 4
        assert (read_rgb(tmp_path / name) == 200).all()
