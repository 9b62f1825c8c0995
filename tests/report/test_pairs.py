"""Who is better, and where it cannot be told."""

import pytest

from defectbench.report.records.cells import find_entries
from defectbench.report.records.comparison import (
    OVER_SEEDS,
    OVERLAP,
    compare_entries,
    paired_test,
    precision_runs,
    score_interval,
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
    assert "given these trained networks" in paired_test(1000, 1)
    assert paired_test(1000, 2) == OVER_SEEDS
    for seed in (0, 1):
        shelf.method("two", seed=seed, map50=1.0, results=shelf.oracle())
    shelf.method("one", map50=0.1, results=[])
    assert pairs_of(shelf)["map50", "two", "one"].test == paired_test(200, 1)


def test_two_seeds_of_both_are_compared_over_seeds_and_groups(shelf):
    for seed in (0, 1):
        shelf.method("right", seed=seed, map50=1.0, results=shelf.oracle())
        shelf.method("wrong", seed=seed, map50=0.1, results=[])
    pair = pairs_of(shelf)["map50", "right", "wrong"]
    assert (pair.test, pair.low, pair.p_value) == (OVER_SEEDS, 1.0, 0.0)


def test_runs_start_with_the_score_itself(shelf):
    folder = shelf.method("half")
    shelf.rescore(folder, shelf.oracle(images={1, 2}))
    entry = find_entries([shelf.runs])[0]
    (one,) = precision_runs(entry.cells, 50)["map50"].resampled
    figures = entry.first.accuracy["figures"]
    assert (one.left_out.shape, one.draws.shape) == ((6,), (50,))
    assert one.whole == pytest.approx(figures["map50"], abs=1e-12)


def test_a_score_of_several_seeds_holds_groups_too(shelf):
    half = shelf.oracle(images={1, 2, 3})
    for seed in (0, 1, 2):
        folder = shelf.method("even", seed=seed)
        shelf.rescore(folder, half)
    entry = find_entries([shelf.runs])[0]
    runs = precision_runs(entry.cells, 50)
    found, bound = score_interval(entry, "map50", runs), score_interval(entry, "map50")
    assert (found.unit, found.n) == ("seeds and groups", 3)
    assert found.low < found.estimate < found.high
    # all seeds say the same, so that training has no noise and groups have all
    assert bound.low < bound.estimate < bound.high


def leading(shelf, rivals):
    """A leader that is a little better than each of some rivals, and its pairs."""
    shelf.method("lead", map50=0.6, reach=0.01)
    for n in range(rivals):
        shelf.method(f"rival{n}", map50=0.578, reach=0.01)
    for folder in shelf.runs.glob("**/seed0"):
        (folder / "predictions.json").unlink()
    pairs = compare_entries(find_entries([shelf.runs]), 50, figures=["map50"])
    return [pair for pair in pairs if pair.first == "lead"]


def test_verdicts_against_the_leader_are_corrected(shelf):
    (alone,) = leading(shelf, 1)
    assert (alone.verdict, alone.p_corrected) == ("lead is better", alone.p_value)
    assert 0.001 < alone.p_value < 0.05
    many = leading(shelf, 30)
    assert {pair.verdict for pair in many} == {"not distinguishable"}
    assert {pair.low > 0 for pair in many} == {True}
    assert many[0].p_corrected == pytest.approx(min(1.0, 30 * alone.p_value))


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
