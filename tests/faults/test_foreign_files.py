"""What lies in folders of users and is no fault of theirs: archives of other kinds, names in raw bytes."""

import os

import pytest

from defectbench.base.errors import ConversionError, DefectBenchError

SIGNATURES = {"plates.rar": b"Rar!\x1a\x07\x01\x00", "plates.7z": b"7z\xbc\xaf\x27\x1c\x00\x04"}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_an_archive_that_is_not_read_is_named_in_one_line(plant, name, suffix):
    (plant.home / f"{name}{suffix}").write_bytes(SIGNATURES[name] + bytes(500))
    with pytest.raises(DefectBenchError) as caught:
        plant.convert(f"{name}{suffix}")
    assert f"{name}{suffix}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert f"kind: got '{'RAR' if 'rar' in name else '7z'}'; unpack it" in str(caught.value)


def test_images_whose_names_are_bytes_of_gbk_are_named(plant):
    plates = plant.draw(count=3)
    for path in [*plates.rglob("*.png"), *plates.rglob("*.xml")]:
        folder, stem = os.fsencode(path.parent), os.fsencode(path.stem)
        os.rename(path, folder + b"/" + "划痕".encode("gbk") + stem + os.fsencode(path.suffix))
    with pytest.raises(ConversionError, match=r"file name: .*; rename it in printable characters"):
        plant.convert("plates")
