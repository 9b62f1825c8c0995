"""Methods over all data sets: what is pooled, what is not, and the ranks beside it."""

import pytest
from report_parts import draw, make_tables
from shelf import Shelf

from defectbench.measure.pooled import GROUPS_LIMIT, ONE_SEED
from defectbench.measure.spread import pooled_spread, spread_of_ends, spread_of_strangers
from defectbench.report.figures.ranks import ranks_figure
from defectbench.report.figures.style import Look
from defectbench.report.records.across import (
    MeanRank,
    compare_over_sets,
    honest_entries,
    joined_groups,
    mean_ranks,
)
from defectbench.report.records.cells import find_entries
from defectbench.report.records.comparison import runs_by_key
from defectbench.report.writers.csv import csv_text
from defectbench.report.writers.markdown import markdown_document


@pytest.fixture
def shelves(tmp_path):
    """Two sets, each split cleanly."""
    made = [Shelf(tmp_path, dataset) for dataset in ("steel", "wood")]
    for shelf in made:
        shelf.split("clean")
    return made


def stored(shelves):
    return [shelf.runs for shelf in shelves]


def pooled(shelves):
    entries = find_entries(stored(shelves))
    runs = runs_by_key(entries, 50)
    return {
        (pair.figure, pair.first, pair.second): pair
        for pair in compare_over_sets(entries, ["map50"], runs)
    }


def three_methods(shelves, seeds=(0, 1)):
    """One that finds all, and two that find some; scored for real."""
    for shelf in shelves:
        for seed in seeds:
            for name, images in (("best", None), ("mid", {1, 2, 3 + seed}), ("low", {1 + seed})):
                shelf.rescore(shelf.method(name, seed=seed), shelf.oracle(images))


def test_the_effect_is_the_mean_of_the_sets_differences(shelves):
    three_methods(shelves)
    pair = pooled(shelves)["map50", "best", "mid"]
    scores = [
        entry.first.accuracy["figures"]["map50"]
        - sum(cell.accuracy["figures"]["map50"] for cell in other.cells) / 2
        for shelf in shelves
        for entry, _, other in [find_entries([shelf.runs])]
    ]
    assert pair.difference == pytest.approx(sum(scores) / 2)
    assert (pair.n_sets, pair.n_ahead, pair.n_seeds, pair.given) == (2, 2, 2, "")
    assert pair.n_groups == 12
    assert pair.sets == "steel, clean; wood, clean"
    assert pair.low < pair.difference < pair.high


def test_two_sets_tell_more_than_one(shelves):
    three_methods(shelves)
    report = make_tables(stored(shelves))
    alone = [p for p in report.pairs if (p.first, p.second, p.figure) == ("best", "mid", "map50")]
    pair = pooled(shelves)["map50", "best", "mid"]
    assert pair.p_value < min(one.p_value for one in alone)
    assert pair.p_corrected >= pair.p_value


def test_leaked_protocols_are_never_pooled(shelves):
    three_methods(shelves)
    for shelf in shelves:
        shelf.split("paper", seen_in_training=9)
        for name in ("best", "low"):
            for seed in (0, 1):
                shelf.method(name, "paper", seed=seed, map50=0.99)
    entries = find_entries(stored(shelves))
    assert set(honest_entries(entries)) == {("steel", "clean"), ("wood", "clean")}
    assert pooled(shelves)["map50", "best", "low"].sets == "steel, clean; wood, clean"
    table = make_tables(stored(shelves)).tables["over_datasets"]
    assert (
        "Not pooled, since test images show surface seen in training: steel, paper; wood, paper."
        in table.notes
    )


def test_a_set_with_two_honest_protocols_counts_once(shelves):
    for shelf in shelves:
        shelf.split("random")
        for protocol in ("clean", "random"):
            for name in ("a", "b"):
                shelf.method(name, protocol)
    assert [pair.n_sets for pair in pooled(shelves).values()] == [2]


def test_one_leaked_set_leaves_nothing_to_pool(shelves):
    shelves[1].split("clean", seen_in_training=3)
    three_methods(shelves)
    assert "over_datasets" not in make_tables(stored(shelves)).tables


def test_one_set_has_no_such_table(shelf):
    for name in ("a", "b", "c"):
        shelf.method(name)
    report = make_tables([shelf.runs])
    assert "over_datasets" not in report.tables
    assert not [p for p in report.report.pictures if p.name == "ranks"]


def test_one_seed_says_that_the_networks_are_given(shelves):
    three_methods(shelves, seeds=(0,))
    pair = pooled(shelves)["map50", "best", "low"]
    assert (pair.n_seeds, pair.given) == (1, "steel, clean; wood, clean")
    assert pair.verdict != "not distinguishable" or pair.seeds_limit == ONE_SEED
    table = make_tables(stored(shelves)).tables["over_datasets"]
    assert "the noise of training on these sets is not in the interval" in table.notes[0]


def test_without_predictions_intervals_stand_for_groups(shelves):
    for shelf in shelves:
        for name, score in (("a", 0.6), ("b", 0.5)):
            (shelf.method(name, map50=score, reach=0.05) / "predictions.json").unlink()
    pair = pooled(shelves)["map50", "a", "b"]
    ends = [spread_of_ends([0.5], [0.45], [0.55], 4)] * 2
    reach = float(pooled_spread([spread_of_strangers(*ends)] * 2).reach(0.95))
    assert pair.difference == pytest.approx(0.1)
    assert pair.high - pair.low == pytest.approx(2 * reach)


def test_ranks_are_of_methods_on_all_sets(shelves):
    three_methods(shelves)
    shelves[0].method("alone", map50=0.99)
    ranks = mean_ranks(find_entries(stored(shelves)), "map50")
    assert [(rank.method, rank.mean, rank.ranks) for rank in ranks] == [
        ("best", 1.0, (1.0, 1.0)),
        ("mid", 2.0, (2.0, 2.0)),
        ("low", 3.0, (3.0, 3.0)),
    ]


def test_equal_scores_share_a_rank(shelves):
    for shelf in shelves:
        for name, score in (("a", 0.5), ("b", 0.5), ("c", 0.4)):
            shelf.method(name, map50=score)
    ranks = mean_ranks(find_entries(stored(shelves)), "map50")
    assert [rank.mean for rank in ranks] == [1.5, 1.5, 3.0]


def test_two_methods_have_no_figure_of_ranks(shelves):
    for shelf in shelves:
        for name in ("a", "b"):
            shelf.method(name)
    report = make_tables(stored(shelves))
    assert "over_datasets" in report.tables
    assert not [p for p in report.report.pictures if p.name == "ranks"]


def test_a_group_holds_none_that_is_told_from_another():
    told = {frozenset(pair) for pair in ("ad", "bd", "ac")}

    def is_told(x, y):
        return frozenset((x, y)) in told

    assert joined_groups("abcd", is_told) == [["a", "b"], ["b", "c"], ["c", "d"]]
    assert joined_groups("abcd", lambda x, y: False) == [list("abcd")]
    assert joined_groups("abcd", lambda x, y: True) == []


def test_bars_stand_over_members_alone():
    """A method between two that are not told apart, but is told from both, has no dot on their bar."""
    ranks = [MeanRank(name, n + 1.0, (n + 1.0, n + 1.0)) for n, name in enumerate("abc")]
    style = dict.fromkeys("abc", Look("#000000", "o"))
    figure = ranks_figure(ranks, [["a", "c"]], dict.fromkeys("abc", "title"), style, "rank")
    bars = figure.axes[1].lines
    assert [list(line.get_ydata()) for line in bars] == [[0, 2], [0, 2]]
    assert bars[1].get_marker() == "o"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["title"] * 3


def test_the_figure_and_the_files_of_two_sets(shelves):
    three_methods(shelves)
    out = shelves[0].out
    draw(stored(shelves), out)
    svg = (out / "figures" / "ranks.svg").read_text()
    assert "rank by mAP50, mean of 2 sets" in svg
    table = make_tables(stored(shelves)).tables["over_datasets"]
    lines = csv_text(table).splitlines()
    assert lines[0].startswith("figure,first,second,difference,low,high,n_sets,n_ahead,n_seeds")
    assert len(lines) == 1 + 2 * 3
    assert "2 of 2 sets" in markdown_document(table, out)


def test_a_pair_says_the_seeds_that_would_settle_it(shelves):
    three_methods(shelves)
    found = {p.seeds_needed or p.seeds_limit for p in make_tables(stored(shelves)).pairs}
    told = {p.verdict for p in make_tables(stored(shelves)).pairs}
    assert found & {GROUPS_LIMIT} or any(isinstance(n, int) for n in found), (found, told)


def test_one_seed_knows_no_number_of_seeds(shelf):
    for name in ("a", "b"):
        shelf.method(name, results=shelf.oracle({1, 2}))
    pairs = make_tables([shelf.runs]).pairs
    assert {(p.seeds_needed, p.seeds_limit) for p in pairs} == {(None, ONE_SEED)}
