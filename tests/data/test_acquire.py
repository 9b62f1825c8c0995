"""Acquisition from folders, archives and addresses: verified, whole, or one named error."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from small_server import serving
from steel_like import card, files_of, write_steel_like

from defectbench.base.errors import (
    ArchiveError,
    BusyError,
    ConfigError,
    DownloadError,
    HashMismatchError,
)
from defectbench.base.files import exclusive_lock
from defectbench.data import acquire as module
from defectbench.data.acquire import acquire


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("defectbench.data.download.PAUSE_S", 0.0)
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def steel(tmp_path):
    """The set as its publisher packs it, in a folder."""
    return write_steel_like(tmp_path / "home" / "SET")


@pytest.fixture
def make_card(tmp_path, steel):
    """Cards whose list of hashes is that of the set."""
    listed = {name: digest for name, digest in files_of(steel).items() if "._" not in name}
    text = "".join(f"{digest}  {name}\n" for name, digest in listed.items())
    (tmp_path / "list.gz").write_bytes(gzip.compress(text.encode()))

    def make(*urls, **source):
        content = {"kind": "archive", "urls": list(urls), "manifest": "list.gz", **source}
        return card(source=content, folder=tmp_path)

    return make


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def pack(folder, kind="zip", changes=None):
    sink = io.BytesIO()
    files = {p.relative_to(folder.parent).as_posix(): p.read_bytes() for p in walk(folder)}
    files |= {"SET/README.txt": b"not wanted"} | (changes or {})
    if kind == "zip":
        with zipfile.ZipFile(sink, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return sink.getvalue()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def walk(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names(out):
    """All that a run left behind, but its lock."""
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    return found - {".acquire.lock"}


def source_of(out):
    return json.loads((out / "source.json").read_text())


def assert_whole(out, steel):
    assert names(out) == {"raw", "source.json"}
    assert sorted(files_of(out / "raw").values()) == sorted(files_of(steel).values())


def assert_nothing(out):
    assert names(out) == set()


# Local mirrors


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_local_archive(make_card, steel, out, tmp_path, kind):
    archive = tmp_path / f"SET.{kind}"
    archive.write_bytes(pack(steel, kind))
    acquire(make_card("http://127.0.0.1:1/never"), out, mirror=archive)
    assert_whole(out, steel)
    record = source_of(out)
    assert record["kind"] == "source"
    assert record["origin"] == f"local archive SET.{kind}"
    assert record["archive_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert record["figures"]["files"] == 10
    assert (record["verified_files"], record["unlisted_files"]) == (9, 1)
    assert record["licence"] == "none"


def test_local_folder_gives_only_what_the_card_names(make_card, steel, out):
    (steel.parent / "holiday.jpg").write_bytes(b"private")
    acquire(make_card(), out, mirror=steel.parent)
    assert_whole(out, steel)
    assert source_of(out)["origin"] == "local folder home"


def test_folder_above_by_dots_stays_inside(make_card, steel, out, monkeypatch):
    monkeypatch.chdir(steel / "IMAGES")
    acquire(make_card(), out, mirror="..")
    assert_whole(out, steel)


def test_home_folder_is_understood(make_card, steel, out, monkeypatch):
    monkeypatch.setenv("HOME", str(steel.parent))
    acquire(make_card(), out, mirror="~/SET")
    assert_whole(out, steel)


def test_no_network_is_used_with_a_local_mirror(make_card, steel, out, monkeypatch):
    monkeypatch.setattr(module, "download", lambda *_, **__: pytest.fail("network"))
    acquire(make_card("http://127.0.0.1:1/never"), out, mirror=steel)
    assert_whole(out, steel)


def test_mirror_that_is_not_there(make_card, out, tmp_path):
    with pytest.raises(ConfigError, match="nowhere: mirror: got 'nothing'"):
        acquire(make_card("http://127.0.0.1:1/never"), out, mirror=tmp_path / "nowhere")
    assert_nothing(out)


def test_folder_without_the_set(make_card, out, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match="images in a folder IMAGES: got 'no file'"):
        acquire(make_card(), out, mirror=tmp_path / "empty")
    assert_nothing(out)


def test_archive_without_labels(make_card, steel, out, tmp_path):
    shutil.rmtree(steel / "ANNOTATIONS")
    (tmp_path / "SET.zip").write_bytes(pack(steel))
    with pytest.raises(ArchiveError, match=r"SET\.zip: labels in a folder ANNOTATIONS"):
        acquire(make_card(), out, mirror=tmp_path / "SET.zip")
    assert_nothing(out)


def test_changed_file(make_card, steel, out):
    (steel / "ANNOTATIONS" / "crazing_2.xml").write_text("<annotation/>")
    with pytest.raises(HashMismatchError, match=r"SET/ANNOTATIONS/crazing_2\.xml: sha256"):
        acquire(make_card(), out, mirror=steel)
    assert_nothing(out)


def test_missing_file(make_card, steel, out):
    the_card = make_card()
    (steel / "IMAGES" / "crazing_2.jpg").unlink()
    with pytest.raises(HashMismatchError, match=r"crazing_2\.jpg: file: got 'nothing'"):
        acquire(the_card, out, mirror=steel)
    assert_nothing(out)


def test_other_archive_than_registered(make_card, steel, out, tmp_path):
    (tmp_path / "SET.zip").write_bytes(pack(steel))
    with pytest.raises(HashMismatchError, match=rf"SET\.zip: sha256: .*{'0' * 64} is registered"):
        acquire(make_card(sha256="0" * 64), out, mirror=tmp_path / "SET.zip")
    assert_nothing(out)


def test_archive_over_the_size_of_the_card(make_card, steel, out, tmp_path):
    (tmp_path / "SET.zip").write_bytes(pack(steel, changes={"SET/IMAGES/z.png": bytes(2**20)}))
    with pytest.raises(ArchiveError, match="at most 1048576 are allowed"):
        acquire(make_card(unpacked_mib=1), out, mirror=tmp_path / "SET.zip")
    assert_nothing(out)


def test_failure_leaves_what_was_there(make_card, steel, out, tmp_path):
    acquire(make_card(), out, mirror=steel)
    before = files_of(out)
    (out / "raw" / "SET" / "IMAGES" / "crazing_2.jpg").write_bytes(b"changed by hand")
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(ArchiveError):
        acquire(make_card(), out, mirror=tmp_path / "bad.zip")
    assert files_of(out).keys() == before.keys()


# Addresses


def test_first_address(server, make_card, steel, out):
    acquire(make_card(server.on("a", pack(steel))), out)
    assert_whole(out, steel)
    assert source_of(out)["origin"] == server.url("a")


def test_refused_then_mirror(server, make_card, steel, out, capsys):
    acquire(make_card(server.on("a", 404), server.on("b", pack(steel))), out)
    assert_whole(out, steel)
    assert source_of(out)["origin"] == server.url("b")
    assert "HTTP 404" in capsys.readouterr().out


def test_mirror_that_is_an_address_comes_first(server, make_card, steel, out):
    acquire(make_card(server.on("a", 404)), out, mirror=server.on("b", pack(steel)))
    assert [path for path, _ in server.asked] == ["/b"]
    assert_whole(out, steel)


def test_page_or_other_bytes_then_mirror(server, make_card, steel, out):
    wrong = pack(steel, changes={"SET/ANNOTATIONS/crazing_2.xml": b"<annotation/>"})
    hostile = pack(steel, changes={"../evil": b"evil"})
    urls = [server.on("page", b"<html>Quota</html>"), server.on("wrong", wrong)]
    acquire(make_card(*urls, server.on("evil", hostile), server.on("good", pack(steel))), out)
    assert_whole(out, steel)
    assert source_of(out)["origin"] == server.url("good")


def test_truncated_body_is_fetched_again(server, make_card, steel, out):
    whole = pack(steel)
    acquire(make_card(server.on("a", (whole, {"cut": 500}), whole)), out)
    assert_whole(out, steel)
    assert len(server.asked) == 2


def test_wrong_hash_of_the_only_address(server, make_card, steel, out):
    with pytest.raises(HashMismatchError, match="is registered"):
        acquire(make_card(server.on("a", pack(steel)), sha256="0" * 64), out)
    assert_nothing(out)


def test_all_addresses_fail(server, make_card, out):
    urls = [server.on("a", 404), server.on("b", b"<html>")]
    with pytest.raises(DownloadError) as caught:
        acquire(make_card(*urls, place_here="put it there"), out)
    for word in ("HTTP 404", "<html>", "put it there", "steel-like"):
        assert word in str(caught.value)
    assert_nothing(out)


def test_no_address(make_card, out):
    with pytest.raises(DownloadError, match="no address"):
        acquire(make_card(), out)
    assert_nothing(out)


def test_interrupted_unpacking_fetches_nothing_again(server, make_card, steel, out, monkeypatch):
    the_card = make_card(server.on("a", pack(steel)))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "extract_into", killed)
        with pytest.raises(KeyboardInterrupt):
            acquire(the_card, out)
    assert not (out / "raw").exists()
    acquire(the_card, out)
    assert_whole(out, steel)
    assert len(server.asked) == 1


# What is there


def test_verified_data_are_kept_without_network(server, make_card, steel, out, capsys):
    the_card = make_card(server.on("a", pack(steel)))
    acquire(the_card, out)
    before = {path: path.stat().st_mtime_ns for path in walk(out)}
    acquire(the_card, out)
    assert len(server.asked) == 1
    after = {path: path.stat().st_mtime_ns for path in walk(out)}
    lock = out / ".acquire.lock"
    assert {**after, lock: 0} == {**before, lock: 0}
    assert "is there and verified" in capsys.readouterr().out


def test_damaged_data_are_fetched_again(server, make_card, steel, out):
    the_card = make_card(server.on("a", pack(steel)))
    acquire(the_card, out)
    (out / "raw" / "SET" / "IMAGES" / "crazing_2.jpg").write_bytes(b"bit rot")
    acquire(the_card, out)
    assert_whole(out, steel)


def test_two_runs_at_once(make_card, steel, out):
    with (
        exclusive_lock(out / ".acquire.lock"),
        pytest.raises(BusyError, match=f"process {os.getpid()}"),
    ):
        acquire(make_card(), out, mirror=steel)
    assert_nothing(out)


def test_synthetic_set_needs_no_source(out):
    from defectbench.base.cards import load_dataset_card

    drawn = load_dataset_card(Path(__file__).parents[2] / "datasets" / "demo-steel.yaml")
    acquire(drawn, out)
    record = source_of(out)
    assert record["origin"] == "synthetic, seed 0"
    assert record["figures"]["files"] == len(walk(out / "raw")) > 100


# What is not taken up


def test_files_that_the_card_drops_are_told_with_the_reason(make_card, steel, out, capsys):
    the_card = make_card(manifest=None)
    the_card = the_card.model_copy(update={"drop_files": {"crazing_2.*": "known to be damaged"}})
    acquire(the_card, out, mirror=steel)
    assert "crazing_2.jpg" not in {path.name for path in (out / "raw").rglob("*")}
    assert set(source_of(out)["files_dropped"].values()) == {"known to be damaged"}
    assert len(source_of(out)["files_dropped"]) == 2
    assert "2 files are not taken up, as the card says: 2 (known to be damaged)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_images_on_no_list_of_the_publisher_are_not_taken_up(make_card, steel, out, tmp_path, kind):
    (steel / "lists").mkdir()
    (steel / "lists" / "train.txt").write_text("crazing_2\ncrazing_10\n")
    (steel / "lists" / "test.txt").write_text("IMAGES/inclusion_1.jpg\n")
    lists = {"trainval": ["lists/train.txt"], "test": ["lists/test.txt"], "only": True}
    the_card = card(source={"kind": "archive"}, official=lists)
    mirror = steel
    if kind == "zip":
        mirror = tmp_path / "SET.zip"
        mirror.write_bytes(pack(steel))
    acquire(the_card, out, mirror=mirror)
    stems = {path.stem.lower() for path in (out / "raw").rglob("*.*")}
    assert stems - {"._crazing_2", "thumbs"} == {
        "crazing_2",
        "crazing_10",
        "inclusion_1",
        "train",
        "test",
    }
    assert source_of(out)["files_on_no_list"] >= 2


def test_an_archive_by_its_md5(make_card, steel, out, tmp_path):
    (tmp_path / "SET.zip").write_bytes(pack(steel))
    digest = hashlib.md5((tmp_path / "SET.zip").read_bytes()).hexdigest()
    with pytest.raises(HashMismatchError, match=rf"SET\.zip: md5: .*{'0' * 32} is registered"):
        acquire(make_card(md5="0" * 32), out, mirror=tmp_path / "SET.zip")
    assert_nothing(out)
    acquire(make_card(md5=digest), out, mirror=tmp_path / "SET.zip")
    assert_whole(out, steel)


def test_a_set_that_no_program_can_get_names_its_page(make_card, out):
    pages = [{"at": "kaggle", "id": "a/b", "note": "the second copy"}]
    with pytest.raises(
        DownloadError, match=r"get it at https://www\.kaggle\.com/datasets/a/b \(the second copy\)"
    ):
        acquire(make_card(pages=pages, place_here="unpack it"), out)
    assert_nothing(out)


def test_a_server_that_lies_about_the_length_of_an_archive_is_left_for_the_next(
    make_card, steel, out, server
):
    body = pack(steel)
    first = server.on("first", (body, {"lie": -10}))
    acquire(make_card(first, server.on("second", body)), out)
    assert_whole(out, steel)
    assert source_of(out)["origin"].endswith("/second")
    assert source_of(out)["archive_sha256"] == hashlib.sha256(body).hexdigest()
