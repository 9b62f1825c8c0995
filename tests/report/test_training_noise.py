"""A table of one seed says first what it lacks, and how large that was measured to be."""

from report_parts import make_tables
from shelf import Shelf

import training_noise as making
from defectbench.report.records.cells import find_entries
from defectbench.report.training_noise import (
    Noise,
    measured_noise,
    noise_of,
    pooled_deviation,
)


def notes(runs, table="comparison"):
    return make_tables(runs).tables[table].notes


def first_note(runs):
    return notes(runs)[0]


def test_what_is_brought_is_that_of_the_record():
    assert measured_noise() == making.noise_of_spread(making.read_spread())


def test_runs_with_moved_weights_and_of_a_second_processor_are_left_out():
    lines = [
        {"task": "detection", "method": "m", "moved": m, "val_map50": score, "processor": processor}
        for m, score, processor in (
            ("0", "0.5", "a"),
            ("0", "0.7", "a"),
            ("1", "0.9", "a"),
            ("0", "0.1", "b"),
        )
    ]
    (noise,) = making.noise_of_spread(lines)
    assert (noise.n_seeds, noise.deviation) == (2, 0.14142)
    assert making.noise_of_spread(lines[1:]) == []


def test_deviations_are_pooled_by_their_degrees_of_freedom():
    noises = [Noise("d", "a", "map50", 2, 0.04), Noise("d", "b", "map50", 4, 0.02)]
    assert pooled_deviation(noises) == ((0.04**2 + 3 * 0.02**2) / 4) ** 0.5


def test_a_table_of_one_seed_says_so_first_with_the_default_studys_noise(shelf):
    shelf.method("a")
    note = first_note([shelf.runs])
    assert note.startswith("One seed: these intervals lack the noise of training.")
    noises = [noise for noise in measured_noise() if noise.figure == "map50"]
    deviations = [100 * noise.deviation for noise in noises]
    pooled = 100 * pooled_deviation(noises)
    assert f"{pooled:.1f} ({min(deviations):.1f} to {max(deviations):.1f})" in note
    assert "of the default study (another set, on validation)" in note


def test_methods_of_the_default_study_have_their_own_noise_there(tmp_path):
    shelf = Shelf(tmp_path, "demo-steel")
    shelf.split("clean")
    shelf.method("lidd_net")
    note = first_note([shelf.runs])
    assert "for demo-steel, 0.4, 1 method of 3 seeds, on this set in the short trainings" in note


def test_a_study_names_its_own_noise_before_all_others(shelf):
    shelf.method("a")
    for seed, score in enumerate((0.5, 0.6)):
        shelf.method("b", seed=seed, map50=score)
    note = first_note([shelf.runs])
    assert note.startswith("Intervals of methods with one seed lack the noise of training.")
    assert "for steel, 7.1, 1 method of 2 seeds, on this set in this study" in note


def test_a_leaked_set_tells_no_noise(shelf):
    shelf.split("paper", seen_in_training=9)
    for seed in (0, 1):
        shelf.method("b", "paper", seed=seed)
    assert noise_of(find_entries([shelf.runs]), "map50") == []


def test_several_seeds_lack_nothing(shelf):
    for seed in (0, 1):
        shelf.method("a", seed=seed)
    assert "lack the noise" not in " ".join(notes([shelf.runs]))


def test_pairs_of_one_seed_say_it_too(shelf):
    for name in ("a", "b"):
        shelf.method(name)
    assert notes([shelf.runs], "pairs")[0].startswith("One seed:")
