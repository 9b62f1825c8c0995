"""Networks that lose channels and units: which groups they have, what they compute afterwards, how they are rebuilt."""

import copy
import json
from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch import nn

from defectbench.base.errors import CompressionError
from defectbench.base.methods import load_card, load_method, method_names
from defectbench.compression.slimming.channels import ChannelGraph
from defectbench.compression.slimming.constants import absorb_constants, recalibrate
from defectbench.compression.slimming.cut import (
    Pruning,
    choose_masks,
    cut_channels,
    cut_detector,
)
from defectbench.compression.slimming.masks import masks_to_size
from defectbench.compression.slimming.units import drop_units, unit_scores, units_to_drop
from defectbench.nn.plan import Plan, read_plan, write_plan
from defectbench.nn.size import stored_mib
from defectbench.nn.yolov4 import YOLOv4

MODELS = Path(__file__).parents[3] / "models"
NETWORKS = {
    "yolov4": ("yolov4", {"width": 0.13}, 0.5),
    "yolov4_thin": ("yolov4_thin", {"width": 0.1}, 0.5),
    "yolov8n": ("yolov8n", {}, 2.0),
    "tinydefectnet": ("tinydefectnet", {}, 2.0),
    "tinydefectnet-star": ("tinydefectnet", {"form": "star"}, 2.0),
    "tinydefectnet-asym": ("tinydefectnet", {"form": "asym", "head": "decoupled"}, 2.0),
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def build(name, **more):
    method, options, _ = NETWORKS[name]
    return load_method(method, MODELS).module.build(6, **options, **more)


def uneven(model):
    """A network whose scales and shifts are drawn, so that every channel matters differently."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.05, 2.0)
            nn.init.normal_(module.bias, std=0.3)
    recalibrate(model, [torch.rand(4, 3, 64, 64)])  # so that figures stay near 1
    return model


@torch.no_grad()
def run(model, size=64):
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    return model(images)


@torch.no_grad()
def silence(graph, masks):
    """Zero whatever the lost channels give, in the whole network."""
    for (name, takes), gone in graph.lost(masks).items():
        module = graph.modules[name]
        if not takes and isinstance(module, nn.BatchNorm2d):
            module.weight[gone] = 0.0
        if not takes and module.bias is not None:
            module.bias[gone] = 0.0


def test_stored_size_is_that_of_the_paper():
    with torch.device("meta"):
        whole = load_method("yolov4", MODELS).module.build(6)
    assert size_of(whole) == 63_964_611
    assert stored_mib(whole) == pytest.approx(244.26, abs=0.005)


def test_all_methods_that_say_so_are_tested_here():
    cards = [load_card(MODELS / name) for name in method_names(MODELS)]
    prunable = {card.name for card in cards if card.prunable and card.task == "detection"}
    assert prunable == {method for method, _, _ in NETWORKS.values()}


def test_yolov4_has_84_groups_and_five_chains():
    graph = ChannelGraph(YOLOv4(6, Plan(0.05)))
    assert len(graph.groups) == 84
    members = sorted(len(group.norms) for group in graph.groups if len(group.norms) > 1)
    assert members == [2, 3, 5, 9, 9]
    chain = next(g for g in graph.groups if g.root == "backbone.stages.1.main.0")
    assert sorted(norm.name for norm in chain.norms) == [
        "backbone.stages.1.main.1",
        "backbone.stages.1.units.0.expand.1",
        "backbone.stages.1.units.1.expand.1",
    ]
    names = {member.name for group in graph.groups for member in group.members if not member.takes}
    assert not [name for name in names if name.startswith("head.outputs")]


def test_every_batch_norm_and_every_input_is_in_one_group():
    for name, groups in (("yolov8n", 51), ("tinydefectnet", 21)):
        graph = ChannelGraph(build(name))
        assert len(graph.groups) == groups
        places = [(m.name, m.takes, int(n)) for g in graph.groups for m in g.members for n in m.own]
        assert len(places) == len(set(places))
        norms = {k: m for k, m in graph.modules.items() if isinstance(m, nn.BatchNorm2d)}
        covered = [place for place in places if place[0] in norms]
        assert len(covered) == sum(m.num_features for m in norms.values())


def test_a_split_has_two_parts():
    graph = ChannelGraph(build("yolov8n"))
    group = next(g for g in graph.groups if g.root == "backbone.stages.0.1.first.0")
    first, second = group.parts[:32].unique(), group.parts[32:].unique()
    assert len(first) == len(second) == 1
    assert first != second
    last = next(m for m in group.members if m.name == "backbone.stages.0.1.last.0")
    assert last.own.sort().values.tolist() == list(range(128))
    assert last.of[last.own.argsort()].tolist() == [*range(64), *range(32, 64), *range(32, 64)]


class TwoBranches(nn.Module):
    """A convolution without a norm, behind which nothing comes but a sum with one that has a norm."""

    def __init__(self):
        super().__init__()
        self.plain, self.other = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.plain(x) + self.norm(self.other(x))


def test_a_sum_with_a_normed_branch_is_cut_with_it():
    (group,) = ChannelGraph(TwoBranches()).groups
    assert group.root == "plain"
    assert sorted(member.name for member in group.members) == ["norm", "other", "plain"]


@pytest.mark.parametrize(
    ("name", "absorb"), [*((name, False) for name in NETWORKS), ("yolov8n", True)]
)
def test_a_cut_network_computes_what_the_silenced_one_does_and_is_rebuilt(name, absorb, tmp_path):
    target = NETWORKS[name][2]
    graph = ChannelGraph(uneven(build(name)))
    masks = masks_to_size(graph, target, layer_keep=0.05)
    if absorb:  # constants have moved into consumers, which both then have
        absorb_constants(graph, masks, torch.rand(2, 3, 64, 64))
    model, whole = graph.model, copy.deepcopy(graph)
    predicted = graph.stored_mib(masks)
    silence(whole, masks)
    cut_channels(graph, masks)
    assert stored_mib(model) == predicted <= target
    expected, found = run(whole.model), run(model)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    write_plan(model, tmp_path / "plan.json")
    again = build(name, plan=read_plan(tmp_path / "plan.json"))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(run(again.eval()), found)
    assert found.shape == run(build(name).eval()).shape
    assert min(json.loads((tmp_path / "plan.json").read_text())["widths"].values()) >= 1


@pytest.mark.parametrize("name", ["yolov4", "yolov8n", "tinydefectnet"])
def test_the_smallest_cut_leaves_a_channel_everywhere(name):
    model = uneven(build(name))
    graph = ChannelGraph(model)
    masks = choose_masks(graph, Pruning(rule="classic", percent=1.0, layer_keep=0.0))
    cut_channels(graph, masks)
    plan = Plan.of(model)
    assert min(plan.widths.values()) == 1
    assert all(min(parts) >= 1 for parts in plan.splits.values())
    assert run(model).isfinite().all()
    again = build(name, plan=plan.to_dict())
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again.eval()), run(model))


def test_size_of_yolov4_falls_with_every_larger_share():
    graph = ChannelGraph(uneven(YOLOv4(6, Plan(0.05))))
    sizes = [
        graph.stored_mib(choose_masks(graph, Pruning(rule="classic", percent=p)))
        for p in (0.0, 0.3, 0.5, 0.7, 0.85, 0.93)
    ]
    assert sizes == sorted(set(sizes), reverse=True)


def test_units_are_ranked_by_the_mean_of_their_second_batch_norm():
    model = YOLOv4(6, Plan(0.05))
    units = list(unit_scores(model))
    assert len(units) == 23
    for rank, name in enumerate(units):
        model.get_submodule(name).expand[1].weight.data.fill_((rank * 7 % 23 + 1) / 10)
    scores = unit_scores(model)
    assert scores[units[3]] == pytest.approx(2.2)
    graph = ChannelGraph(model)
    lowest = units_to_drop(graph, {}, 3)
    assert lowest == sorted(units, key=scores.get)[:3] == [units[0], units[10], units[20]]
    with pytest.raises(CompressionError, match="23 residual units"):
        units_to_drop(graph, {}, 24)


def test_units_are_judged_by_the_channels_that_stay():
    model = uneven(YOLOv4(6, Plan(0.1)))
    graph = ChannelGraph(model)
    masks = masks_to_size(graph, 0.7 * stored_mib(model))
    foretold = units_to_drop(graph, masks, 5)
    cut_channels(graph, masks)
    scores = unit_scores(model)
    assert foretold == sorted(scores, key=scores.get)[:5]


def test_a_stage_may_lose_all_of_its_units(tmp_path):
    model = uneven(YOLOv4(6, Plan(0.05)))
    drop_units(
        model, [f"backbone.stages.1.units.{n}" for n in (0, 1)] + ["backbone.stages.4.units.2"]
    )
    plan = Plan.of(model).to_dict()
    assert plan["units"]["backbone.stages.1"] == []
    assert plan["units"]["backbone.stages.4"] == [0, 1, 3]
    again = YOLOv4(6, Plan(**plan)).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again), run(model))


def test_constants_of_silent_channels_are_absorbed_exactly_without_borders():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Mish(),
        nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3), nn.Mish(), nn.Conv2d(3, 2, 1),
    )  # fmt: skip
    uneven(net)
    with torch.no_grad():
        net[1].weight[1] = net[1].weight[2] = net[4].weight[0] = 0.0  # silent, but not zero
    expected = run(net)
    masks = {
        "0": torch.tensor([True, False, False, True]),
        "3": torch.tensor([False, True, True]),
    }
    for absorb in (True, False):
        cut = copy.deepcopy(net)
        graph = ChannelGraph(cut)
        assert not absorb or absorb_constants(graph, masks, torch.rand(1, 3, 8, 8)) == []
        cut_channels(graph, masks)
        assert torch.allclose(run(cut), expected, atol=1e-6) == absorb


def test_absorbing_brings_a_cut_yolov4_nearer_to_its_whole():
    whole = ChannelGraph(uneven(YOLOv4(6, Plan(0.1))))
    masks = masks_to_size(whole, 0.7 * stored_mib(whole.model))
    with torch.no_grad():
        for (name, takes), gone in whole.lost(masks).items():
            if not takes and isinstance(whole.modules[name], nn.BatchNorm2d):
                whole.modules[name].weight[gone] = 0.0
    expected, errors = run(whole.model, 128), {}
    for absorb in (True, False):
        graph = copy.deepcopy(whole)
        if absorb:
            assert absorb_constants(graph, masks, torch.rand(1, 3, 128, 128)) == []
        cut_channels(graph, masks)
        errors[absorb] = float((run(graph.model, 128) - expected).norm() / expected.norm())
    assert errors[True] < 0.5 * errors[False]


def test_consumers_without_a_place_for_constants_are_named():
    model = uneven(build("tinydefectnet"))
    graph = ChannelGraph(model)
    masks = masks_to_size(graph, 2.0)
    left = absorb_constants(graph, masks, torch.rand(1, 3, 64, 64))
    assert left == [f"head.enter.{n}.0" for n in range(3)]  # group norms follow them


def test_recalibration_averages_over_batches():
    net = nn.Sequential(nn.BatchNorm2d(1, momentum=0.03)).train()
    net[0].running_mean.fill_(99)
    batches = [torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), torch.tensor([5.0, 9.0]).view(2, 1, 1, 1)]
    assert recalibrate(net, iter(batches)) == 2
    assert net[0].running_mean.item() == pytest.approx((2 + 7) / 2)
    assert net[0].running_var.item() == pytest.approx((2 + 8) / 2)  # unbiased
    assert net[0].momentum == 0.03
    assert not net.training
    with pytest.raises(CompressionError, match="at least one batch"):
        recalibrate(net, [])
    assert net[0].running_mean.item() == pytest.approx(4.5)


def test_a_whole_pruning_keeps_its_promises(tmp_path):
    model = uneven(YOLOv4(6, Plan(0.13)))
    batches = [torch.rand(2, 3, 64, 64) for _ in range(3)]
    figures = cut_detector(model, Pruning(target_mib=1.0, drop_units=12), batches)
    assert figures["size_mib_before"] == pytest.approx(4.23, abs=0.005)
    assert 0.97 < figures["size_mib"] == stored_mib(model) <= 1.0
    assert figures["params"] == size_of(model)
    assert figures["channels"] < figures["channels_before"] == 3624
    assert (figures["groups"], len(figures["units_dropped"]), figures["batches_seen"]) == (
        84,
        12,
        3,
    )
    assert len(unit_scores(model)) == 11
    write_plan(model, tmp_path / "plan.json")
    again = build("yolov4", plan=read_plan(tmp_path / "plan.json")).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again), run(model))


@pytest.mark.parametrize(
    ("settings", "batches", "match"),
    [
        ({"target_mib": 0.001}, 1, "MiB stay"),
        ({"drop_units": 24}, 1, "23 residual units"),
        ({}, 0, "at least one batch"),
    ],
)
def test_prunings_that_cannot_be_are_refused(settings, batches, match):
    images = [torch.rand(1, 3, 64, 64)] * batches
    with pytest.raises(CompressionError, match=match):
        cut_detector(YOLOv4(6, Plan(0.05)), Pruning(**settings), images)


def test_plans_that_cannot_be_read_are_refused(tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(CompressionError, match="prune the network first"):
        read_plan(path)
    for text in ("{", "[]", '{"depth": 3}', '{"widths": 3}', '{"widths": {"a": "b"}}'):
        path.write_text(text)
        with pytest.raises(CompressionError, match="widths, units and splits"):
            read_plan(path)
    path.write_text('{"widths": {"a": 0}}')
    with pytest.raises(CompressionError, match="at least one channel"):
        read_plan(path)
