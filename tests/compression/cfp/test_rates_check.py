"""Rates are held against their network before anything is trained."""

import re
from pathlib import Path

import pytest
import torch
from tests.networks import sketch

from defectbench.base.compressions import CFP
from defectbench.base.methods import load_method
from defectbench.base.records import read_record
from defectbench.base.studies import load_study
from defectbench.cli import main
from defectbench.compression.cfp.rates_check import check_rates, rates_of
from defectbench.compression.cfp.widths import parameters_at, widths_at

MODELS = Path(__file__).parents[3] / "models"


def check(out, name, rates, *more):
    command = ["check-rates", "--method", str(MODELS / name), "--classes", "6"]
    command += ["--set", f"rates={rates}"]
    return main([*command, "--out", str(out / "rates.json"), *more])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_the_record_tells_widths_and_parameters(tmp_path, capsys):
    assert check(tmp_path, "vgg16", "v39") == 0
    assert capsys.readouterr().out == "14,989,894 parameters, 382,780 left, 39.16x\n"
    record = read_record(tmp_path / "rates.json", "rates")
    assert record["widths"]["conv1"] == [64, 19]
    assert record["rates"]["conv6"] == 0.85
    assert record["figures"]["sets_pruned"] == record["figures"]["sets"] == 14


def test_a_width_of_the_recipe_is_that_of_the_network(tmp_path):
    assert check(tmp_path, "repvgg_a0", "published", "--set", "recipe.options={width: 0.125}") == 0
    assert read_record(tmp_path / "rates.json", "rates")["widths"]["block1"] == [6, 6]


@pytest.mark.parametrize(
    ("name", "rates", "more", "message"),
    [
        ("vgg16", ".4*11", (), r"method vgg16: rates: got '.4\*11'; .* takes 12 to 14 rates"),
        ("vgg16", '{"stem": 0.5}', (), "rates: got {'stem': 0.5}; rates 'stem': choose of conv1, "),
        ("vgg16", "v39", ("--set", "ratio=1e6"), "method vgg16: ratio: got 1000000.0; .* at most "),
        ("resnet50", ".5*12", (), "resnet50 takes 37 to 37 rates"),
        ("mobilenetv2", "even", ("--set", "ratio=1e6"), "method mobilenetv2: ratio: got 1000000.0"),
    ],
)
def test_rates_that_fit_no_such_network_are_named(tmp_path, capsys, name, rates, more, message):
    assert check(tmp_path, name, rates, *more) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "rates.json").exists()


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "mobilenetv2", "repvgg_a0"])
def test_all_rates_of_a_card_fit_its_network(tmp_path, name):
    method = load_method(name, MODELS)
    assert method.card.rates
    for rates in method.card.rates:
        assert check(tmp_path, name, rates, "--set", "recipe.options={width: 0.25}") == 0


def cut_classifiers():
    """Method, rates and ratio of every cut of classifiers in the studies in config/, each once."""
    found = {}
    for path in sorted((MODELS.parent / "config").glob("*.yaml")):
        for block in load_study(path).blocks:
            for one in (one for one in block.compress if one.how == "cfp"):
                found[one.method, str(one.rates), one.ratio] = one
    return list(found.values())


@pytest.mark.parametrize("one", cut_classifiers(), ids=lambda one: f"{one.method} {one.rates}")
def test_rates_of_every_study_fit_their_network(tmp_path, one):
    found = check_rates(load_method(one.method, MODELS), 6, one, tmp_path / "rates.json")["figures"]
    assert found["params"] < found["params_before"]
    assert found["sets_pruned"] > 0


@pytest.mark.parametrize(
    ("name", "rates", "ratio"),
    [
        ("vgg16", "v39", 39.16),
        ("vgg16", "v39-u", 39.84),
        ("resnet50", "r59", 59.69),
        ("resnet50", "r59-u", 58.81),
    ],
)
def test_rates_on_the_cards_reach_the_printed_ratios(name, rates, ratio):
    method = load_method(name, MODELS)
    network = sketch(name, 6)
    own = rates_of(CFP(method=name, how="cfp", rates=rates), method, network)
    found = parameters_at(network) / parameters_at(network, widths_at(network, own))
    assert round(found, 2) == ratio


def test_rates_stand_as_they_are_or_are_scaled_to_a_ratio():
    method, network = load_method("mobilenetv2", MODELS), sketch("mobilenet_v2", 6)
    assert rates_of(CFP(method="mobilenetv2", how="cfp", rates=".5*26"), method, network) == ".5*26"
    scaled = rates_of(CFP(method="mobilenetv2", how="cfp", rates="even", ratio=10), method, network)
    found = parameters_at(network) / parameters_at(network, widths_at(network, scaled))
    assert found == pytest.approx(10, rel=0.01)
