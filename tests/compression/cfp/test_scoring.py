"""Scores of whole networks: taps, averages over places, batches, and the network left as it was."""

import numpy as np
import pytest
import torch
from tests.networks import PRUNABLE, lively

from defectbench.base.errors import CompressionError
from defectbench.compression.cfp import scoring
from defectbench.compression.cfp.filters import FilterScores
from defectbench.compression.cfp.scoring import score_channels


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def images(count=3, side=32):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def scores_of(maps):
    gathered = FilterScores()
    gathered.add(maps)
    return gathered.scores()


@pytest.mark.parametrize("name", PRUNABLE)
def test_every_set_has_scores_of_its_width(name):
    network = lively(name, factor=0.0625)
    found = score_channels(network, [images(2)])
    assert list(found) == list(network.widths)
    for channels in network.channel_sets:
        own = found[channels.name]
        assert own.ranks.shape == (channels.width,)
        assert own.distances.shape == (channels.width, channels.width)
        assert own.images == 2


def test_maps_of_vgg_are_those_after_relu_or_pooling():
    network = lively("vgg16", factor=0.0625)
    found = score_channels(network, [images()], ["conv1", "conv2", "hidden"])
    with torch.no_grad():
        first = network.features[:3](images())
        second = network.features[:7](images())
        hidden = network.head[:3](network.features(images()).mean((2, 3)))
    assert second.shape[-1] == 16
    for name, maps in [("conv1", first), ("conv2", second), ("hidden", hidden[:, :, None, None])]:
        expected = scores_of(maps)
        np.testing.assert_array_equal(found[name].ranks, expected.ranks)
        np.testing.assert_allclose(found[name].distances, expected.distances, atol=1e-12)


def test_a_residual_stage_has_the_mean_over_its_blocks():
    network, seen = lively("resnet50", factor=0.0625), []
    for block in network.layer2:
        block.register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    found = score_channels(network, [images()], ["layer2"])["layer2"]
    places = [scores_of(maps) for maps in seen]
    assert len(places) == 4
    np.testing.assert_allclose(found.ranks, np.mean([p.ranks for p in places], 0), atol=1e-12)
    expected = np.mean([p.distances for p in places], 0)
    np.testing.assert_allclose(found.distances, expected, atol=1e-12)


def test_neither_batches_nor_chunks_matter(monkeypatch):
    network = lively("vgg16", factor=0.0625)
    one = score_channels(network, [images(4)], ["conv3"])["conv3"]
    monkeypatch.setattr(scoring, "CHUNK", 1)
    many = score_channels(network, iter(images(4).split([1, 3])), ["conv3"])["conv3"]
    assert one.images == many.images == 4
    np.testing.assert_allclose(one.ranks, many.ranks, atol=1e-12)
    np.testing.assert_allclose(one.distances, many.distances, atol=1e-6)


@pytest.mark.parametrize("trains", [True, False])
def test_the_network_is_left_as_it_was(trains):
    network = lively("vgg16", factor=0.0625).train(trains)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    score_channels(network, [images()])
    assert network.training is trains
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_gone_after_an_error():
    network = lively("vgg16", factor=0.0625)
    with pytest.raises(RuntimeError):
        score_channels(network, [torch.rand(1, 4, 32, 32)])
    assert not any(module._forward_hooks for module in network.modules())


def test_wrong_sets_and_no_images_are_named_errors():
    network = lively("vgg16", factor=0.0625)
    with pytest.raises(CompressionError, match="conv99"):
        score_channels(network, [images()], ["conv99"])
    with pytest.raises(CompressionError, match="at least one batch"):
        score_channels(network, [])
