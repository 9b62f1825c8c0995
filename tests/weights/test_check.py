"""The whole check on a tiny method: equal where the architecture is, told where it is not."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from defectbench.base.errors import ConfigError, WeightsError
from defectbench.base.methods import load_method
from defectbench.cli import main
from defectbench.weights.check import check_weights, trial_asked_for
from defectbench.weights.images import noise_images
from defectbench.weights.outcome import proof_lines
from defectbench.weights.references import Trial, images_sha256
from tests.weights.ncnn_files import FLOAT16, FLOAT32
from tests.weights.tiny_method import (
    PUBLISHED,
    sha256,
    trained,
    write_all,
    write_method,
)


@pytest.mark.parametrize("flag", [FLOAT16, FLOAT32])
def test_equal_networks_are_equal(flag, tmp_path):
    proof = check_weights(write_all(tmp_path, flag), tmp_path)
    assert proof.holds
    assert [d.name for d in proof.differences] == ["boxes", "classes"]
    assert [d.n_values for d in proof.differences] == [3 * 64 * 4, 3 * 64 * 3]
    assert proof.n_parameters == 8 * 27 + 8 + 8 * 9 + 8 + 8 * 7 + 7
    assert proof.trial == Trial(32, 3, 0)
    assert set(proof.files) == {"net.param", "net.bin"}
    boxes, classes = proof.differences
    assert boxes.highest - boxes.lowest > 0.1  # they say something about the image
    assert 0 <= classes.lowest < classes.highest <= 1


def test_a_network_that_differs_where_no_weight_tells_is_seen(tmp_path):
    """Equal shapes and weights, and another slope of the activation."""
    proof = check_weights(write_all(tmp_path, slope=0.2), tmp_path)
    assert not proof.holds
    assert "over its bound: boxes" in list(proof_lines(proof))[-1]


@pytest.mark.parametrize(
    "change",
    [
        {"colours": "rgb"},
        {"mean": [0.0, 0.0, 0.0]},
        {"std": [50.0, 60.0, 70.0]},
    ],
)
def test_a_wrong_input_is_seen(change, tmp_path):
    method = write_all(tmp_path, change={"input": {**PUBLISHED["input"], **change}})
    assert not check_weights(method, tmp_path).holds


def test_a_number_that_is_none_is_never_equal(tmp_path):
    proof = check_weights(write_all(tmp_path), tmp_path)
    broken = dataclasses.replace(proof.differences[0], largest=float("nan"))
    assert not dataclasses.replace(proof, differences=[broken]).holds


@pytest.mark.parametrize(
    ("columns", "blobs", "error", "words"),
    [
        ([0, 5], ["boxes"], WeightsError, r"blob boxes: got \[4, 8, 8\]; name a map of 5 channels"),
        ([0, 4], ["boxes", "boxes"], ConfigError, r"outputs.boxes: got \[3, 64, 4\]"),
        ([0, 4], ["corners"], WeightsError, "blob: got 'corners'"),
    ],
)
def test_columns_and_blobs_that_do_not_fit_are_refused(columns, blobs, error, words, tmp_path):
    outputs = {"boxes": {"columns": columns, "blobs": blobs, "bound": 1e-5}}
    method = write_all(tmp_path, change={"outputs": outputs})
    with pytest.raises(error, match=words):
        check_weights(method, tmp_path)


def test_weights_without_outputs_are_no_proof(tmp_path):
    with pytest.raises(ConfigError, match=r"weights.outputs: got None; they are to start from"):
        check_weights(write_all(tmp_path, change={"outputs": {}}), tmp_path)


def test_a_method_without_weights_is_refused(tmp_path):
    method = write_method(tmp_path, None)
    with pytest.raises(ConfigError, match=r"card.yaml: weights: got None"):
        check_weights(method, tmp_path)


def test_images_asked_for(tmp_path):
    method = write_all(tmp_path)
    assert trial_asked_for(method) is None
    assert trial_asked_for(method, seed=0) == Trial(32, 3, 0)
    assert trial_asked_for(method, size=64, images=1) == Trial(64, 1, 0)
    with pytest.raises(ConfigError, match="multiple of 32"):
        trial_asked_for(method, size=48)


def verb(tmp_path, *more):
    method = tmp_path / "models" / "tiny"
    return main(["check-weights", f"--method={method}", f"--weights={tmp_path}", *more])


def test_the_verb_prints_records_and_ends_with_0(tmp_path, capsys):
    write_all(tmp_path)
    record = tmp_path / "record.json"
    assert verb(tmp_path, "--size", "64", "--record", str(record)) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "tiny: net.param, net.bin, 367 parameters"
    assert "3 images of 64 px, seed 0" in told[1]
    assert told[-1] == "equal within every bound"
    content = json.loads(record.read_text())
    assert (content["kind"], content["method"]) == ("weights", "tiny")
    assert content["figures"]["holds"] is True
    assert content["figures"]["outputs"]["boxes"]["n_values"] == 3 * 256 * 4
    assert content["files_sha256"]["net.bin"] == sha256(tmp_path / "net.bin")
    assert str(tmp_path) not in record.read_text()


def test_the_verb_ends_with_1_where_a_bound_is_passed(tmp_path, capsys):
    write_all(tmp_path, slope=0.2)
    assert verb(tmp_path) == 1
    assert "over its bound: boxes" in capsys.readouterr().out


def test_the_verb_ends_with_2_where_a_file_is_another(tmp_path, capsys):
    write_all(tmp_path)
    (tmp_path / "net.bin").write_bytes(b"other")
    assert verb(tmp_path) == 2
    assert capsys.readouterr().err.startswith("WeightsError: ")


TRIAL = Trial(32, 2, 5)


@pytest.fixture
def kept(tmp_path):
    """A method whose weights are a state dictionary and whose published outputs are kept."""
    published = {k: v for k, v in PUBLISHED.items() if k not in ("convolutions", "outputs")}
    published |= {
        "sha256": {".pth": "0" * 64},
        "tensors": {"{first,body,last}": "{stem,body,head}"},
        "reference": "outputs.safetensors",
        "outputs": {"all": {"columns": [0, 7], "bound": 1e-5}},
    }
    network = trained(write_method(tmp_path, published))
    state = {
        name.replace("stem", "first").replace("head", "last"): value
        for name, value in network.state_dict().items()
    }
    state["first.0.weight"] = state["first.0.weight"].flip(1)
    torch.save(state, tmp_path / "net.pth")
    images = torch.from_numpy(noise_images(TRIAL.images, TRIAL.size, TRIAL.seed)).float() / 255
    with torch.inference_mode():
        raw = network(images).numpy()
    about = {
        "program": "the test",
        "seed": "5",
        "size": "32",
        "images_sha256": images_sha256(TRIAL),
    }
    save_file({"raw": np.ascontiguousarray(raw)}, tmp_path / "outputs.safetensors", about)
    published["sha256"] = {".pth": sha256(tmp_path / "net.pth")}
    method = write_method(tmp_path, published)
    (tmp_path / "outputs.safetensors").rename(method.folder / "outputs.safetensors")
    return method, raw, about


def test_a_state_dictionary_is_held_against_kept_outputs(kept, tmp_path):
    proof = check_weights(kept[0], tmp_path)
    assert proof.holds
    assert (proof.trial, proof.program) == (TRIAL, "the test")
    assert proof.differences[0].n_values == kept[1].size


def test_kept_outputs_that_differ_are_seen(kept, tmp_path):
    method, raw, about = kept
    raw[1, 3, 2] += 1e-3
    save_file({"raw": raw}, method.folder / "outputs.safetensors", about)
    assert not check_weights(method, tmp_path).holds


def test_kept_outputs_are_of_their_images_alone(kept, tmp_path):
    method, raw, about = kept
    with pytest.raises(ConfigError, match="the published program's outputs are kept for"):
        check_weights(method, tmp_path, Trial(64, 2, 5))
    save_file({"raw": raw}, method.folder / "outputs.safetensors", {**about, "seed": "6"})
    with pytest.raises(WeightsError, match="images_sha256"):
        check_weights(method, tmp_path)
    (method.folder / "outputs.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="kept outputs"):
        check_weights(load_method("tiny", tmp_path / "models"), tmp_path)
