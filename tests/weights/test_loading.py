"""Into our networks: each tensor has one place, and what does not fit is named on both sides."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from defectbench.base.errors import WeightsError
from defectbench.base.published import PublishedInput
from defectbench.nn.blocks import ConvBlock
from defectbench.weights.convolutions import read_convolutions
from defectbench.weights.loading import (
    convolution_at,
    load_convolutions,
    load_state,
    normalise_inside,
    turn_colours,
)
from tests.weights.tiny_method import PUBLISHED, trained, write_files, write_method

NAMES = ["stem", "body.0", "head"]
CARD = "card.yaml"


@pytest.fixture
def method(tmp_path):
    return write_method(tmp_path, {**PUBLISHED, "sha256": {".param": "0" * 64, ".bin": "0" * 64}})


@pytest.fixture
def convolutions(method, tmp_path):
    write_files(tmp_path, trained(method).deploy().detector, flag=0)
    return read_convolutions(tmp_path / "net.param", tmp_path / "net.bin")


@pytest.fixture
def fresh(method):
    """A folded network with its first weights."""
    return method.module.build(3).deploy().detector


def test_every_number_is_replaced(method, convolutions, fresh):
    load_convolutions(fresh, convolutions, NAMES, CARD)
    turn_colours(fresh.stem[0])
    for name, value in trained(method).deploy().detector.named_parameters():
        assert torch.equal(value, fresh.get_parameter(name)), name


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (NAMES[:2], "got '2 names'; the file has 3"),
        (["stem", "head", "body.0"], r"weights: head: got 'weight \[7, 8, 1, 1\], stride"),
        (["stem", "body.0", "tail"], "weights: got 'tail'"),
        (["stem", "body.0", "body.1"], "got 'body.1, a Identity'"),
    ],
)
def test_names_that_do_not_fit_are_refused(names, words, convolutions, fresh):
    with pytest.raises(WeightsError, match=words) as caught:
        load_convolutions(fresh, convolutions, names, CARD)
    assert str(caught.value).startswith(CARD)


@pytest.mark.parametrize(
    "change", [{"stride": 1}, {"padding": 0}, {"dilation": 2}, {"groups": 1}, {"bias": None}]
)
def test_geometry_that_differs_is_refused(change, convolutions, fresh):
    convolutions[1] = replace(convolutions[1], **change)
    with pytest.raises(WeightsError, match=f"weights: body.0: .*{next(iter(change))}.*mend"):
        load_convolutions(fresh, convolutions, NAMES, CARD)


def test_a_parameter_that_gets_nothing_is_named(convolutions, fresh):
    with pytest.raises(WeightsError, match=r"nothing for head\.weight, head\.bias"):
        load_convolutions(fresh, convolutions[:2], NAMES[:2], CARD)


def renamed(state):
    return {
        name.replace("stem.", "first.").replace("head.", "last."): v for name, v in state.items()
    }


PAIRS = {"first.0": "stem.0", "first.1": "stem.1", "body": "body", "last": "head"}


@pytest.fixture
def state(method):
    return renamed({name: value.clone() for name, value in trained(method).state_dict().items()})


def test_a_state_dictionary_finds_its_places(method, state):
    network = method.module.build(3)
    load_state(network, state, PAIRS, [], "f.pth")
    for name, value in trained(method).state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_what_a_state_dictionary_lacks_or_has_over_is_named(method, state):
    network = method.module.build(3)
    cases = [
        ({k: v for k, v in state.items() if k != "first.1.bias"}, PAIRS, "no first.1.bias"),
        ({**state, "more": torch.zeros(1)}, PAIRS, "also more"),
        (
            {k: v for k, v in state.items() if not k.startswith("last")},
            {k: v for k, v in PAIRS.items() if k != "last"},
            "head.bias, head.weight",
        ),
        (
            {**state, "last.bias": torch.zeros(80)},
            PAIRS,
            r"tensor last.bias: got \[80\]; head.bias",
        ),
    ]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for changed, pairs, words in cases[:3]:
        with pytest.raises(WeightsError, match=words):
            load_state(network, changed, pairs, [], "f.pth")
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(WeightsError, match=cases[3][2]):
        load_state(network, cases[3][0], cases[3][1], [], "f.pth")


def test_what_the_card_calls_absent_may_stay(method, state):
    less = {k: v for k, v in state.items() if not k.startswith("last")}
    pairs = {k: v for k, v in PAIRS.items() if k != "last"}
    load_state(method.module.build(3), less, pairs, ["head.weight", "head.bias"], "f.pth")


def test_the_convolution_of_a_block_is_found():
    network = nn.ModuleDict({"block": ConvBlock(3, 4, 3), "plain": nn.Conv2d(3, 4, 1)})
    assert convolution_at(network, "plain", CARD) is network["plain"]
    assert convolution_at(network, "block", CARD) is network["block"][0]  # type: ignore[index]


@pytest.mark.parametrize("pixels", [1, 4])
def test_colours_are_turned_pixel_by_pixel(pixels):
    conv = nn.Conv2d(3 * pixels, 5, 3, bias=False)
    image = torch.rand(1, pixels, 3, 6, 6)
    expected = conv(image.flatten(1, 2))
    turn_colours(conv)
    assert torch.allclose(conv(image.flip(2).flatten(1, 2)), expected, atol=1e-6)


def test_what_was_learnt_from_normalised_colours_sees_colours_as_they_are():
    torch.manual_seed(0)
    network = nn.Module()
    network.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
    network.stem[1].running_mean.uniform_()
    network.stem[1].running_var.uniform_(0.5, 2)
    wants = PublishedInput(
        colours="rgb", mean=(120, 110, 100), std=(50, 60, 70), convolution="stem.0", into_first=True
    )
    pixels = torch.rand(2, 3, 9, 9)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (wants.mean, wants.std))
    expected = network.stem((255 * pixels - mean) / std)
    normalise_inside(network, wants, "card.yaml")
    assert torch.allclose(network.stem(pixels), expected, atol=1e-5)
    network.stem[1] = nn.Identity()
    with pytest.raises(WeightsError, match="needs a batch norm behind it"):
        normalise_inside(network, wants, "card.yaml")
