"""Files are known by their hashes."""

import pytest

from defectbench.base.errors import WeightsError
from defectbench.base.files import sha256_file
from defectbench.weights.files import find_files


@pytest.fixture
def folder(tmp_path):
    for name in ("net.param", "net.bin", "other.bin"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_file_may_bear_any_name(folder):
    hashes = {
        ".param": sha256_file(folder / "net.param"),
        ".bin": sha256_file(folder / "other.bin"),
    }
    files = find_files(hashes, folder)
    assert files == {".param": folder / "net.param", ".bin": folder / "other.bin"}


def test_one_of_the_files_leads_to_the_other(folder):
    hashes = {s: sha256_file(folder / f"net{s}") for s in (".param", ".bin")}
    for name in ("net.param", "net.bin"):
        assert find_files(hashes, folder / name)[".bin"] == folder / "net.bin"
    with pytest.raises(WeightsError, match=r"other.bin: .param file: got 'no file"):
        find_files(hashes, folder / "other.bin")


def test_another_file_is_refused_by_its_hash(folder):
    """A file of the same network that wants another input looks like this one and must not be taken for it."""
    with pytest.raises(
        WeightsError, match=r"got 'net.bin \(.{8}\), other.bin \(.{8}\)'; .* 00000000"
    ):
        find_files({".bin": "0" * 64}, folder)
    with pytest.raises(WeightsError, match=r"no file that ends in \.pth"):
        find_files({".pth": "0" * 64}, folder)
    with pytest.raises(WeightsError, match="folder: got 'nothing'"):
        find_files({".pth": "0" * 64}, folder / "none")
