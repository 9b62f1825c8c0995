"""Lists of hashes: what is verified, and what is said of a file that differs."""

import gzip
import hashlib

import pytest

from defectbench.base.errors import ConfigError, HashMismatchError
from defectbench.data.manifest import read_manifest, verify


def write_list(path, files):
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return path


def write_files(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


FILES = {"IMAGES/a b.jpg": b"one", "ANNOTATIONS/a.xml": b"two"}


def test_files_are_known_by_name_in_any_folder(tmp_path):
    manifest = write_list(tmp_path / "list.gz", FILES)
    raw = write_files(tmp_path / "raw", {"x/train/a b.jpg": b"one", "a.xml": b"two", "c": b""})
    assert verify(manifest, raw) == {"verified_files": 2, "unlisted_files": 1}


def test_only_files_that_are_wanted_are_asked_for(tmp_path):
    manifest = write_list(tmp_path / "list.gz", {**FILES, "LICENSE": b"three"})
    raw = write_files(tmp_path / "raw", {"a b.jpg": b"one"})
    found = verify(manifest, raw, lambda path: path.parts[0] == "IMAGES")
    assert found == {"verified_files": 1, "unlisted_files": 0}


def test_names_that_occur_twice_are_known_by_name_and_folder(tmp_path):
    files = {"crease/a.jpg": b"one", "oil/a.jpg": b"two"}
    manifest = write_list(tmp_path / "list.gz", files)
    assert verify(manifest, write_files(tmp_path / "raw" / "SET", files))["verified_files"] == 2
    write_files(tmp_path / "raw" / "SET", {"oil/a.jpg": b"one"})
    with pytest.raises(HashMismatchError, match=r"SET/oil/a\.jpg: sha256"):
        verify(manifest, tmp_path / "raw" / "SET" / "..")


def test_each_copy_of_a_file_must_agree(tmp_path):
    manifest = write_list(tmp_path / "list.gz", FILES)
    raw = write_files(tmp_path / "raw", {**FILES, "other/a.xml": b"2"})
    with pytest.raises(HashMismatchError, match=r"other/a\.xml: sha256: got .* is registered"):
        verify(manifest, raw)


def test_missing_file(tmp_path):
    manifest = write_list(tmp_path / "list.gz", FILES)
    with pytest.raises(HashMismatchError, match=r"a b\.jpg: file: got 'nothing'; list\.gz lists"):
        verify(manifest, write_files(tmp_path / "raw", {"a.xml": b"two"}))


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"no gzip", "manifest"),
        (gzip.compress(f"{DIGEST}  a\n".encode(), mtime=0)[:-9], "manifest"),
        (gzip.compress(b"\xff\xff", mtime=0), "manifest"),
        (gzip.compress(f"{DIGEST}  a\n{DIGEST} b\n".encode(), mtime=0), "line 2"),
        (gzip.compress(f"{DIGEST}  a\n{DIGEST}  a\n".encode(), mtime=0), "line 2"),
        (gzip.compress(f"{DIGEST[1:]}  a\n".encode(), mtime=0), "line 1"),
    ],
)
def test_damaged_list(tmp_path, content, word):
    path = tmp_path / "list.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"list\.gz: {word}"):
        read_manifest(path)


def test_missing_list(tmp_path):
    with pytest.raises(ConfigError, match="manifest"):
        read_manifest(tmp_path / "list.gz")


def test_a_file_that_is_not_listed_is_an_error_where_only_listed_ones_are_of_the_set(tmp_path):
    manifest = write_list(tmp_path / "list.gz", FILES)
    raw = write_files(tmp_path / "raw", {**FILES, "IMAGES/._a b.jpg": b"of a system"})
    assert verify(manifest, raw, listed_only=True)["verified_files"] == 2
    write_files(raw, {"IMAGES/c.jpg": b"another"})
    assert verify(manifest, raw)["unlisted_files"] == 2
    with pytest.raises(HashMismatchError, match=r"IMAGES/c\.jpg: file: got 'not listed'"):
        verify(manifest, raw, listed_only=True)
