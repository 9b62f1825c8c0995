"""What libraries raise on damaged input, as one named error."""

import errno
import tarfile
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from defectbench.base.errors import ArchiveError, ConversionError, PackError
from defectbench.data.coco import read_grey
from defectbench.data.damage import damage_named
from defectbench.data.pack import read_rgb
from defectbench.data.pairing import decode

SUFFIXES = ("png", "jpg", "bmp", "tif")


@pytest.mark.parametrize(
    "error",
    [
        zipfile.BadZipFile("no magic"),
        tarfile.ReadError("short"),
        OSError(errno.EINVAL, "Invalid argument"),
        OSError("no number"),
        OverflowError("too large"),
        cv2.error("assertion"),
        Image.DecompressionBombError("bomb"),
        IndexError("beyond"),
        EOFError(),
    ],
)
def test_damage_names_the_file_its_first_bytes_and_what_was_said(tmp_path, error):
    path = tmp_path / "set.zip"
    path.write_bytes(b"PK and more")
    with pytest.raises(ArchiveError) as caught, damage_named(path, ArchiveError, "content", "mend"):
        raise error
    said = str(caught.value)
    assert "set.zip: content" in said
    assert str(error) in said
    assert "b'PK and more'" in said
    assert said.endswith("mend")
    assert caught.value.__cause__ is error


def test_what_stands_in_the_place_of_a_file_is_told(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ConversionError, match=r"image: got 'a pointer of Git LFS'; .*git lfs pull"):
        decode(path)
    path.write_bytes(b"")
    with pytest.raises(ConversionError, match="image: got 'an empty file'; get a whole copy"):
        decode(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE])
def test_fault_of_the_machine_stays_what_it_is(tmp_path, number):
    path = tmp_path / "set.zip"
    path.touch()
    with pytest.raises(OSError, match="machine"), damage_named(path, ArchiveError, "content", ""):
        raise OSError(number, "machine")


def test_named_errors_pass_through(tmp_path):
    inner = PackError(tmp_path, "field", 1, "fix")
    with pytest.raises(PackError), damage_named(tmp_path, ArchiveError, "content", ""):
        raise inner


def test_image_of_more_pixels_than_a_decoder_takes(tmp_path):
    path = tmp_path / "plate.bmp"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[18:26] = (2**30).to_bytes(4, "little") * 2  # width, height
    path.write_bytes(data)
    for read, kind in (
        (decode, ConversionError),
        (read_grey, ConversionError),
        (read_rgb, PackError),
    ):
        with pytest.raises(kind, match=r"plate\.bmp: image"):
            read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SUFFIXES), st.integers(0, 10**6), st.integers(1, 255), st.floats(0, 1))
@example("png", 20, 128, 1.0)
def test_any_damaged_image_is_read_or_named(tmp_path_factory, suffix, at, bits, share):
    path = tmp_path_factory.mktemp("flip") / f"plate.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 17), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= bits
    path.write_bytes(data[: max(1, round(share * len(data)))])
    for read, kind in (
        (decode, ConversionError),
        (read_grey, ConversionError),
        (read_rgb, PackError),
    ):
        said = path.name
        try:
            read(path)
        except kind as error:
            said = str(error)
        assert path.name in said
