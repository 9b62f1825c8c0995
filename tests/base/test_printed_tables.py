"""Tables of papers as data: figures keep their digits, rows take what their table says, and slips of typing are named."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from defectbench.base.cards import load_shelf
from defectbench.base.errors import ConfigError
from defectbench.base.methods import method_names
from defectbench.base.printed_tables import (
    PrintedSpeed,
    PrintedStatement,
    PrintedTable,
    read_other_networks,
    read_printed_tables,
)

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
WHOLE = {"paper": "P", "place": "table 1", "citation": "A. Author, 2026", "read": "all of it"}


def table(rows, **more):
    return PrintedTable.model_validate(WHOLE | {"rows": rows} | more)


def test_figures_keep_a_zero_at_their_end_and_floats_are_refused():
    (row,) = table([{"method": "m", "map50": "98.30"}]).rows
    assert str(row.map50) == "98.30"
    (row,) = table([{"method": "m", "speeds": [{"fps": 180}]}]).rows
    assert row.speeds[0].fps == Decimal(180)
    for value in (98.3, True, "fast", "nan", None):
        with pytest.raises(ValidationError):
            PrintedSpeed.model_validate({"fps": value})


def test_rows_and_statements_take_data_and_size_of_their_table():
    rows = [{"method": "a", "map50": "1.0"}, {"method": "b", "map50": "1.0", "size": 320}]
    statement = {"figure": "map50", "kind": "difference", "of": "a", "against": "b", "value": "0.0"}
    made = table(rows, data_set="neu-det", size=192, statements=[statement])
    assert [(row.data_set, row.size) for row in made.rows] == [("neu-det", 192), ("neu-det", 320)]
    assert (made.statements[0].data_set, made.statements[0].size) == ("neu-det", 192)


@pytest.mark.parametrize(
    ("kind", "figure", "value"),
    [("percent", "map50", None), ("beside", "operations_g", "1"), ("beside", "map50", None)],
)
def test_a_statement_has_the_figure_that_its_kind_needs(kind, figure, value):
    content = {"figure": figure, "kind": kind, "of": "a", "against": "b", "value": value}
    with pytest.raises(ValidationError):
        PrintedStatement.model_validate({k: v for k, v in content.items() if v is not None})


def test_a_row_without_a_figure_and_a_wrong_field_are_named(tmp_path):
    with pytest.raises(ValidationError, match="a row holds a figure"):
        table([{"method": "m"}])
    folder = tmp_path / "printed_tables"
    folder.mkdir()
    assert read_printed_tables(tmp_path) == []
    assert read_other_networks(tmp_path) == {}
    text = "paper: P\nplace: t\ncitation: c\nread: r\nrows: [{method: m, map50: 98.3}]\n"
    (folder / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"p\.yaml: rows\.0\.map50: .*quotes"):
        read_printed_tables(tmp_path)


def test_the_tables_of_the_shelf_name_methods_and_networks_that_there_are():
    tables = read_printed_tables(MODELS)
    networks = {row.network for each in tables for row in each.rows if row.network}
    assert networks <= {*method_names(MODELS), *read_other_networks(MODELS)}
    assert len({each.source for each in tables}) == len(tables)
    names = {card.name for card in load_shelf(ROOT / "datasets")}
    printed = {row.data_set for each in tables for row in each.rows}
    assert printed & names == {"neu-det", "gc10-det"}
    rows = [row for each in tables for row in each.rows if row.rebuilt_from_it]
    assert {row.network for row in rows} == {"lidd_net", "tinydefectnet"}


def test_what_was_not_read_or_is_assumed_stands_in_each_table():
    for each in read_printed_tables(MODELS):
        assert each.read, each.source
        assert each.unstated or each.place != "abstract" or each.paper in ("LIDD-Net", "SD-GASNet")
