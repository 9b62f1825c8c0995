"""Extraction of whole archives, and of every attack that a stranger may pack."""

import bz2
import errno
import gzip
import io
import lzma
import random
import shutil
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from defectbench.base.errors import ArchiveError, DiskFullError, FileAccessError
from defectbench.base.files import atomic_directory
from defectbench.data import archives
from defectbench.data.archives import extract_into, names_encoding

FILES = {"SET/IMAGES/a.png": b"pixels", "SET/ANNOTATIONS/a.xml": b"<annotation/>"}


def extract(archive, out_dir, **options):
    """Unpack as a whole or not at all, as the acquisition of a dataset does."""
    with atomic_directory(out_dir) as part:
        return extract_into(archive, part, **options)


def make_zip(path, files=FILES, mode=stat.S_IFREG | 0o644, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = compression
            archive.writestr(info, data)
    return path


def tar_bytes(files=FILES, **changes):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_refused(archive, tmp_path, *words, **options):
    """One named error that names the file; nothing is left, an old folder is untouched."""
    out = tmp_path / "out"
    for old in (False, True):
        if old:
            out.mkdir()
            (out / "old").write_bytes(b"stays")
        with pytest.raises(ArchiveError) as caught:
            extract(archive, out, **options)
        assert archive.name in str(caught.value)
        for word in words:
            assert word in str(caught.value)
        assert (contents(out) if out.exists() else {}) == ({"old": b"stays"} if old else {})
        assert {path.name for path in tmp_path.iterdir()} <= {archive.name, "out"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tar_comes_out_whole(tmp_path, compress):
    archive = tmp_path / "set.tar"
    archive.write_bytes(compress(tar_bytes()))
    assert extract(archive, tmp_path / "out") == 2
    assert contents(tmp_path / "out") == FILES


def test_zip_comes_out_whole_and_replaces_the_old_folder(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    assert extract(make_zip(tmp_path / "set.zip"), out) == 2
    assert contents(out) == FILES


def test_only_wanted_members_are_written(tmp_path):
    tar = tmp_path / "set.tar"
    tar.write_bytes(tar_bytes())
    for archive in (make_zip(tmp_path / "set.zip"), tar):
        assert extract(archive, tmp_path / "out", wanted=lambda p: p.parent.name == "IMAGES") == 1
        assert contents(tmp_path / "out") == {"SET/IMAGES/a.png": b"pixels"}


ESCAPES = ["../evil", "/etc/evil", "a/../../evil", "..", "..\\evil", "C:\\evil", "a\nb", "\\evil"]


@pytest.mark.parametrize("name", ESCAPES)
def test_zip_member_that_leads_outside(tmp_path, name):
    archive = make_zip(tmp_path / "set.zip", FILES | {name: b"evil"})
    assert_refused(archive, tmp_path, "member")


@pytest.mark.parametrize("name", ESCAPES)
def test_tar_member_that_leads_outside(tmp_path, name):
    archive = tmp_path / "set.tar"
    archive.write_bytes(tar_bytes(FILES | {name: b"evil"}))
    assert_refused(archive, tmp_path, "member")


def test_attacks_count_even_in_members_that_nobody_wants(tmp_path):
    archive = make_zip(tmp_path / "set.zip", FILES | {"../evil": b"evil"})
    assert_refused(archive, tmp_path, "../evil", wanted=lambda p: p.parent.name == "IMAGES")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_tar_links_and_devices(tmp_path, kind):
    archive = tmp_path / "set.tar"
    archive.write_bytes(tar_bytes({"door": b""}, type=kind, linkname="/etc/passwd"))
    assert_refused(archive, tmp_path, "link or special member", "door")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_zip_links_and_devices(tmp_path, kind):
    archive = make_zip(tmp_path / "set.zip", {"door": b"/etc/passwd"}, mode=kind | 0o777)
    assert_refused(archive, tmp_path, "link or special member", "door")


def test_file_behind_a_link_is_not_written(tmp_path):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        tar.addfile(link)
        info = tarfile.TarInfo("door/evil")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    archive = tmp_path / "set.tar"
    archive.write_bytes(sink.getvalue())
    assert_refused(archive, tmp_path, "door")


def test_bombs(tmp_path):
    bomb = {"zeros": bytes(1_000_000)}
    zipped = make_zip(tmp_path / "set.zip", bomb)
    assert_refused(zipped, tmp_path, "unpacked bytes", "1000000", max_bytes=999_999)
    zipped.unlink()
    shutil.rmtree(tmp_path / "out")
    tarred = tmp_path / "set.tar.gz"
    tarred.write_bytes(gzip.compress(tar_bytes(bomb)))
    assert_refused(tarred, tmp_path, "unpacked bytes", max_bytes=999_999)


def test_zip_that_lies_about_its_size(tmp_path):
    archive = make_zip(tmp_path / "set.zip", {"zeros": bytes(100_000)})
    data = archive.read_bytes()
    archive.write_bytes(data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert_refused(archive, tmp_path, "content")


def test_tar_header_that_asks_for_all_memory(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**30
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))
    assert_refused(archive, tmp_path, "bytes of a header")


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    assert_refused(make_zip(tmp_path / "set.zip"), tmp_path, "members", "at most 1")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_truncated(tmp_path, kind, share):
    files = {f"IMAGES/{k}": random.Random(k).randbytes(20_000) for k in range(3)}
    archive = tmp_path / f"set.{kind}"
    if kind == "zip":
        make_zip(archive, files)
    else:
        packers = {"tar": bytes, "tar.gz": gzip.compress, "tar.xz": lzma.compress}
        archive.write_bytes(packers[kind](tar_bytes(files)[: 3 * 20_480 + 100]))
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    assert_refused(archive, tmp_path)


def test_damaged_member(tmp_path):
    archive = make_zip(tmp_path / "set.zip", compression=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"pixels", b"pixeLs"))
    assert_refused(archive, tmp_path, "Bad CRC-32", "SET/IMAGES/a.png")


def test_page_instead_of_an_archive(tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_text("<!DOCTYPE html><title>Quota exceeded</title>")
    assert_refused(archive, tmp_path, "<!DOCTYPE html>", "download it again")


def test_encrypted_zip(tmp_path):
    archive = make_zip(tmp_path / "set.zip", compression=zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := data.find(magic, at + 1)) >= 0:
            data[at + offset] |= 1
    archive.write_bytes(data)
    assert_refused(archive, tmp_path, "encrypted", "without a password")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_member_twice(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as sink:
        sink.writestr("IMAGES/a.png", b"one")
        sink.writestr("IMAGES/a.png", b"two")
    assert_refused(archive, tmp_path, "IMAGES/a.png", "occurs twice")


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("n" * 300,)])
def test_names_that_cannot_be_files(tmp_path, names):
    assert_refused(make_zip(tmp_path / "set.zip", dict.fromkeys(names, b"x")), tmp_path)


def test_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    archive = make_zip(tmp_path / "set.zip")
    with pytest.raises(DiskFullError, match="make room"):
        extract(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


def test_fault_of_the_machine_is_not_blamed_on_the_archive(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(shutil, "copyfileobj", fails)
    with pytest.raises(FileAccessError, match=r"Input/output error'; .*check the disk"):
        extract(make_zip(tmp_path / "set.zip"), tmp_path / "out")


def test_disk_that_is_too_small_is_named_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFullError, match=r"set\.zip needs 19"):
        extract(make_zip(tmp_path / "set.zip"), tmp_path / "out")


PACKERS = {
    "zip": None,
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(PACKERS)), st.integers(0, 10**6), st.integers(1, 255))
@example(
    "zip", 265, 1
)  # the list of members seems to begin before the file: OSError, invalid argument
def test_any_flipped_byte_ends_in_files_inside_or_in_the_named_error(
    tmp_path_factory, kind, at, bits
):
    tmp_path = tmp_path_factory.mktemp("flip")
    archive = tmp_path / f"set.{kind}"
    if kind == "zip":
        make_zip(archive)
    else:
        archive.write_bytes(PACKERS[kind](tar_bytes()))
    data = bytearray(archive.read_bytes())
    data[at % len(data)] ^= bits
    archive.write_bytes(data)
    try:
        extract(archive, tmp_path / "out")
    except ArchiveError:
        assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {archive.name, "out"}


def test_zip_with_the_fields_of_a_large_one(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for name, data in FILES.items():
            with content.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert b"\x01\x00" in archive.read_bytes()  # the header of the 64-bit field
    assert extract(archive, tmp_path / "out") == 2
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize("encoding", ["gb18030", "cp932", "cp1251"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_tar_with_names_in_an_old_encoding(tmp_path, encoding, compress):
    folder = {"gb18030": "标注", "cp932": "画像データ", "cp1251": "снимки"}[encoding]
    files = {f"{folder}/a.png": b"pixels", f"{folder}/b.png": b"more", "plain.txt": b"x"}
    sink = io.BytesIO()
    with tarfile.open(
        fileobj=sink, mode="w", encoding=encoding, format=tarfile.GNU_FORMAT
    ) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    path = tmp_path / "set.tar"
    path.write_bytes(compress(sink.getvalue()))
    assert names_encoding(path, lambda name: folder in name.parts) == encoding
    assert extract(path, tmp_path / "out", wanted=lambda name: folder in name.parts) == 2
    assert contents(tmp_path / "out") == {
        name: data for name, data in files.items() if name.startswith(folder)
    }


def test_tar_with_names_in_utf8_says_nothing_of_encodings(tmp_path):
    path = tmp_path / "set.tar"
    path.write_bytes(tar_bytes({"标注/a.png": b"pixels"}))
    assert names_encoding(path) is None
    assert extract(path, tmp_path / "out") == 1
    assert contents(tmp_path / "out") == {"标注/a.png": b"pixels"}


def test_backslashes_part_folders(tmp_path):
    files = {name.replace("/", "\\"): data for name, data in FILES.items()}
    tar = tmp_path / "set.tar"
    tar.write_bytes(tar_bytes(files))
    for archive in (make_zip(tmp_path / "set.zip", files), tar):
        assert extract(archive, tmp_path / "out") == 2
        assert contents(tmp_path / "out") == FILES
