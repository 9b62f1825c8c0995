"""Claims on compressed networks: sizes, bounds, and what does not compare."""

from dataclasses import replace

import pytest

from defectbench.base.methods import Claim
from defectbench.report.topics.compression.claims import (
    check_compression_claim,
    check_compression_claims,
)
from defectbench.report.topics.compression.stages import StageRow

PLACE = {"dataset": "steel", "protocol": "clean", "source": "table 1", "compressed": "cfpv39"}
LOST = Claim(metric="difference", value=-0.002, at_least=True, **PLACE)
STAGE = StageRow(
    dataset="steel",
    protocol="clean",
    method="net+cfpv39",
    title="Net",
    seed=0,
    stage="recovered",
    score_name="accuracy",
    score=0.9,
    score_low=0.8,
    score_high=1.0,
    n_images=9,
    n_groups=9,
    difference=0.001,
    difference_low=-0.001,
    difference_high=0.003,
    stored_mib=1.45,
    factor=39.16,
)


def found(claim, *stages):
    return check_compression_claim("net", claim, stages)


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ((0.001, -0.001, 0.003), "reproduced"),
        ((0.001, -0.010, 0.012), "within interval"),
        ((-0.050, -0.090, -0.010), "not reproduced"),
    ],
)
def test_a_bound_on_the_loss_is_held_against_the_interval(own, verdict):
    names = ("difference", "difference_low", "difference_high")
    one = found(LOST, replace(STAGE, **dict(zip(names, own, strict=True))))
    assert (one.verdict, one.ours, one.low, one.high, one.n_seeds) == (verdict, *own, 1)
    assert one.method == "net+cfpv39"


def test_a_loss_after_fewer_epochs_than_printed_does_not_compare():
    long = LOST.model_copy(update={"epochs": 1200})
    short = found(long, replace(STAGE, epochs=60))
    assert (short.verdict, short.ours, short.low) == ("not comparable", 0.001, -0.001)
    assert "1200 epochs are behind that, 60 behind ours" in short.reason
    assert found(long, replace(STAGE, epochs=1200)).verdict == "reproduced"


def test_several_seeds_give_the_interval_over_seeds():
    seeds = [replace(STAGE, seed=k, difference=d) for k, d in enumerate((-0.01, -0.02, -0.03))]
    one = found(LOST, *seeds)
    assert one.n_seeds == 3
    assert one.ours == pytest.approx(-0.02)
    assert one.low < -0.03 < -0.01 < one.high  # Student's t of three values is wide
    assert one.verdict == "within interval"


@pytest.mark.parametrize(
    ("metric", "value", "at_least", "verdict"),
    [
        ("factor", 39, True, "reproduced"),
        ("factor", 30, True, "reproduced"),
        ("factor", 30, False, "not reproduced"),
        ("factor", 45, True, "not reproduced"),
        ("stored_mib", 1.46, False, "reproduced"),
    ],
)
def test_a_size_is_the_printed_one_or_above_a_bound(metric, value, at_least, verdict):
    claim = Claim(metric=metric, value=value, at_least=at_least, **PLACE)
    assert found(claim, STAGE).verdict == verdict


def test_a_bound_on_the_size_is_that_of_every_seed():
    claim = Claim(metric="factor", value=39, at_least=True, **PLACE)
    seeds = [replace(STAGE, seed=k, factor=f) for k, f in enumerate((40.0, 30.0, 41.0))]
    one = found(claim, *seeds)
    assert (one.ours, one.n_seeds, one.verdict) == (30.0, 3, "not reproduced")


@pytest.mark.parametrize(
    "other",
    [{"dataset": "x-sdd"}, {"protocol": "random"}, {"method": "net+cfp"}, {"stage": "pruned"}],
)
def test_nothing_else_compares(other):
    one = found(LOST, replace(STAGE, **other))
    assert one.verdict == "not comparable"
    assert "net+cfpv39 on steel under protocol clean" in one.reason


@pytest.mark.parametrize(
    ("metric", "at_least", "match"),
    [("map50", False, "name one of difference"), ("difference", False, "at_least: true")],
)
def test_a_claim_that_cannot_be_checked_is_refused(metric, at_least, match):
    with pytest.raises(ValueError, match=match):
        Claim(metric=metric, value=1, at_least=at_least, **PLACE)


def test_a_bound_is_for_compressed_networks():
    with pytest.raises(ValueError, match="at_least is for claims on compressed networks"):
        Claim(dataset="steel", metric="map50", value=0.9, at_least=True, source="table 1")


def test_the_cards_claims_are_checked_where_their_method_was_compressed():
    place = {"dataset": "neu-cls", "method": "vgg16+cfpv39"}
    lost = check_compression_claims("models", [replace(STAGE, **place)])
    assert {(one.method, one.metric, one.verdict) for one in lost} == {
        ("vgg16+cfpv39", "factor", "reproduced"),
        ("vgg16+cfpv39", "difference", "reproduced"),
    }
    assert check_compression_claims("models", []) == []
