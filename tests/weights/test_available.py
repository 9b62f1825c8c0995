"""Which published weights are at hand, and how it is told."""

import json
import shutil

import pytest

from defectbench.base.errors import ConfigError
from defectbench.weights.available import starts_at_hand, told_starts
from defectbench.weights.fetching import fetch_weights
from tests.weights.tiny_method import write_all


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one method, whose files lie beside it."""
    method = write_all(tmp_path)
    files = tmp_path / "files"
    files.mkdir()
    for suffix in (".param", ".bin"):
        shutil.move(tmp_path / f"net{suffix}", files / f"other{suffix}")
    return method, tmp_path, files


def test_a_folder_with_all_files_will_do(checkout):
    _, home, files = checkout
    assert starts_at_hand(home, files) == {"tiny": "noise"}
    assert starts_at_hand(home) == {}
    (files / "other.bin").write_bytes(b"another")
    assert starts_at_hand(home, files) == {}


def test_so_do_weights_that_were_fetched(checkout):
    method, home, files = checkout
    folder = home / "results" / "weights" / "tiny" / "noise"
    fetch_weights(method, "noise", folder, files)
    assert starts_at_hand(home) == {"tiny": "noise"}
    record = json.loads((folder / "published.json").read_text())
    other = {**record, "files_sha256": {**record["files_sha256"], ".bin": "0" * 64}}
    (folder / "published.json").write_text(json.dumps(other))
    assert starts_at_hand(home) == {}  # of other files than the card means
    (folder / "published.json").write_text(json.dumps(record))
    (folder / "weights.safetensors").write_bytes(b"cut off")
    assert starts_at_hand(home) == {}


def test_a_folder_that_is_none_is_named(checkout):
    with pytest.raises(ConfigError, match=r"--weights: folder: got .*nowhere"):
        starts_at_hand(checkout[1], checkout[1] / "nowhere")


def test_it_is_told():
    assert told_starts(["a", "b"], {}) == ""
    assert told_starts(["a"], {"a": "coco", "z": "coco"}) == "from published weights: a from COCO"
