"""Getting a dataset: mirrors, retries, hashes; a local server stands for the world."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from defectbench.base.cards import DatasetCard
from defectbench.base.errors import (
    ArchiveError,
    BusyError,
    ConfigError,
    DownloadError,
    HashMismatchError,
)
from defectbench.base.files import exclusive_lock, sha256_file
from defectbench.base.records import read_record
from defectbench.data import acquire as module
from defectbench.data.acquire import acquire, download

from .test_archives import make_zip

FILES = {"NEU/IMAGES/a_1.jpg": b"picture", "NEU/ANNOTATIONS/a_1.xml": b"<annotation/>"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda _: None)


@pytest.fixture
def archive(tmp_path):
    return make_zip(tmp_path / "set.zip", list(FILES.items()))


@pytest.fixture
def server(archive):
    """Serves the archive whole, cut short, failing twice, as another file, or not at all."""
    data, calls = archive.read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            calls.append(self.path)
            if self.path == "/gone" or (self.path == "/shaky" and calls.count("/shaky") < 3):
                self.send_error(404 if self.path == "/gone" else 503)
                return
            body = b"<html>log in</html>" if self.path == "/login" else data
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

        def log_message(self, *_):
            return

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", calls
    httpd.shutdown()
    httpd.server_close()


def card(tmp_path, urls=(), sha256=None, files=FILES, manifest=True):
    if manifest:
        lines = [
            f"{hashlib.sha256(d).hexdigest()}  {n.removeprefix('NEU/')}\n" for n, d in files.items()
        ]
        (tmp_path / "list.gz").write_bytes(gzip.compress("".join(lines).encode()))
    source = {
        "kind": "archive",
        "urls": list(urls),
        "sha256": sha256,
        "manifest": "list.gz" if manifest else None,
        "place_here": "put the archive there",
    }
    layout = {"images": "IMAGES", "labels": "ANNOTATIONS"}
    return DatasetCard.model_validate(
        {
            "name": "tiny",
            "title": "tiny",
            "surface": "steel",
            "classes": ["a"],
            "source": source,
            "layout": layout,
            "licence": "none",
            "folder": tmp_path,
        }
    )


def test_local_archive(tmp_path, archive):
    acquire(card(tmp_path), tmp_path / "out", archive)
    assert (tmp_path / "out/raw/NEU/IMAGES/a_1.jpg").read_bytes() == b"picture"
    record = read_record(tmp_path / "out/source.json", "source")
    assert record["figures"] == {"files": 2, "bytes": 20}
    assert record["archive_sha256"] == sha256_file(archive)
    assert record["verified_files"] == 2
    assert str(tmp_path) not in record["origin"]


def test_local_folder(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    acquire(card(tmp_path), tmp_path / "out", tmp_path / "copy")
    assert sorted(p.name for p in (tmp_path / "out/raw").iterdir()) == ["ANNOTATIONS", "IMAGES"]


def test_first_address_gone_second_serves(tmp_path, server):
    base, calls = server
    acquire(card(tmp_path, [f"{base}/gone", f"{base}/whole"]), tmp_path / "out")
    assert calls[-1] == "/whole"
    assert read_record(tmp_path / "out/source.json", "source")["origin"] == f"{base}/whole"
    assert not list((tmp_path / "out").glob("*.archive"))


def test_shaky_address_is_tried_again(tmp_path, server):
    base, calls = server
    acquire(card(tmp_path, [f"{base}/shaky"]), tmp_path / "out")
    assert calls == ["/shaky"] * 3


def test_cut_download_is_never_used(tmp_path, server):
    base, calls = server
    with pytest.raises(DownloadError, match="put the archive there"):
        acquire(card(tmp_path, [f"{base}/cut"]), tmp_path / "out")
    assert len(calls) == module.ATTEMPTS
    assert not (tmp_path / "out/raw").exists()
    assert not (tmp_path / "out/source.json").exists()


def test_page_instead_of_archive(tmp_path, server):
    base, _ = server
    with pytest.raises(ArchiveError, match="whole ZIP or tar"):
        acquire(card(tmp_path, [f"{base}/login"]), tmp_path / "out")
    assert not (tmp_path / "out/raw").exists()


def test_wrong_archive_hash(tmp_path, archive):
    with pytest.raises(HashMismatchError, match="registered"):
        acquire(card(tmp_path, sha256="0" * 64), tmp_path / "out", archive)
    assert not (tmp_path / "out/raw").exists()


@pytest.mark.parametrize(
    "files",
    [
        {**FILES, "NEU/IMAGES/a_1.jpg": b"another picture"},
        {**FILES, "NEU/IMAGES/a_2.jpg": b"one more"},
    ],
)
def test_changed_or_missing_file_leaves_nothing(tmp_path, archive, files):
    with pytest.raises(HashMismatchError):
        acquire(card(tmp_path, files=files), tmp_path / "out", archive)
    assert not (tmp_path / "out/raw").exists()


def test_mirror_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="name an archive or a folder"):
        acquire(card(tmp_path), tmp_path / "out", tmp_path / "nothing.zip")


def test_no_source_at_all(tmp_path):
    with pytest.raises(DownloadError, match="put the archive there"):
        acquire(card(tmp_path), tmp_path / "out")


def test_two_runs_at_once(tmp_path, archive):
    with exclusive_lock(tmp_path / "out" / ".acquire.lock"), pytest.raises(BusyError):
        acquire(card(tmp_path), tmp_path / "out", archive)


def test_unreachable_address_is_a_named_error(tmp_path):
    with pytest.raises(DownloadError, match="give a mirror"):
        download("http://127.0.0.1:9/none", tmp_path / "x", attempts=1)
    assert list(tmp_path.iterdir()) == []
