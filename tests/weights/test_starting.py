"""Published weights into a network that trains: folded norms come back, and the network computes the same."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from defectbench.base.errors import WeightsError
from defectbench.base.methods import build_network, load_method
from defectbench.base.records import read_record
from defectbench.weights.fetching import fetch_weights
from defectbench.weights.images import noise_images
from defectbench.weights.published import network_with, published_weights
from defectbench.weights.starting import in_batches, take_published, unfold
from tests.weights.tiny_method import trained, write_all

ROOT = Path(__file__).parents[2]
FOLDED = ("nanodet_m", "nanodet_plus_m", "yolox_nano")


def fetched(method, name, folder, mirror):
    fetch_weights(method, name, folder, mirror)
    record = read_record(folder / "published.json", "published")
    return load_file(folder / "weights.safetensors"), record


def images(count, size, seed=0):
    return torch.from_numpy(noise_images(count, size, seed))


@pytest.fixture
def tiny(tmp_path):
    method = write_all(tmp_path)
    return method, *fetched(method, "noise", tmp_path / "out", tmp_path)


def test_a_folded_network_comes_back_with_norms(tiny):
    method, state, record = tiny
    torch.manual_seed(3)
    network = method.module.build(3)
    taken = take_published(network, state, record, "file", ["a", "b", "c"])
    unfold(network, taken.shifts, in_batches(images(4, 32)))
    assert (taken.fresh, taken.left, taken.partly) == ([], [], [])
    assert sorted(taken.shifts) == ["body.0.1", "stem.1"]
    assert network.training
    pixels = images(2, 48, 7).float() / 255
    with torch.inference_mode():
        published = trained(method).deploy().detector(pixels)
        ours = network.eval()(pixels)
    assert published.std() > 0.1
    assert (ours - published).abs().max() < 2e-3  # the file holds 16-bit weights
    with torch.inference_mode():
        folded = network.deploy().detector(pixels)
    assert (ours - folded).abs().max() < 1e-5


def test_norms_have_the_statistics_of_the_images(tiny):
    method, state, record = tiny
    network = method.module.build(3)
    shown = images(5, 32)
    taken = take_published(network, state, record, "file")
    unfold(network, taken.shifts, in_batches(shown, size=2))
    before = network.stem[0](network.normalise(shown.float() / 255))
    norm = network.stem[1]
    assert torch.allclose(norm.running_mean, before.mean((0, 2, 3)), atol=1e-5)
    variance = before.var((0, 2, 3), correction=0)
    assert torch.allclose(norm.running_var, variance, rtol=1e-4)
    network.train()
    with torch.no_grad():
        normed = norm(before) - norm.bias.view(1, -1, 1, 1)
        plain = before - before.mean((0, 2, 3), keepdim=True)
    assert torch.allclose(normed, plain, atol=1e-3)  # so that the first step sees what it expects


def test_another_number_of_classes_draws_their_channels_alone(tiny):
    method, state, record = tiny
    network = method.module.build(5)
    drawn = {name: value.clone() for name, value in network.state_dict().items()}
    taken = take_published(network, state, record, "file")
    weight = network.head.weight
    assert torch.equal(weight[:4], state["head.weight"][:4])
    assert torch.equal(weight[4:], drawn["head.weight"][4:])
    assert torch.equal(network.head.bias[4:], drawn["head.bias"][4:])
    assert sorted(taken.partly) == ["head.bias", "head.weight"]
    assert sorted(taken.left) == ["head.bias[4:7]", "head.weight[4:7]"]
    assert taken.n_numbers == 8 * 27 + 8 + 8 * 9 + 8 + 4 * 8 + 4
    assert taken.words()["n_norms_unfolded"] == 2


@pytest.mark.parametrize(
    ("known", "wanted"),
    [(["a", "b", "c"], ["c", "b", "a"]), (["a", "b", "c"], ["x", "y", "z"]), ([], ["a", "b", "c"])],
)
def test_as_many_classes_are_fresh_unless_they_are_the_published_ones(tiny, known, wanted):
    method, state, record = tiny
    network = method.module.build(3)
    drawn = network.head.weight.clone()
    taken = take_published(network, state, {**record, "published_classes": known}, "file", wanted)
    assert torch.equal(network.head.weight[4:], drawn[4:])
    assert torch.equal(network.head.weight[:4], state["head.weight"][:4])
    assert sorted(taken.left) == ["head.bias[4:7]", "head.weight[4:7]"]


def test_another_network_is_refused(tiny):
    method, state, record = tiny
    wide = method.module.build(3)
    wide.head = torch.nn.Conv2d(9, 7, 1)
    with pytest.raises(WeightsError, match=r"tensor head.weight: got \[7, 8, 1, 1\]"):
        take_published(wide, state, record, "file")
    other = method.module.build(3)
    del other.head
    with pytest.raises(WeightsError, match=r"no such tensor in the network"):
        take_published(other, state, record, "file")
    narrow = method.module.build(3)
    with pytest.raises(WeightsError, match=r"tensor head\.bias"):
        take_published(narrow.__class__(5), state, {**record, "class_channels": {}}, "file")
    deep = method.module.build(3)
    deep.stem[1] = torch.nn.BatchNorm2d(4)
    with pytest.raises(WeightsError, match=r"bias before stem.1: got \[8\]"):
        take_published(deep, state, record, "file")


@pytest.mark.parametrize("name", [*FOLDED, "yolo_fastestv2"])
def test_published_files_compute_the_same_before_and_after(name, tmp_path):
    folder = os.environ.get("DEFECTBENCH_WEIGHTS")
    if not folder:
        pytest.skip("DEFECTBENCH_WEIGHTS names no folder of published weights")
    method = load_method(name, ROOT / "models")
    state, record = fetched(method, "coco", tmp_path, folder)
    weights = published_weights(method, "coco")
    files = {
        suffix: next(Path(folder).glob(f"*{_stem(name)}*{suffix}")) for suffix in weights.sha256
    }
    network = build_network(method, 80, method.recipe.options)
    names = [f"class {n}" for n in range(80)]
    record["published_classes"] = names
    taken = take_published(network, state, record, "file", names)
    assert (taken.left, taken.partly) == ([], [])
    assert bool(taken.shifts) == (name in FOLDED)
    unfold(network, taken.shifts, in_batches(images(12, 192, 1)))
    before = network_with(method, weights, files)
    pixels = images(3, 192, 5).float() / 255
    with torch.inference_mode():
        expected, given = before(pixels), network.eval()(pixels)
    assert expected.abs().max() > 5
    assert (given - expected).abs().max() < 2e-4
    assert all(not n.startswith(("backbone.", "neck.", "head.")) for n in taken.fresh)
    heads = build_network(method, 6, method.recipe.options)
    fresh = take_published(heads, state, record, "file")
    assert all("head" in n for n in fresh.left)
    assert fresh.left


def _stem(name):
    return {"nanodet_m": "nanodet_m_320", "nanodet_plus_m": "nanodet_plus_m_416"}.get(name, name)
