"""Downloads over a network that fails in every way that can be made on one machine."""

import errno
import hashlib

import pytest
from small_server import serving

from defectbench.base.errors import DiskFullError, DownloadError
from defectbench.data import download as module
from defectbench.data.download import download

BODY = bytes(range(256)) * 40
ETAG = '"v1"'


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


def fetch(url, path, **options):
    download(url, path, **{"pause_s": 0.0, **options})


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_whole_file_at_once(server, tmp_path):
    fetch(server.on("a", BODY), tmp_path / "new" / "a.zip")
    assert (tmp_path / "new" / "a.zip").read_bytes() == BODY
    assert names(tmp_path / "new") == {"a.zip"}
    assert server.asked == [("/a", None)]


def test_body_without_a_length(server, tmp_path):
    fetch(server.on("a", (BODY, {"length": False})), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_truncated_body_is_fetched_again(server, tmp_path):
    fetch(server.on("a", (BODY, {"cut": 100}), BODY), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, None]


def test_truncated_body_is_resumed_where_the_server_knows_the_version(server, tmp_path):
    url = server.on("a", (BODY, {"cut": 100, "etag": ETAG}), (BODY, {"etag": ETAG}))
    fetch(url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=100-"]
    assert names(tmp_path) == {"a.zip"}


def test_another_run_goes_on_from_the_bytes_of_the_first(server, tmp_path):
    url = server.on("a", (BODY, {"cut": 300, "etag": ETAG}))
    with pytest.raises(DownloadError, match="300 of 10240 bytes arrived"):
        fetch(url, tmp_path / "a.zip", attempts=1)
    assert not (tmp_path / "a.zip").exists()
    server.on("a", (BODY, {"etag": ETAG}))
    fetch(url, tmp_path / "a.zip", attempts=1)
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.asked[-1] == ("/a", "bytes=300-")


def test_a_new_version_is_never_glued_to_the_old_one(server, tmp_path):
    other = BODY[::-1]
    url = server.on("a", (BODY, {"cut": 100, "etag": ETAG}), (other, {"etag": '"v2"'}))
    fetch(url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == other


def test_the_rest_of_one_address_is_not_glued_to_another(server, tmp_path):
    with pytest.raises(DownloadError):
        fetch(server.on("a", (BODY, {"cut": 9, "etag": ETAG})), tmp_path / "x.zip", attempts=1)
    fetch(server.on("b", (BODY[::-1], {"etag": ETAG})), tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == BODY[::-1]
    assert server.asked[-1] == ("/b", None)


def test_a_weak_version_is_not_resumed(server, tmp_path):
    url = server.on("a", (BODY, {"cut": 100, "etag": 'W/"v1"'}), BODY)
    fetch(url, tmp_path / "a.zip")
    assert [asked for _, asked in server.asked] == [None, None]


def test_a_server_that_resumes_elsewhere_is_not_believed(server, tmp_path):
    shifted = (BODY, {"etag": ETAG, "shift": 7})
    url = server.on("a", (BODY, {"cut": 100, "etag": ETAG}), shifted, BODY)
    fetch(url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    url = server.on("a", (BODY, {"cut": 100, "etag": ETAG}))
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "a.zip", attempts=1)
    (tmp_path / ".a.zip.part").write_bytes(BODY + BODY)
    server.on("a", (BODY, {"etag": ETAG}))
    fetch(url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_damaged_note_beside_a_part(server, tmp_path):
    (tmp_path / ".a.zip.part").write_bytes(b"old")
    (tmp_path / ".a.zip.part.json").write_text("{")
    fetch(server.on("a", BODY), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_a_busy_server_is_asked_again_with_growing_pauses(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    download(server.on("a", 503, 429, 500, BODY), tmp_path / "a.zip", pause_s=1.0)
    assert pauses == [1.0, 2.0, 4.0]
    assert (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_asked_once(server, tmp_path, status):
    with pytest.raises(DownloadError, match=rf"HTTP {status} .*give a mirror") as caught:
        fetch(server.on("a", status), tmp_path / "a.zip")
    assert server.url("a") in str(caught.value)
    assert len(server.asked) == 1
    assert names(tmp_path) == set()


def test_no_network(tmp_path):
    with serving() as gone:
        url = gone.url("a")
    with pytest.raises(DownloadError, match="refused"):
        fetch(url, tmp_path / "a.zip", attempts=2)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("length", [True, False])
def test_more_than_is_allowed(server, tmp_path, length):
    url = server.on("a", (BODY, {"length": length}))
    with pytest.raises(DownloadError, match="at most 100 are allowed"):
        fetch(url, tmp_path / "a.zip", max_bytes=100)
    assert not (tmp_path / "a.zip").exists()


def test_full_disk(server, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="make room"):
        fetch(server.on("a", BODY), tmp_path / "a.zip")


def test_the_hash_is_that_of_the_whole_also_where_it_came_in_two_pieces(server, tmp_path):
    whole = hashlib.sha256(BODY).hexdigest()
    assert download(server.on("a", BODY), tmp_path / "a.zip") == whole
    url = server.on("b", (BODY, {"cut": 100, "etag": ETAG}), (BODY, {"etag": ETAG}))
    assert download(url, tmp_path / "b.zip", pause_s=0.0) == whole
    assert [asked for _, asked in server.asked] == [None, None, "bytes=100-"]


def test_redirects_are_followed(server, tmp_path):
    server.on("there", BODY)
    fetch(server.on("a", (b"", {"to": server.url("there")})), tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


@pytest.mark.parametrize("to", ["file:///etc/hostname", "{own}"])
def test_redirects_that_lead_to_this_machine_or_nowhere_are_refused(server, tmp_path, to):
    url = server.url("a")
    server.on("a", (b"", {"to": to.format(own=url)}))
    with pytest.raises(DownloadError, match="HTTP 302"):
        fetch(url, tmp_path / "a.zip")
    assert names(tmp_path) == set()


def test_a_server_that_falls_silent_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    url = server.on("a", (BODY, {"stall": 0.6, "etag": ETAG}), (BODY, {"etag": ETAG}))
    lines = []
    fetch(url, tmp_path / "a.zip", tell=lines.append)
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.asked[-1] == ("/a", f"bytes={len(BODY) // 2}-")
    assert lines == ["timed out; attempt 2 of 4"]


def test_a_server_that_hardly_sends_anything_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLOW_S", 0.2)
    url = server.on("a", (BODY, {"stall": 0.4}), BODY)
    lines = []
    fetch(url, tmp_path / "a.zip", tell=lines.append)
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert "bytes in 0 s" in lines[0]


def test_a_length_that_is_too_great_is_a_transfer_that_broke(server, tmp_path):
    with pytest.raises(DownloadError, match="10240 of 10250 bytes arrived"):
        fetch(server.on("a", (BODY, {"lie": 10})), tmp_path / "a.zip", attempts=2)
    assert not (tmp_path / "a.zip").exists()


def test_a_length_that_is_too_small_shows_in_the_hash(server, tmp_path):
    digest = download(server.on("a", (BODY, {"lie": -10})), tmp_path / "a.zip")
    assert digest == hashlib.sha256(BODY[:-10]).hexdigest()


def test_a_body_in_chunks_that_breaks_off_is_not_taken_for_the_whole(server, tmp_path):
    url = server.on("a", (BODY, {"chunked": True, "cut": 500}), (BODY, {"chunked": True}))
    fetch(url, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert len(server.asked) == 2


def test_progress_is_told_now_and_then(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOLD_S", 0.0)
    body = bytes(3 * 2**20)
    lines = []
    fetch(server.on("a", body), tmp_path / "a.zip", tell=lines.append)
    assert lines[-1] == "3 of 3 MiB"
    fetch(server.on("b", (body, {"length": False})), tmp_path / "b.zip", tell=lines.append)
    assert lines[-1] == "3 MiB"
