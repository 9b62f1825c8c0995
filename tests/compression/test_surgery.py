"""Pruned networks compute what the whole one does with the dropped channels at zero, and come back from a file."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.counting import size_of
from tests.networks import PRUNABLE, lively, masked_forward

from defectbench.base.errors import CompressionError, ConfigError
from defectbench.compression.rates import widths_at
from defectbench.compression.selection import select_at_random, widths_of
from defectbench.compression.surgery import prune
from defectbench.nn.classifiers import build_planned
from defectbench.nn.plan import read_plan

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(network, rate, seed=0, only=None):
    rates = {c.name: rate for c in network.channel_sets if only is None or c.role == only}
    return select_at_random(network, widths_at(network, rates), seed)


PLANS = [
    pytest.param({"rate": 0.5}, id="half"),
    pytest.param({"rate": 0.8, "seed": 1}, id="a fifth"),
    pytest.param({"rate": 0.999}, id="one channel each"),
]
ROLES = [
    ("vgg16", "conv"),
    ("vgg16", "hidden"),
    ("resnet50", "stem"),
    ("resnet50", "out"),
    ("resnet50", "mid"),
    ("mobilenet_v2", "stem"),
    ("mobilenet_v2", "out"),
    ("mobilenet_v2", "mid"),
    ("mobilenet_v2", "last"),
    ("repvgg_a0_plain", "block"),
    ("repvgg_a0_plain", "last"),
]


def held(network, kept):
    pruned = prune(network, kept)
    assert pruned.widths == {**network.widths, **widths_of(kept)}
    with torch.no_grad():
        found = pruned(IMAGES)
    expected = masked_forward(network, kept, IMAGES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        whole = network(IMAGES)
    assert not torch.allclose(whole[0], whole[1], rtol=1e-2, atol=1e-2)  # images tell
    assert not torch.allclose(found, whole, rtol=1e-2, atol=1e-2)  # and so do the channels


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", PRUNABLE)
def test_pruned_is_masked(name, plan):
    network = lively(name)
    held(network, drawn(network, **plan))


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_pruned_is_masked_role_by_role(name, role):
    network = lively(name, seed=2)
    held(network, drawn(network, 0.6, only=role))


@pytest.mark.parametrize("name", PRUNABLE)
def test_keeping_all_changes_nothing(name):
    network = lively(name, factor=0.0625)
    pruned = prune(network, {})
    state = pruned.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def test_pruning_twice_is_pruning_at_once():
    network = lively("vgg16")
    twice = prune(prune(network, {"conv3": [1, 3, 5, 7, 9]}), {"conv3": [0, 4]})
    once = prune(network, {"conv3": [1, 9]})
    for a, b in zip(twice.state_dict().values(), once.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", PRUNABLE)
def test_only_convolutions_are_inherited_as_published(name):
    network = lively(name, factor=0.125)
    kept = drawn(network, 0.5)
    full, bare = prune(network, kept), prune(network, kept, "conv_only", seed=3)
    again, other = (prune(network, kept, "conv_only", seed=seed) for seed in (3, 4))
    heads = 0
    for key, value in bare.state_dict().items():
        whole = full.state_dict()[key]
        if value.dim() == 4:
            assert torch.equal(value, whole)
        elif key.endswith(("running_mean", "bias")):
            assert not value.any()
        elif key.endswith("running_var") or value.dim() == 1:
            assert (value == 1).all()
        elif value.dim() == 2:
            heads += 1
            assert torch.equal(value, again.state_dict()[key])
            assert not torch.equal(value, other.state_dict()[key])
            assert not torch.equal(value, whole)
    assert heads == (2 if name == "vgg16" else 1)


def test_the_network_and_the_global_draws_are_left_as_they_were():
    network = lively("vgg16").double().train()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    pruned = prune(network, {"conv1": [0]}, "conv_only")
    assert torch.equal(torch.rand(1), expected)
    assert pruned.training
    assert next(pruned.parameters()).dtype == torch.float64
    assert network.widths["conv1"] == 8
    pruned.features[0].weight.data.zero_()
    assert network.features[0].weight.any()


@pytest.mark.parametrize("indices", [[], [1, 0], [0, 0], [-1, 2], [0, 8]])
def test_wrong_indices_are_named_errors(indices):
    with pytest.raises(CompressionError, match=r"conv1: got .*give at least one of 0 to 7"):
        prune(lively("vgg16"), {"conv1": indices})


def test_wrong_names_are_named_errors():
    with pytest.raises(CompressionError, match="conv99"):
        prune(lively("vgg16"), {"conv99": [0]})
    with pytest.raises(ConfigError, match="full, conv_only"):
        prune(lively("vgg16"), {}, "some")


@pytest.mark.parametrize("name", PRUNABLE)
def test_plan_and_state_dict_rebuild_a_network_bit_by_bit(name, tmp_path):
    network = lively(name, factor=0.0625)
    pruned = prune(network, drawn(network, 0.5))
    plan = {"network": pruned.name, "widths": pruned.widths}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    save_file(pruned.state_dict(), tmp_path / "weights.safetensors")
    back = build_planned(name, network.nc, plan=read_plan(tmp_path / "plan.json"))
    back.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert size_of(back) == size_of(pruned)
    state = back.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in pruned.state_dict().items())
    with torch.no_grad():
        assert torch.equal(back.eval()(IMAGES), pruned(IMAGES))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"network": "vgg16"}', "network 'vgg16' with widths None"),
        ('{"network": "vgg16", "widths": [1]}', r"network 'vgg16' with widths \[1\]"),
        ("[]", r"content: got .*network and widths"),
    ],
)
def test_a_plan_that_is_none_is_a_named_error(tmp_path, content, match):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(CompressionError, match=match):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(CompressionError, match="prune the network first"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(CompressionError, match="network: got None; the plan is of another network"):
        build_planned("vgg16", 6, plan={"widths": {}})
