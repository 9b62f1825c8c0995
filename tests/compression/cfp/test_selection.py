"""Which channels stay: by hand on small sets, and the same widths for every control."""

import numpy as np
import pytest
import torch
from tests.networks import PRUNABLE, build_classifier, lively, sketch

from defectbench.base.errors import CompressionError
from defectbench.compression.cfp.filters import LayerScores
from defectbench.compression.cfp.scoring import score_channels
from defectbench.compression.cfp.selection import (
    select_at_random,
    select_by_norm,
    select_by_rank,
    select_cfp,
    widths_of,
)
from defectbench.compression.cfp.widths import sets_pruned, widths_at

SMALL = {"conv1": 6, "conv13": 4, "hidden": 4}


def scores(ranks, places):
    places = np.array(places, float)
    return LayerScores(np.array(ranks, float), np.abs(places[:, None] - places), 1)


SEEN = {
    "conv1": scores([5, 1, 9, 2, 8, 7], [0, 0.1, 0.2, 9, 9.1, 9.2]),
    "conv13": scores([1, 2, 3, 4], [0, 0, 0, 0]),
    "hidden": scores([0.5, 0.1, 0.9, 0.5], [0, 5, 10, 99]),
}


def test_each_cluster_gives_its_share():
    kept = select_cfp(sketch("vgg16", 6, SMALL), SEEN, {"conv1": 0.34})
    assert kept["conv1"] == [2, 4]  # floor(0.66 * 3) = 1 of each of two clusters
    assert kept["conv2"] == list(range(64))
    one = select_cfp(sketch("vgg16", 6, SMALL), SEEN, {"conv1": 0.34}, scale=1.0)
    assert one["conv1"] == [2, 4, 5]  # floor(0.66 * 6) = 3 of one cluster
    assert select_by_rank(sketch("vgg16", 6, SMALL), SEEN, {"conv1": 2})["conv1"] == [2, 4]
    assert select_by_rank(sketch("vgg16", 6, SMALL), SEEN, {"conv1": 3})["conv1"] == [2, 4, 5]


def test_always_two_clusters_as_in_the_published_script():
    own = {"conv1": scores([5, 1, 9, 2, 8, 7], [0, 0.1, 0.2, 4, 9, 9.2])}
    network = sketch("vgg16", 6, SMALL)
    kept = select_cfp(network, own, {"conv1": 0.5}, scale=float("inf"), most=2)
    assert kept["conv1"] == [0, 2, 4]  # of four and of two


def test_a_lonely_channel_is_lost_unless_it_must_stay():
    own = {"conv1": scores([1, 2, 3, 4, 5, 9], [0, 0.1, 0.2, 0.3, 0.4, 50])}
    network = sketch("vgg16", 6, SMALL)
    assert select_cfp(network, own, {"conv1": 0.4})["conv1"] == [2, 3, 4]
    assert select_cfp(network, own, {"conv1": 0.4}, least=1)["conv1"] == [2, 3, 4, 5]


def test_the_hidden_layer_keeps_as_many_as_the_last_convolution_by_rank():
    kept = select_cfp(sketch("vgg16", 6, SMALL), SEEN, {"conv13": 0.5})
    assert kept["conv13"] == [2, 3]
    assert kept["hidden"] == [2, 3]  # among equal ranks the higher index


def test_norms_by_hand():
    network = build_classifier("vgg16", 6, {"conv1": 3, "conv2": 3})
    with torch.no_grad():
        for channel, value in enumerate([0.5, -2.0, 1.0]):
            network.features[0].weight[channel] = value
    assert select_by_norm(network, {"conv1": 2})["conv1"] == [1, 2]
    assert select_by_norm(network, {"conv1": 1})["conv1"] == [1]


def test_norms_of_all_that_write_a_set_are_added_up():
    network = lively("resnet50", factor=0.0625)
    with torch.no_grad():
        for n, block in enumerate(network.layer1):
            block.conv3.weight.zero_()
            block.conv3.weight[n + 4] = 1.0
        network.layer1[0].downsample[0].weight.zero_()
        network.layer1[0].downsample[0].weight[9] = 100.0
    assert select_by_norm(network, {"layer1": 4})["layer1"] == [4, 5, 6, 9]


def test_random_channels_depend_on_seed_and_set_only():
    network, widths = sketch("vgg16", 6), {"conv1": 20, "conv2": 20}
    one, again = (select_at_random(network, widths, seed=3) for _ in range(2))
    assert one == again
    assert one["conv1"] != one["conv2"]
    assert one["conv1"] != select_at_random(network, widths, seed=4)["conv1"]
    assert select_at_random(network, {"conv2": 20}, seed=3)["conv2"] == one["conv2"]


@pytest.mark.parametrize("name", PRUNABLE)
def test_every_criterion_at_equal_widths(name):
    network = lively(name, factor=0.0625)
    rates = {channels.role: 0.4 for channels in network.channel_sets if channels.role != "hidden"}
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = score_channels(network, [images], sets_pruned(network, rates))
    kept = select_cfp(network, seen, rates)
    widths = widths_of(kept)
    bound = widths_at(network, rates)
    assert all(max(1, bound[n] - 3) <= widths[n] <= bound[n] for n in widths if n != "hidden")
    for other in (
        select_by_rank(network, seen, widths),
        select_by_norm(network, widths),
        select_at_random(network, widths, 0),
    ):
        assert widths_of(other) == widths
        assert all(own == sorted(set(own)) for own in other.values())
        assert all(own[-1] < network.widths[n] for n, own in other.items())


def test_missing_or_foreign_scores_are_named_errors():
    with pytest.raises(CompressionError, match="conv1 has 64 channels"):
        select_cfp(sketch("vgg16", 6), SEEN, {"conv1": 0.5})
    with pytest.raises(CompressionError, match="score this network"):
        select_by_rank(sketch("vgg16", 6), {}, {"conv2": 3})


@pytest.mark.parametrize("widths", [{"conv1": 0}, {"conv1": 65}, {"conv99": 1}])
def test_wrong_widths_are_named_errors(widths):
    for select in (select_by_norm, lambda network, w: select_at_random(network, w, 0)):
        with pytest.raises(CompressionError, match="conv"):
            select(sketch("vgg16", 6), widths)
