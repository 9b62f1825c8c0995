"""The table at the end of a run."""

import io

import pytest
from report_parts import tabulate
from rich.console import Console

from defectbench.base.errors import ReportError
from defectbench.report.terminal import print_comparison


def shown(path, width):
    text = io.StringIO()
    print_comparison(path, Console(file=text, width=width, color_system=None))
    return text.getvalue()


@pytest.fixture
def table(filled):
    tabulate([filled.runs], filled.out)
    return filled.out / "comparison.csv"


def test_a_wide_terminal_shows_all_columns(table):
    text = shown(table, 170)
    for heading in ("epochs", "mAP50-95", "seeds × images", "FLOPs", "p90", "p99", "train"):
        assert heading in text
    beta = next(line for line in text.split("\n") if line.startswith("beta_net"))
    assert beta.split() == [
        *("beta_net", "64", "30", "50.0", "25.0", "1", "×", "6", "2.50", "0.100", "0.200"),
        *("2.00", "8.00‡", "9.00‡", "10.0‡", "125‡", "100"),
    ]


def test_a_narrow_terminal_cuts_nothing_off(table):
    text = shown(table, 80)
    assert "…" not in text
    assert all(len(line) <= 80 for line in text.split("\n"))
    beta = next(line for line in text.split("\n") if line.startswith("beta_net"))
    assert beta.split() == [
        "beta_net",
        "50.0",
        "25.0",
        "1",
        "×",
        "6",
        "2.50",
        "0.100",
        "8.00‡",
        "125‡",
    ]
    assert "more columns" in text


def test_a_long_name_is_folded_and_not_cut(shelf):
    shelf.method("a_very_long_name_of_a_method_without_any_space_in_it")
    tabulate([shelf.runs], shelf.out)
    assert "…" not in shown(shelf.out / "comparison.csv", 80)


def test_intervals_marks_and_the_page_are_told(table):
    text = shown(table, 170)
    assert "[45.0, 55.0]" in text
    assert "steel, paper†: 90 % of 6 test images show surface seen in training" in text
    assert "‡ beta_net: drift" in text
    assert "index.html" in text


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ReportError, match="snakemake"):
        print_comparison(tmp_path / "comparison.csv")
