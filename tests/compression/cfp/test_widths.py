"""Rates, widths, counts and the solver, against the printed figures of the spec's tables."""

import pytest
from tests.counting import macs_at, size_of
from tests.networks import PRUNABLE, scaled_widths, sketch

from defectbench.base.errors import CompressionError
from defectbench.base.rates import parse_rates
from defectbench.compression.cfp.widths import (
    parameters_at,
    rates_by_set,
    sets_pruned,
    solve,
    widths_at,
)

VGG_PUBLISHED = [38, 38, 76, 76, 153, 127, 127, 255, 256, 255, 256, 255, 512, 512]
REPVGG_PUBLISHED = [48, 35, 35, 71, 72, 71, 70, 124, 124, *[123] * 7, 122, *[123] * 3, 122, 1280]
# Sizes of clusters that give those widths; the published cluster files have others with the same sums.
VGG_CLUSTERS = {
    **{f"conv{n}": [129, 127] for n in (6, 7)},
    **{f"conv{n}": [511, 1] for n in (8, 10, 12)},
}
REPVGG_CLUSTERS = {
    **{f"block{n}": [47, 1] for n in (2, 3)},
    **{f"block{n}": [95, 1] for n in (4, 6)},
    "block7": [94, 1, 1],
    **{f"block{n}": [191, 1] for n in (8, 9)},
    **{f"block{n}": [190, 1, 1] for n in (*range(10, 17), 18, 19, 20)},
    **{f"block{n}": [189, 1, 1, 1] for n in (17, 21)},
}


def by_name(network, widths):
    return dict(zip(network.widths, widths, strict=True))


def test_short_form_of_rates():
    assert parse_rates(".4*2,0.5, 0*3") == [0.4, 0.4, 0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("text", ["", ".4x2", "a", ".4*", "-.1", ".4,,.5"])
def test_what_is_no_rate_is_a_named_error(text):
    with pytest.raises(CompressionError, match=r"number\*count"):
        parse_rates(text)


def test_published_widths_of_vgg():
    network = sketch("vgg16", 7)
    assert list(widths_at(network, ".4*5,.5*7", VGG_CLUSTERS).values()) == VGG_PUBLISHED
    one_cluster = [38, 38, 76, 76, 153, 128, 128, 256, 256, 256, 256, 256, 512, 512]
    assert list(widths_at(network, ".4*5,.5*7").values()) == one_cluster


def test_published_widths_of_repvgg():
    network = sketch("repvgg_a0_plain", 7)
    rates = "0,.25*6,.35*14"
    assert list(widths_at(network, rates, REPVGG_CLUSTERS).values()) == REPVGG_PUBLISHED
    one_cluster = [48, 36, 36, 72, 72, 72, 72, *[124] * 14, 1280]
    assert list(widths_at(network, rates).values()) == one_cluster


@pytest.mark.parametrize(
    ("name", "nc", "side", "widths", "printed"),
    [
        ("vgg16", 7, 128, VGG_PUBLISHED, (14.990, 4.608, 3.25, 5.011, 1.510, 3.32)),
        ("vgg16", 10, 224, VGG_PUBLISHED, (14.992, 4.609, 3.25, 15.347, 4.624, 3.32)),
        ("repvgg_a0_plain", 7, 128, REPVGG_PUBLISHED, (7.037, 3.453, 2.04, 0.444, 0.214, 2.08)),
        ("repvgg_a0_plain", 10, 224, REPVGG_PUBLISHED, (7.041, 3.456, 2.04, 1.360, 0.654, 2.08)),
    ],
)
def test_published_compression(name, nc, side, widths, printed):
    network = sketch(name, nc)
    kept = by_name(network, widths)
    sizes = parameters_at(network) / 1e6, parameters_at(network, kept) / 1e6
    macs = macs_at(network, side) / 1e9, macs_at(network, side, kept) / 1e9
    found = (*sizes, sizes[0] / sizes[1], *macs, macs[0] / macs[1])
    digits = (3, 3, 2, 3, 3, 2)
    assert tuple(round(f, d) for f, d in zip(found, digits, strict=True)) == printed


VGG_PLANS = {  # rates, widths, hidden, parameters, ratio, ratio of MACs
    "V39": (".7*5,.85*8", [19, 19, 38, 38, 76, 38, 38, *[76] * 6], 76, 382_780, 39.16, 19.9),
    "V39-u": (".84*13", [10, 10, 20, 20, 40, 40, 40, *[81] * 6], 81, 376_269, 39.84, 39.4),
    "V39-h": (".8*5,.85*8,0", [12, 12, 25, 25, 51, 38, 38, *[76] * 6], 512, 383_267, 39.11, 34.1),
    "V39-k": (".96*12", [2, 2, 5, 5, 10, 10, 10, *[20] * 5, 512], 512, 379_741, 39.47, 363),
}
RESNET_PLANS = {  # rates, outputs, inner widths, stem, parameters, ratio, ratio of MACs
    "R59": ({"stem": 0, "out": 0.92, "mid": 0.85}, [20, 40, 81, 163], [9, 19, 38, 76], 64, 394_038, 59.69, 22.0),
    "R59-u": ({"stem": 0.87, "out": 0.87, "mid": 0.87}, [33, 66, 133, 266], [8, 16, 33, 66], 8, 399_923, 58.81, 51.3),
    "R59-k": ({"out": 0.94, "layer4": 0, "mid": 0.96}, [15, 30, 61, 2048], [2, 5, 10, 20], 64, 399_881, 58.82, 28.3),
}  # fmt: skip


@pytest.mark.parametrize("plan", VGG_PLANS)
def test_plans_of_vgg_on_neu(plan):
    rates, convs, hidden, parameters, ratio, macs_ratio = VGG_PLANS[plan]
    network = sketch("vgg16", 6)
    widths = widths_at(network, rates)
    assert list(widths.values()) == [*convs, hidden]
    assert parameters_at(network, widths) == parameters
    assert round(14_989_894 / parameters, 2) == ratio
    found = macs_at(network, 224) / macs_at(network, 224, widths)
    assert float(f"{found:.3g}") == macs_ratio


@pytest.mark.parametrize("plan", RESNET_PLANS)
def test_plans_of_resnet_on_neu(plan):
    rates, outs, inner, stem, parameters, ratio, macs_ratio = RESNET_PLANS[plan]
    network = sketch("resnet50", 6)
    widths = widths_at(network, rates)
    assert [widths[f"layer{n}"] for n in range(1, 5)] == outs
    for stage, width in enumerate(inner, 1):
        own = {w for name, w in widths.items() if name.startswith(f"layer{stage}.")}
        assert own == {width}
    assert widths["stem"] == stem
    assert parameters_at(network, widths) == parameters
    assert round(23_520_326 / parameters, 2) == ratio
    found = macs_at(network, 224) / macs_at(network, 224, widths)
    assert float(f"{found:.3g}") == macs_ratio


@pytest.mark.parametrize("name", PRUNABLE)
def test_counting_by_shapes_is_counting_what_is_built(name):
    network = sketch(name, 6, scaled_widths(name, 0.25))
    names = {channels.role: 0.63 for channels in network.channel_sets}
    widths = widths_at(network, names)
    assert parameters_at(network) == size_of(network)
    assert parameters_at(network, widths) == size_of(network.narrowed(widths))


def test_a_width_is_never_below_1():
    widths = widths_at(sketch("vgg16", 6), {"conv": 0.999, "hidden": 0.999})
    assert set(widths.values()) == {1}


def test_a_name_wins_over_a_role_and_the_hidden_layer_follows():
    network = sketch("vgg16", 6)
    widths = widths_at(network, {"conv": 0.5, "conv1": 0.25})
    assert (widths["conv1"], widths["conv2"], widths["hidden"]) == (48, 32, 256)
    assert widths_at(network, {"conv": 0.5, "hidden": 0})["hidden"] == 512
    assert "hidden" not in rates_by_set(network, ".5*12")


def test_which_sets_must_be_scored():
    network = sketch("vgg16", 6)
    assert sets_pruned(network, {"conv2": 0.5}) == ["conv2"]
    assert sets_pruned(network, {"conv13": 0.5}) == ["conv13", "hidden"]
    assert sets_pruned(network, {"conv13": 0.5, "hidden": 0}) == ["conv13"]


@pytest.mark.parametrize(
    ("rates", "match"),
    [
        (".5*11", "vgg16 takes 12 to 14 rates"),
        (".5*15", "vgg16 takes 12 to 14 rates"),
        ({"conv14": 0.5}, "conv14"),
        ({"conv1": 1.0}, "0 <= rate < 1"),
        ({"conv1": -0.1}, "0 <= rate < 1"),
    ],
)
def test_wrong_rates_are_named_errors(rates, match):
    with pytest.raises(CompressionError, match=match):
        widths_at(sketch("vgg16", 6), rates)


@pytest.mark.parametrize("sizes", [{"conv1": [60, 5]}, {"conv99": [1]}])
def test_wrong_clusters_are_named_errors(sizes):
    with pytest.raises(CompressionError, match="conv"):
        widths_at(sketch("vgg16", 6), ".5*12", sizes)


@pytest.mark.parametrize(
    ("name", "pattern", "ratio"),
    [
        ("vgg16", ".7*5,.85*8", 39.16),
        ("vgg16", ".1*12", 3.0),
        ("resnet50", {"out": 0.92, "mid": 0.85}, 59.0),
        ("mobilenet_v2", {"stem": 0.25, "mid": 0.5, "out": 0.5, "last": 0.5}, 10.0),
        ("repvgg_a0_plain", "0,.25*6,.35*14", 2.04),
    ],
)
def test_the_solver_hits_its_ratio(name, pattern, ratio):
    network = sketch(name, 6)
    found = solve(network, pattern, ratio)
    assert found.ratio == pytest.approx(ratio, rel=0.01)
    assert parameters_at(network) / parameters_at(network, found.widths) == found.ratio
    assert found.widths == widths_at(network, found.rates)


def test_the_solver_finds_the_given_pattern_again():
    found = solve(sketch("vgg16", 6), ".7*5,.85*8", 39.16, tolerance=0.002)
    assert found.scale == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("pattern", "ratio", "match"),
    [
        (".5*12", 1.0, "ratio above 1"),
        ("0*12", 3.0, "a rate above 0"),
        ({"conv1": 0.5}, 3.0, "prune more sets"),
        ({"conv": 0.5}, 1e9, "prune more sets"),
    ],
)
def test_a_ratio_out_of_reach_is_a_named_error(pattern, ratio, match):
    with pytest.raises(CompressionError, match=match):
        solve(sketch("vgg16", 6), pattern, ratio)


def test_a_ratio_between_two_widths_is_a_named_error():
    with pytest.raises(CompressionError, match="the nearest is"):
        solve(sketch("vgg16", 6), ".5*12", 3.0, tolerance=1e-9)
