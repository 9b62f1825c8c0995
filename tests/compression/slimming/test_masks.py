"""Scales counted, ranked and cut off by hand."""

import pytest
import torch
from torch import nn

from defectbench.base.errors import CompressionError
from defectbench.compression.slimming.channels import ChannelGraph
from defectbench.compression.slimming.masks import (
    classic_masks,
    magnitudes,
    masks_to_size,
    scale_histogram,
    threshold,
)
from defectbench.nn.size import stored_mib

FIRST, SECOND = [0.9, 0.1, -0.2, 0.05], [0.01, -0.8, 0.02, 0.03]


class Chain(nn.Module):
    """x + bn(conv(x)) on top of bn(conv(image)), then a predictor: one group of two batch norms."""

    def __init__(self, first=FIRST, second=SECOND):
        super().__init__()
        width = len(first)
        self.stem, self.norm = nn.Conv2d(3, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv, self.second = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        self.out = nn.Conv2d(width, 2, 1)
        self.norm.weight.data, self.second.weight.data = torch.tensor(first), torch.tensor(second)

    def forward(self, x):
        x = self.norm(self.stem(x))
        return self.out(x + self.second(self.conv(x)))


class Row(nn.Sequential):
    """Convolutions with batch norms one after the other, and a predictor: a group each."""

    def __init__(self, *scales):
        layers, c_in = [], 3
        for values in scales:
            layers += [nn.Conv2d(c_in, len(values), 1, bias=False), nn.BatchNorm2d(len(values))]
            layers[-1].weight.data = torch.tensor(values)
            c_in = len(values)
        super().__init__(*layers, nn.Conv2d(c_in, 2, 1))


def kept(masks):
    return {root: "".join("x" if k else "." for k in keep) for root, keep in masks.items()}


def test_scales_are_counted_in_classes():
    model = Row([0.0, 0.005, -0.005, 0.01], [0.5, 1.0, -2.0])
    assert magnitudes(model).tolist() == pytest.approx([0, 0.005, 0.005, 0.01, 0.5, 1, 2])
    assert scale_histogram(model, (0.0, 0.01, 0.1, 1.0)) == [3, 1, 1, 2]
    assert sum(scale_histogram(model)) == 7


@pytest.mark.parametrize(("percent", "limit"), [(0.0, 0.01), (0.5, 0.1), (0.874, 0.8), (1.0, 0.9)])
def test_the_threshold_is_a_quantile_of_single_scales(percent, limit):
    assert threshold(Chain(), percent) == pytest.approx(limit)


def test_a_share_outside_of_0_to_1_is_refused():
    with pytest.raises(CompressionError, match="percent"):
        threshold(Chain(), 85)
    with pytest.raises(CompressionError, match="layer_keep"):
        classic_masks(ChannelGraph(Chain()), 0.5, -1)


def test_a_chain_is_one_group_and_its_largest_scale_counts():
    graph = ChannelGraph(Chain())
    (group,) = graph.groups
    assert group.root == "stem"
    assert {norm.name for norm in group.norms} == {"norm", "second"}
    expected = [max(abs(a), abs(b)) for a, b in zip(FIRST, SECOND, strict=True)]
    assert graph.scores(group).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("percent", "layer_keep", "expected"),
    [
        (0.5, 0.01, "xxx."),  # first keeps 0 and 2, second keeps 1
        (0.99, 0.01, "xx.."),  # the largest of each
        (0.99, 0.5, "xxxx"),  # 0 and 2, 1 and 3
        (0.0, 0.01, "xxxx"),
    ],
)
def test_votes_of_a_chain_are_joined_by_or(percent, layer_keep, expected):
    masks = classic_masks(ChannelGraph(Chain()), percent, layer_keep)
    assert kept(masks) == {"stem": expected}


def test_or_of_votes_is_a_threshold_on_the_largest_scale():
    torch.manual_seed(0)
    first, second = torch.rand(64).tolist(), torch.rand(64).tolist()
    graph = ChannelGraph(Chain(first, second))
    for percent in (0.1, 0.4, 0.7, 0.95):
        keep = classic_masks(graph, percent)["stem"]
        assert torch.equal(keep, graph.scores(graph.groups[0]) > threshold(graph.model, percent))


def test_one_threshold_serves_all_layers_and_none_is_emptied():
    graph = ChannelGraph(Row([0.9, 0.8, 0.7, 0.6], [0.3, 0.2, 0.1], [0.5, 0.65]))
    assert kept(classic_masks(graph, 0.6)) == {"0": "xxx.", "2": "x..", "4": ".x"}


def test_widths_are_rounded_up_to_multiples_by_the_best_that_went():
    graph = ChannelGraph(Row([0.9, 0.1, 0.3, 0.2, 0.05], [0.9, 0.8]))
    masks = classic_masks(graph, 0.6, round_to=4)
    assert kept(masks) == {"0": "xxxx.", "2": "xx"}


def floats_of(widths):
    """Stored numbers of a Row of those widths: weights, scale and shift, mean and variance, the predictor."""
    total, c_in = 0, 3
    for width in widths:
        total, c_in = total + width * (c_in + 4), width
    return total + 2 * (c_in + 1)


def test_size_counts_parameters_and_statistics():
    model = Row([0.5] * 4, [0.5] * 3)
    assert stored_mib(model) * 2**20 == 4 * floats_of([4, 3]) == 4 * (28 + 24 + 8)
    graph = ChannelGraph(model)
    masks = {"0": torch.tensor([True, False, True, False]), "2": torch.tensor([True, True, False])}
    assert graph.stored_mib(masks) * 2**20 == 4 * floats_of([2, 2])


def test_the_size_rule_takes_the_smallest_scales_until_it_fits():
    scales = [[0.9, 0.1, 0.3, 0.2], [0.15, 0.25, 0.8]]
    graph = ChannelGraph(Row(*scales))
    steps = {(4, 3): "xxxx xxx", (3, 3): "x.xx xxx", (3, 2): "x.xx .xx", (2, 2): "x.x. .xx"}
    steps |= {(2, 1): "x.x. ..x", (1, 1): "x... ..x"}
    for widths, expected in steps.items():
        target = 4 * floats_of(widths) / 2**20
        masks = masks_to_size(graph, target)
        assert " ".join(kept(masks).values()) == expected
        assert graph.stored_mib(masks) <= target
    with pytest.raises(CompressionError, match=r"at least .* MiB stay"):
        masks_to_size(graph, 4 * (floats_of((1, 1)) - 1) / 2**20)


def test_a_layer_keeps_its_share_by_the_size_rule():
    graph = ChannelGraph(Row([0.1, 0.2, 0.3, 0.4], [0.9] * 8))
    target = 4 * floats_of((2, 3)) / 2**20
    masks = kept(masks_to_size(graph, target, layer_keep=0.5 - 1e-9))
    assert masks["0"].count("x") == 1
    graph = ChannelGraph(Row([0.1, 0.2, 0.3, 0.4], [0.9] * 3))
    assert kept(masks_to_size(graph, target, layer_keep=0.5))["0"] == "..xx"


def test_size_falls_as_the_share_grows():
    torch.manual_seed(0)
    graph = ChannelGraph(Row(*(torch.rand(n).tolist() for n in (24, 40, 17, 33))))
    sizes = [graph.stored_mib(classic_masks(graph, percent / 20)) for percent in range(21)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]


def test_masks_of_no_group_or_of_nothing_are_refused():
    graph = ChannelGraph(Row([0.5, 0.5]))
    for masks in ({"0": torch.tensor([False, False])}, {"2": torch.tensor([True, False])}):
        with pytest.raises(CompressionError, match="keep at least one"):
            graph.lost(masks)


def test_a_network_without_batch_norms_is_refused():
    with pytest.raises(CompressionError, match="batch norms"):
        ChannelGraph(nn.Sequential(nn.Conv2d(3, 4, 1)))
