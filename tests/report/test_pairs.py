"""Who is better, and where it cannot be told."""

import numpy as np
import pytest

from defectbench.report.records.cells import find_entries
from defectbench.report.records.comparison import (
    OVERLAP,
    compare_entries,
    paired_test,
    precision_draws,
)


def pairs_of(shelf):
    return {
        (p.figure, p.first, p.second): p for p in compare_entries(find_entries([shelf.runs]), 200)
    }


def test_all_right_beats_all_wrong(shelf):
    shelf.method("right", map50=1.0, results=shelf.oracle())
    shelf.method("wrong", map50=0.1, results=[])
    pair = pairs_of(shelf)["map50", "right", "wrong"]
    assert (pair.difference, pair.low, pair.high) == (1.0, 1.0, 1.0)
    assert (pair.verdict, pair.test, pair.n_groups) == ("right is better", paired_test(200, 1), 4)


def test_equal_predictions_are_not_distinguishable(shelf):
    for name in ("one", "two"):
        shelf.method(name, results=shelf.oracle(images={1, 2}))
    pair = pairs_of(shelf)["map50_95", "one", "two"]
    assert (pair.difference, pair.low, pair.high) == (0.0, 0.0, 0.0)
    assert pair.verdict == "not distinguishable"


def test_one_seed_says_what_its_interval_lacks(shelf):
    assert "without the noise of training" in paired_test(1000, 1)
    assert paired_test(1000, 2) == "paired bootstrap over groups and seeds, 1,000 resamples"
    for seed in (0, 1):
        shelf.method("two", seed=seed, map50=1.0, results=shelf.oracle())
    shelf.method("one", map50=0.1, results=[])
    assert pairs_of(shelf)["map50", "two", "one"].test == paired_test(200, 1)


def test_the_draws_start_with_the_score_itself(shelf):
    folder = shelf.method("half")
    shelf.rescore(folder, shelf.oracle(images={1, 2}))
    entry = find_entries([shelf.runs])[0]
    draws = precision_draws(entry.cells, 50)
    figures = entry.first.accuracy["figures"]
    assert draws["map50"].shape == (51,)
    assert draws["map50"][0] == pytest.approx(figures["map50"], abs=1e-12)
    assert draws["map50_95"][0] == pytest.approx(figures["map50_95"], abs=1e-12)


def test_seeds_are_drawn_too(shelf):
    shelf.method("shaky", seed=0, results=shelf.oracle())
    shelf.method("shaky", seed=1, results=[])
    draws = precision_draws(find_entries([shelf.runs])[0].cells, 300)["map50"]
    assert draws[0] == pytest.approx(0.5)
    assert set(np.round(draws[1:], 9)) == {0.0, 0.5, 1.0}


def test_a_shaky_method_is_not_told_from_a_middling_one(shelf):
    for seed in (0, 1):
        shelf.method("shaky", seed=seed, map50=0.5, results=shelf.oracle() if seed else [])
        shelf.method("worse", seed=seed, map50=0.4, results=shelf.oracle(images={1}))
    assert pairs_of(shelf)["map50", "shaky", "worse"].verdict == "not distinguishable"


def test_without_predictions_intervals_are_compared(shelf):
    for name, score in (("best", 0.8), ("good", 0.72), ("bad", 0.5)):
        (shelf.method(name, map50=score) / "predictions.json").unlink()
    found = pairs_of(shelf)
    near, far = found["map50", "best", "good"], found["map50", "best", "bad"]
    assert (near.test, near.verdict) == (OVERLAP, "not distinguishable")
    assert (near.low, near.high) == (pytest.approx(-0.02), pytest.approx(0.18))
    assert (far.verdict, far.low) == ("best is better", pytest.approx(0.2))


def test_changed_truth_is_not_used(shelf):
    shelf.method("alpha")
    shelf.method("beta")
    (shelf.data / "groups.csv").write_text("image_id,file_name,group\n")
    assert {pair.test for pair in pairs_of(shelf).values()} == {OVERLAP}


def test_controls_are_left_out(filled):
    clean = [e for e in find_entries([filled.runs]) if e.first.protocol == "clean"]
    assert {(p.first, p.second) for p in compare_entries(clean, 50)} == {("alpha", "beta_net")}
