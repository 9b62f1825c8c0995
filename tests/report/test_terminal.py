"""Tables in the terminal: at any width each row shows its name and its headline figure in full."""

import io

import pytest
from rendered import REPORTS, STUDY, report_of
from report_parts import tabulate
from rich.console import Console

from defectbench.base.errors import ReportError
from defectbench.report.table import (
    HEADLINE,
    NAME,
    Column,
    Row,
    RowBlock,
    Shown,
    Table,
    word_column,
)
from defectbench.report.writers.stored import stored_tables
from defectbench.report.writers.terminal import choose, print_tables, table_lines

WIDTHS = (80, 100, 120, 160, 200)
LONG = (
    "YOLOv4, thin, slimmed to 2.2 MiB",
    "YOLOv4, thin, slimmed to 2.2 MiB, thin from scratch",
    "ResNet-50, its widths taught afresh (published), half of each teacher",
    "a_very_long_name_of_a_method_without_any_space_in_it_that_nobody_would_give_but_somebody_does",
)


def shown(tables, width, page=""):
    text = io.StringIO()
    print_tables(tables, page, Console(file=text, width=width, color_system=None))
    return text.getvalue()


@pytest.fixture
def table(filled):
    tabulate([filled.runs], filled.out)
    return stored_tables(filled.out / "comparison.csv")


def test_a_terminal_that_says_it_has_no_width_is_written_to(table):
    assert shown(table, 0) == shown(table, 80)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """All tables of all topics, of stored runs."""
    made = []
    for name in (name for name in REPORTS if name != STUDY):
        report = report_of(name, tmp_path_factory.mktemp(name))
        made += [table for table in report.tables if table.rows]
    return made


def with_long_names(table):
    """The table with the longest names that occur, and longer ones."""
    first = next(column.key for column in table.columns if column.priority == NAME)
    rows = [
        Row(row.values, {**row.shown, first: Shown(name)}, row.block, row.is_control, row.flag)
        for row, name in zip(table.rows, LONG * len(table.rows), strict=False)
    ]
    return Table(table.name, table.title, table.columns, rows, table.notes)


def pieces(lines, slots, key):
    """What stands in one column, line by line."""
    start = 0
    for slot in slots:
        if slot.column.key == key:
            return [line[start : start + slot.width].strip() for line in lines]
        start += slot.width + 2
    raise AssertionError(f"no column {key}")


def check_whole(table, width):
    """Each row's names and headline figures stand there, each in its column, and no line is too long."""
    lines = [line.plain for line in table_lines(table, width)]
    assert all(len(line) <= width for line in lines), max(lines, key=len)
    slots = choose(table, width)
    always = [c for c in table.columns if c.priority <= HEADLINE and not c.is_detail]
    assert [column for column in always if column.priority == NAME]
    assert any(column.priority == HEADLINE for column in always) or table.name.endswith("runs")
    for column in always:
        text = "".join(pieces(lines, slots, column.key)).replace(" ", "")
        for row in table.rows:
            cell = column.show(row)
            whole = (cell.text + cell.mark).replace(" ", "")
            assert whole in text, (table.name, column.key, whole)
            text = text[text.index(whole) + len(whole) :]
    left_out = [line for line in lines if line.startswith("left out")]
    missing = {c.key for c in table.columns if not c.is_detail} - {s.column.key for s in slots}
    assert len(left_out) <= 1
    assert bool(left_out) or not missing


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_of_every_topic_shows_names_and_headline_figures(tables, width):
    assert {table.name for table in tables} >= {
        *("comparison", "classification", "compression", "leakage", "pairs", "claims"),
        *("per_class", "classification_per_class", "classification_pairs", "runs"),
    }
    for table in tables:
        check_whole(table, width)
        check_whole(with_long_names(table), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_name_that_fits_stands_in_one_line(tables, width):
    for table in tables:
        if table.name in ("comparison", "classification"):
            lines = [line.plain for line in table_lines(table, width)]
            for row in table.rows:
                name, figure = (
                    column.show(row).text for column in table.columns if column.priority <= HEADLINE
                )
                assert [line for line in lines if line.startswith(name) and figure in line]


def test_columns_go_by_priority(tables):
    for table in (table for table in tables if table.name in ("comparison", "classification")):
        kept = [len(choose(table, width)) for width in WIDTHS]
        assert kept == sorted(kept)
        assert kept[0] >= 3


def test_a_column_that_is_left_out_is_named():
    columns = [
        word_column("name", "method", NAME),
        Column("score", "score", "%", priority=HEADLINE),
        Column("first", "first", "m" * 30, priority=2),
        Column("second", "second", "m" * 30, priority=3),
    ]
    rows = [Row({"name": "alpha", "score": 1, "first": 2, "second": 3}, block=RowBlock("steel"))]
    table = Table("trial", "Trial", columns, rows, formats=("terminal",))
    assert "left out" not in shown([table], 100)
    assert "left out, see the page: second, mmmm" in shown([table], 76)
    assert [slot.column.key for slot in choose(table, 60)] == ["name", "score", "first"]
    assert [slot.column.key for slot in choose(table, 20)] == ["name", "score"]


def test_a_wide_terminal_shows_all_columns(table):
    text = shown(table, 200)
    for heading in ("epochs", "mAP50-95", "seeds × images", "FLOPs", "p90", "p99", "train"):
        assert heading in text
    beta = next(line for line in text.split("\n") if line.startswith("beta_net"))
    assert beta.split() == [
        *("beta_net", "64", "30", "50.0", "25.0", "1", "×", "6", "2.50", "0.100", "0.200"),
        *("2.00", "8.00‡", "9.00‡", "10.0‡", "125‡", "100"),
    ]


def test_intervals_marks_and_the_page_are_told(table):
    text = shown(table, 170, "results/report/index.html")
    assert "[45.0, 55.0]" in text
    assert "steel, paper†: 90 % of 6 test images show surface seen in training" in text
    assert "† leaked protocol: test images show surface seen in training." in text
    assert "‡ invalid timing, not to be cited: beta_net (clean): drift" in text
    assert "page: results/report/index.html" in text


def test_a_stored_table_prints_as_the_one_that_was_made(filled):
    made = tabulate([filled.runs], filled.out)
    for width in WIDTHS:
        stored = shown(stored_tables(filled.out), width)
        assert stored == shown(made.report.tables, width)
        assert "beta_net" in stored


def test_a_missing_table_is_named(tmp_path, filled):
    with pytest.raises(ReportError, match="snakemake"):
        stored_tables(tmp_path / "elsewhere" / "comparison.csv")
    tabulate([filled.runs], filled.out)
    with pytest.raises(ReportError, match=r"name one of \['comparison', "):
        stored_tables(filled.out / "comparisons.csv")
