"""Classifiers: published parameter counts, shapes, names of public weights, wires that cover every tensor."""

import pytest
import torch
from tests.counting import size_of
from tests.networks import (
    CLASSIFIERS,
    PRUNABLE,
    build_classifier,
    lively,
    scaled_widths,
    sketch,
)

from defectbench.base.errors import CompressionError
from defectbench.nn.classifier import build_planned


@pytest.mark.parametrize(
    ("name", "nc", "parameters"),
    [
        ("vgg16", 6, 14_989_894),
        ("vgg16", 7, 14_990_407),
        ("vgg16", 10, 14_991_946),
        ("resnet50", 6, 23_520_326),
        ("resnet50", 1000, 25_557_032),
        ("mobilenet_v2", 1000, 3_504_872),
        ("mobilenet_v2", 6, 2_231_558),
        ("repvgg_a0", 1000, 9_108_968),
        ("repvgg_a0_plain", 7, 7_037_351),
        ("repvgg_a0_plain", 10, 7_041_194),
    ],
)
def test_parameters(name, nc, parameters):
    assert size_of(sketch(name, nc)) == parameters


def test_a_quarter_of_vgg():
    assert round(size_of(sketch("vgg16", 7, scaled_widths("vgg16", 0.25))) / 1e6, 2) == 0.94


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("factor", [0.001, 0.0625])
def test_logits_of_every_class_at_any_width(name, factor):
    network = lively(name, 5, factor)
    with torch.no_grad():
        assert network(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_maps_shrink_where_they_should():
    shapes = {}
    for name, tap in [
        ("vgg16", "features"),
        ("resnet50", "layer4"),
        ("mobilenet_v2", "features"),
        ("repvgg_a0_plain", "blocks"),
    ]:
        network = lively(name, 5, 0.0625)

        def note(_module, _inputs, output, name=name):
            shapes[name] = tuple(output.shape[2:])

        network.get_submodule(tap).register_forward_hook(note)
        network(torch.rand(1, 3, 64, 64))
    assert shapes == {
        "vgg16": (4, 4),
        "resnet50": (2, 2),
        "mobilenet_v2": (2, 2),
        "repvgg_a0_plain": (2, 2),
    }


@pytest.mark.parametrize(
    ("name", "entries", "some"),
    [
        ("resnet50", 320, ["conv1.weight", "layer1.0.downsample.1.bias", "layer4.2.bn3.weight"]),
        ("mobilenet_v2", 314, ["features.1.conv.1.weight", "features.18.1.running_var"]),
        ("vgg16", 100, ["features.0.weight", "features.41.running_mean"]),
    ],
)
def test_weights_are_named_as_in_public_files(name, entries, some):
    names = sketch(name, 1000).state_dict()
    assert len(names) == entries
    assert set(some) <= set(names)


@pytest.mark.parametrize("name", PRUNABLE)
def test_wires_cover_every_tensor_once_and_say_its_shape(name):
    network = sketch(name, 6, scaled_widths(name, 0.125))
    covered = []
    for wire in network.wires:
        for key, tensor in network.get_submodule(wire.module).state_dict().items():
            covered.append(f"{wire.module}.{key}")
            if wire.writes and tensor.dim():
                assert tensor.shape[0] == network.widths[wire.writes]
            if wire.reads and tensor.dim() > 1:
                assert tensor.shape[1] == network.widths[wire.reads]
    assert sorted(covered) == sorted(network.state_dict())


@pytest.mark.parametrize("name", PRUNABLE)
def test_sets_are_those_of_the_plan_and_taps_show_them(name):
    network, seen = lively(name, 6, 0.0625), {}
    sets = network.channel_sets
    assert [channels.name for channels in sets] == list(network.full_widths)
    for channels in sets:
        for tap in channels.taps:

            def note(_module, _inputs, output, tap=tap):
                seen[tap] = output.shape[1]

            network.get_submodule(tap).register_forward_hook(note)
    network(torch.rand(2, 3, 32, 32))
    for channels in sets:
        assert {seen[tap] for tap in channels.taps} == {channels.width}


def test_where_maps_are_taken():
    taps = {c.name: c.taps for c in sketch("vgg16", 6).channel_sets}
    layers = sketch("vgg16", 6).features
    assert taps.pop("hidden") == ("head.2",)
    after = {n: type(layers[int(tap.split(".")[1])]).__name__ for n, (tap,) in taps.items()}
    pooled = [name for name, layer in after.items() if layer == "MaxPool2d"]
    assert pooled == ["conv2", "conv4", "conv7", "conv10"]
    assert set(after.values()) == {"MaxPool2d", "ReLU"}
    places = [tap for c in sketch("resnet50", 6).channel_sets for tap in c.taps]
    assert len(places) == len(set(places)) == 1 + 16 * 3  # a shortcut repeats its block's output
    assert len(sketch("repvgg_a0_plain", 6).channel_sets) == 22
    chains = {c.name: c.taps for c in sketch("mobilenet_v2", 6).channel_sets}
    assert chains["stem"] == ("features.1.conv.0",)
    assert chains["chain1"] == ("features.1.conv.2",)
    assert chains["expand2"] == ("features.2.conv.1",)
    assert chains["chain2"] == ("features.2.conv.3", "features.3.conv.3")


def test_repvgg_merges_its_branches():
    network = lively("repvgg_a0", 6, 0.125).double()
    plain = network.pruning_form()
    assert plain.name == "repvgg_a0_plain"
    assert not [m for m in plain.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(plain.double()(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_is_deployed_gives_probabilities_of_the_trained_network(name):
    network, images = lively(name, factor=0.0625), torch.rand(2, 3, 32, 32)
    deployed = network.train().deploy()
    assert network.training
    assert not deployed.training
    assert not [m for m in deployed.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        found, expected = deployed(images), network.eval()(images).softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_other_networks_are_pruned_as_they_are():
    network = sketch("vgg16", 6)
    assert network.pruning_form() is network


@pytest.mark.parametrize("widths", [{"conv14": 8}, {"conv1": 0}, {"conv1": 1.5}, {"conv1": True}])
def test_a_wrong_plan_is_a_named_error(widths):
    with pytest.raises(CompressionError, match="conv1"):
        build_classifier("vgg16", 6, widths)


def test_a_plan_of_another_network_is_a_named_error():
    plan = {"network": "vgg19", "widths": {}}
    with pytest.raises(CompressionError, match=r"'vgg19'; .*give one of vgg16"):
        build_planned(CLASSIFIERS["vgg16"], 6, plan=plan)
    with pytest.raises(CompressionError, match="give one of repvgg_a0 or repvgg_a0_plain"):
        build_planned(CLASSIFIERS["repvgg_a0"], 6, plan=plan)
