"""Published weights are got from a folder or an address, verified, and written as safetensors."""

import http.server
import shutil
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from defectbench.base.errors import (
    ConfigError,
    DownloadError,
    HashMismatchError,
    WeightsError,
)
from defectbench.base.files import sha256_file
from defectbench.base.published import WHOLE, PublishedWeights
from defectbench.base.records import read_record
from defectbench.cli import main
from defectbench.weights.fetching import fetch_weights
from defectbench.weights.published import network_with
from tests.weights.tiny_method import trained, write_all, write_method


def with_addresses(folder, method, home):
    """The same method, whose card names addresses."""
    block = method.card.weights["noise"].model_dump(mode="json")
    url = {suffix: f"{home}/net{suffix}" for suffix in block["sha256"]}
    return write_method(folder, {**block, "url": url})


@pytest.fixture
def served(tmp_path):
    """A folder that is served, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_of_files_is_converted(tmp_path):
    method = write_all(tmp_path)
    out = tmp_path / "out"
    argv = [f"--method={method.folder}", "--name=noise", f"--out={out}", f"--mirror={tmp_path}"]
    assert main(["fetch-weights", *argv]) == 0
    record = read_record(out / "published.json", "published")
    state = load_file(out / "weights.safetensors")
    assert record["weights_sha256"] == sha256_file(out / "weights.safetensors")
    assert (record["form"], record["name"], record["method"]) == ("folded", "noise", "tiny")
    assert record["class_channels"] == {"head": [4, 7]}
    assert record["figures"]["n_classes"] == 3
    assert record["files_sha256"] == dict(method.card.weights["noise"].sha256)
    folded = trained(method).deploy().detector
    assert sorted(state) == sorted(name for name, _ in folded.named_parameters())
    assert torch.allclose(state["stem.0.weight"], folded.stem[0].weight, atol=2e-3)


def test_two_conversions_are_equal(tmp_path):
    method = write_all(tmp_path)
    for name in ("a", "b"):
        fetch_weights(method, "noise", tmp_path / name, tmp_path / "net.bin")
    files = [tmp_path / name / "weights.safetensors" for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_addresses_are_asked_once(tmp_path, served):
    folder, home = served
    method = with_addresses(tmp_path, write_all(tmp_path), home)
    for suffix in (".param", ".bin"):
        shutil.move(tmp_path / f"net{suffix}", folder / f"net{suffix}")
    fetch_weights(method, "noise", tmp_path / "out")
    shutil.rmtree(folder)
    (tmp_path / "out" / "weights.safetensors").unlink()
    fetch_weights(method, "noise", tmp_path / "out")
    assert (tmp_path / "out" / "weights.safetensors").is_file()


def test_another_file_behind_an_address_is_refused_and_not_kept(tmp_path, served):
    folder, home = served
    method = with_addresses(tmp_path, write_all(tmp_path), home)
    (folder / "net.param").write_text("another")
    with pytest.raises(HashMismatchError, match=r"net.param: SHA-256.*name a folder"):
        fetch_weights(method, "noise", tmp_path / "out")
    assert not list((tmp_path / "out" / "files").glob("*"))


def test_what_cannot_be_got_is_told(tmp_path):
    method = write_all(tmp_path)
    with pytest.raises(DownloadError, match=r"the card has no address: name a folder.*the test"):
        fetch_weights(method, "noise", tmp_path / "out")
    with pytest.raises(ConfigError, match="weights: got 'coco'; name one of noise"):
        fetch_weights(method, "coco", tmp_path / "out")
    with pytest.raises(WeightsError, match="name a folder of this machine"):
        fetch_weights(method, "noise", tmp_path / "out", "https://host/net.param")
    with pytest.raises(WeightsError, match="folder: got 'nothing'"):
        fetch_weights(method, "noise", tmp_path / "out", tmp_path / "nowhere")


def test_channels_that_the_network_lacks_are_refused(tmp_path):
    method = write_all(tmp_path, change={"class_channels": {"head": [5, 8]}})
    with pytest.raises(ConfigError, match=r"class_channels: got \[5, 8\]; head has 7 channels"):
        fetch_weights(method, "noise", tmp_path / "out", tmp_path)


def test_a_file_of_a_program_is_kept_unopened(tmp_path):
    """It is no pickle at all: whoever opened it would stop."""
    method = write_all(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"opened by nobody")
    told = {"data": "COCO", "nc": 80, "size": 640, "source": "s", "licence": "AGPL-3.0"}
    told["sha256"] = {".pt": sha256_file(tmp_path / "net.pt")}
    card = method.card.model_copy(
        update={"weights": {"coco": PublishedWeights.model_validate(told)}}
    )
    own = replace(method, card=card)
    fetch_weights(own, "coco", tmp_path / "out", tmp_path)
    assert (tmp_path / "out" / "weights.pt").read_bytes() == b"opened by nobody"
    record = read_record(tmp_path / "out" / "published.json", "published")
    assert (record["licence"], record["form"]) == ("AGPL-3.0", WHOLE)
    assert record["weights_sha256"] == record["files_sha256"][".pt"]
    with pytest.raises(ConfigError, match="only the method's own program opens"):
        network_with(own, card.weights["coco"], {".pt": tmp_path / "net.pt"})
