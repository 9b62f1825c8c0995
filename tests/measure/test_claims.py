"""Printed numbers beside ours: each verdict on a hand-made record."""

import pytest

from defectbench.base.methods import Claim, Golden, MethodCard
from defectbench.base.records import write_record
from defectbench.measure.claims import check_claim, check_claims, rounds_to


def card(*claims):
    return MethodCard(
        name="tiny",
        title="Tiny",
        family="engine",
        paper="A. Author, 2026",
        licence="Apache-2.0",
        golden=Golden(params=624_656, thop_m={192: 110.6}),
        claims=list(claims),
    )


def claim(metric="map50", value=0.7, **more):
    base = {"dataset": "steel", "protocol": "clean", "source": "table 3"}
    return Claim(metric=metric, value=value, **(base | more))


def cells(runs):
    return sorted(runs.glob("*/*/*/seed*"))


def cell(runs, seed=0, map50=0.7, low=0.6, high=0.8, macs_g=0.1, size=192, epochs=60):
    folder = runs / "steel" / "clean" / "tiny" / f"seed{seed}"
    figures = {"map50": map50, "map50_low": low, "map50_high": high}
    write_record(folder / "accuracy.json", "accuracy", figures, {})
    write_record(folder / "train.json", "train", {"epochs": epochs}, {})
    write_record(folder / "complexity.json", "complexity", {"macs_g": macs_g, "size_px": size}, {})


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        (0.7, "reproduced"),
        (0.704, "reproduced"),
        (0.78, "within interval"),
        (0.9, "not reproduced"),
    ],
)
def test_scores_of_one_seed(tmp_path, printed, verdict):
    cell(tmp_path)
    found = check_claim(card(), claim(value=printed), cells(tmp_path))
    assert (found.verdict, found.ours, found.low, found.high) == (verdict, 0.7, 0.6, 0.8)
    assert found.n_seeds == 1


def test_scores_of_several_seeds_use_the_interval_over_seeds(tmp_path):
    for seed, value in enumerate((0.70, 0.71, 0.72)):
        cell(tmp_path, seed, value, low=value - 0.01, high=value + 0.01)
    assert check_claim(card(), claim(value=0.73), cells(tmp_path)).verdict == "within interval"
    found = check_claim(card(), claim(value=0.78), cells(tmp_path))
    assert (found.verdict, found.n_seeds) == ("not reproduced", 3)
    assert found.ours == pytest.approx(0.71)


def test_counts_within_one_percent(tmp_path):
    cell(tmp_path, macs_g=0.102)
    assert check_claim(card(), claim("macs_g", 0.1025), cells(tmp_path)).verdict == "reproduced"
    found = check_claim(card(), claim("macs_g", 0.1104, note="thop counts norms"), cells(tmp_path))
    assert found.verdict == "not reproduced"
    assert found.reason == "ours differs by -7.6%; thop counts norms"
    paper = claim("macs_g", 0.102, protocol="paper")
    assert check_claim(card(), paper, cells(tmp_path)).verdict == "reproduced"
    assert check_claim(card(), claim("params_m", 0.6287), cells(tmp_path)).verdict == "reproduced"
    assert check_claim(card(), claim("params_m", 0.7), cells(tmp_path)).verdict == "not reproduced"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (claim(protocol="paper"), "no cell of steel under protocol paper"),
        (claim(dataset="tyre"), "no cell of tyre"),
        (claim(size=320), "printed at 320 px, measured at 192 px"),
        (claim("macs_g", 0.1, size=320), "printed at 320 px, measured at 192 px"),
        (claim("fps", 180), "fps is not measured"),
        (claim(epochs=300), "printed after 300 epochs, trained for 60"),
        (claim("macs_g", 0.1, counter="thop", size=320), "printed by another counter"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path, made, reason):
    cell(tmp_path)
    found = check_claim(card(), made, cells(tmp_path))
    assert found.verdict == "not comparable"
    assert reason in found.reason
    assert found.ours is None


def test_all_claims_of_all_cards_are_checked(tmp_path):
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(card(claim(), claim(value=0.9)).model_dump_json())
    cell(tmp_path / "runs")
    findings = check_claims(tmp_path / "models", [tmp_path / "runs"])
    assert [finding.verdict for finding in findings] == ["reproduced", "not reproduced"]


def test_operations_are_compared_by_the_counter_that_printed_them(tmp_path):
    cell(tmp_path, macs_g=0.102)
    printed = claim("macs_g", 0.1104, counter="thop", size=192)
    found = check_claim(card(), printed, cells(tmp_path))
    assert found.verdict == "reproduced"
    assert found.ours == pytest.approx(0.1106)


def test_cells_of_other_studies_do_not_enter(tmp_path):
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(card(claim()).model_dump_json())
    cell(tmp_path / "runs", seed=0)
    cell(tmp_path / "runs", seed=1)
    (found,) = check_claims(tmp_path / "models", [tmp_path / "runs/steel/clean/tiny/seed0"])
    assert found.n_seeds == 1
    assert check_claims(tmp_path / "models", []) == []


def test_a_count_is_reproduced_as_far_as_it_is_printed(tmp_path):
    """0.62 may be what was printed of our 0.624656; 0.6287 may not."""
    cell(tmp_path)
    rough = claim("params_m", 0.6)
    assert check_claim(card(), rough, cells(tmp_path)).verdict == "reproduced"
    assert check_claim(card(), claim("params_m", 0.64), cells(tmp_path)).verdict == "not reproduced"
    assert rounds_to(0.624656, 0.62)
    assert not rounds_to(0.624656, 0.63)
