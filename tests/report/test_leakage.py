"""The leakage premium, on hand-made scores."""

from math import hypot
from pathlib import Path

import pytest

from defectbench.report.numbers import points
from defectbench.report.records.cells import find_entries
from defectbench.report.topics.detection.rows import build_rows
from defectbench.report.topics.leakage import leakage_premiums, premium_table
from defectbench.report.writers.markdown import markdown_document


def premiums_of(shelf):
    return leakage_premiums(build_rows(find_entries([shelf.runs]))[0])


def test_premium_is_leaked_minus_clean(filled):
    (premium,) = premiums_of(filled)
    assert (premium.method, premium.protocol, premium.leak_share) == ("beta_net", "paper", 0.9)
    assert (premium.map50, premium.map50_clean) == (0.9, 0.5)
    assert premium.map50_premium == pytest.approx(0.4)
    assert premium.map50_premium_low == pytest.approx(0.4 - hypot(0.05, 0.05))
    assert premium.map50_premium_high == pytest.approx(0.4 + hypot(0.05, 0.05))
    assert premium.map50_95_premium == pytest.approx(0.2)
    assert (premium.epochs, premium.epochs_clean, premium.n_seeds, premium.n_seeds_clean) == (
        30,
        30,
        1,
        1,
    )


def test_ends_join_crosswise(shelf):
    """The low end takes the leaked score's low reach and the clean score's high reach."""
    shelf.split("paper", seen_in_training=1)
    clean, leaked = shelf.method("alpha", map50=0.5), shelf.method("alpha", "paper", map50=0.8)
    shelf.change(clean / "accuracy.json", map50_low=0.49, map50_high=0.54)
    shelf.change(leaked / "accuracy.json", map50_low=0.77, map50_high=0.82)
    (premium,) = premiums_of(shelf)
    assert premium.map50_premium_low == pytest.approx(0.3 - 0.05)
    assert premium.map50_premium_high == pytest.approx(0.3 + hypot(0.02, 0.01))


def test_only_what_stands_under_both_and_does_not_know_the_truth(filled):
    filled.control("memoriser", 0.3, "paper")
    filled.control("oracle", 1.0, "paper")
    filled.control("class_prior", 0.1, "paper")
    assert [p.method for p in premiums_of(filled)] == ["beta_net", "control_memoriser"]


def test_no_premium_without_a_leaked_protocol(shelf):
    shelf.method("alpha")
    assert premiums_of(shelf) == []
    assert "No method stands under" in markdown_document(premium_table([]), Path("report"))


def test_markdown_shows_points_with_their_interval(filled):
    text = markdown_document(premium_table(premiums_of(filled)), Path("report"))
    assert (
        "| steel | paper | 90.0 | beta_net | 30 | 30 | 50.0 | 90.0 | +40.0 [+32.9, +47.1] |" in text
    )


def test_points():
    assert [points(v) for v in (-0.012, 0.0301, None)] == ["-1.2", "+3.0", "–"]
