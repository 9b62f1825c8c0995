"""ImageNet weights of a classifier: all is taken but the classes, and normalisation goes into the network."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from defectbench.base.methods import build_network, load_method
from defectbench.base.records import read_record
from defectbench.weights.fetching import fetch_weights
from defectbench.weights.files import find_files
from defectbench.weights.images import noise_images
from defectbench.weights.published import network_with, published_weights
from defectbench.weights.starting import take_published
from defectbench.weights.state_dict import read_state_dict

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def method():
    return load_method("mobilenetv2", ROOT / "models")


@pytest.fixture(scope="module")
def folder(method):
    place = os.environ.get("DEFECTBENCH_WEIGHTS")
    sha256 = method.card.weights["imagenet"].sha256
    if not place or not list(Path(place).glob("mobilenet_v2*.pth")):
        pytest.skip(f"DEFECTBENCH_WEIGHTS names no folder with the file {sha256['.pth'][:8]}")
    return Path(place)


def test_colours_as_they_are_give_nearly_what_normalised_ones_give(method, folder):
    weights = published_weights(method, "imagenet")
    file = find_files(weights.sha256, folder)[".pth"]
    plain = build_network(method, 1000, {}).eval()
    plain.load_state_dict(read_state_dict(file))
    pixels = torch.from_numpy(noise_images(3, 224, 0)).float()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (weights.input.mean, weights.input.std))
    inside = network_with(method, weights, {".pth": file})
    with torch.inference_mode():
        expected, given = plain((pixels - mean) / std), inside(pixels / 255)
    assert expected.std() > 0.5
    assert (given - expected).abs().mean() < 0.2 * expected.std()  # its padding is black


def test_six_classes_take_all_but_the_classes(method, folder, tmp_path):
    fetch_weights(method, "imagenet", tmp_path, folder)
    record = read_record(tmp_path / "published.json", "published")
    network = build_network(method, 6, {})
    taken = take_published(network, load_file(tmp_path / "weights.safetensors"), record, "file")
    assert sorted(taken.fresh) == ["classifier.1.bias", "classifier.1.weight"]
    assert sorted(taken.left) == ["classifier.1.bias[0:1000]", "classifier.1.weight[0:1000]"]
    assert taken.partly == []
    assert not taken.shifts


def test_the_card_names_licence_and_address(method):
    weights = method.card.weights["imagenet"]
    assert weights.url[".pth"].startswith("https://")
    assert weights.licence.startswith("BSD-3-Clause")
    page = (ROOT / "docs" / "weights.md").read_text()
    assert weights.sha256[".pth"][:8] in page
