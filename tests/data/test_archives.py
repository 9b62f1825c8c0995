"""Archives that strangers made: each attack and each damage ends in one named error and no folder."""

import io
import tarfile
import zipfile

import pytest

from defectbench.base.errors import ArchiveError
from defectbench.data.archives import extract


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def link(kind, name="a/link", target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refused(archive, out, match, **options):
    with pytest.raises(ArchiveError, match=match):
        extract(archive, out, **options)
    assert not out.exists()
    assert not [p for p in out.parent.iterdir() if ".part" in p.name]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_plain_files_come_out(make, tmp_path):
    archive = make(tmp_path / "a", [("set/x.txt", b"1"), ("set/deep/y.txt", b"22")])
    assert extract(archive, tmp_path / "out") == 2
    assert (tmp_path / "out" / "set" / "deep" / "y.txt").read_bytes() == b"22"


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:/evil"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_member_that_leads_outside(make, name, tmp_path):
    archive = make(tmp_path / "a", [("ok.txt", b"1"), (name, b"bad")])
    refused(archive, tmp_path / "out", "outside the folder")
    assert not (tmp_path.parent / "evil.txt").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_tar_links_and_devices(kind, tmp_path):
    archive = make_tar(tmp_path / "a", [("ok.txt", b"1"), (link(kind), b"")])
    refused(archive, tmp_path / "out", "link or special member")


def test_zip_link(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    refused(make_zip(tmp_path / "a", [(info, "/etc/passwd")]), tmp_path / "out", "link member")


def test_bomb(tmp_path):
    archive = make_zip(tmp_path / "a", [("zeros", b"\0" * 2_000_000)])
    refused(archive, tmp_path / "out", "unpacked bytes: got 2000000", max_bytes=1_000_000)


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated(make, share, tmp_path):
    content = bytes(range(256)) * 200
    archive = make(tmp_path / "a", [(f"x{n}.bin", content[n:]) for n in range(5)])
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    refused(archive, tmp_path / "out", "content")


def test_damaged_member(tmp_path):
    archive = make_zip(tmp_path / "a", [("x.bin", bytes(range(256)) * 40)])
    data = bytearray(archive.read_bytes())
    data[60] ^= 0xFF
    archive.write_bytes(data)
    refused(archive, tmp_path / "out", "damaged")


def test_no_archive_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"<html>please log in</html>")
    refused(tmp_path / "a", tmp_path / "out", "html")


def test_old_folder_stays_when_the_new_archive_is_bad(tmp_path):
    extract(make_zip(tmp_path / "a", [("x", b"1")]), tmp_path / "out")
    (tmp_path / "b").write_bytes(b"no archive")
    with pytest.raises(ArchiveError):
        extract(tmp_path / "b", tmp_path / "out")
    assert (tmp_path / "out" / "x").read_bytes() == b"1"
