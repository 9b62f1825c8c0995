"""Tables as Parquet: figures and their types as they were measured, and what they are beside them."""

import json
import math

import polars
from report_parts import make_tables

from defectbench.cli import main
from defectbench.report.columns import PAIR_COLUMNS, score_column
from defectbench.report.render import write_tables
from defectbench.report.table import Column, Row, Table, word_column
from defectbench.report.writers import parquet
from defectbench.report.writers.parquet import SHARE, parquet_bytes


def read(table):
    """A table as it reads back, and what is said of it."""
    written = parquet_bytes(table)
    said = json.loads(polars.read_parquet_metadata(written)[parquet.METADATA])
    return polars.read_parquet(written), said


def test_every_figure_reads_back_in_its_type(filled):
    table = make_tables([filled.runs]).tables["comparison"]
    frame, _ = read(table)
    assert frame.columns == table.keys
    assert frame.to_dicts() == [{key: row.values[key] for key in table.keys} for row in table.rows]
    types = {
        "method": polars.String,
        "n_seeds": polars.Int64,
        "map50": polars.Float64,
        "params_m": polars.Float64,  # controls have none
        "latency_valid": polars.Boolean,
    }
    assert {key: frame.schema[key] for key in types} == types
    assert frame["params_m"].null_count() == 2


def test_title_notes_headings_and_units_stand_beside_the_figures(filled):
    table = make_tables([filled.runs]).tables["comparison"]
    _, said = read(table)
    assert (said["title"], said["notes"]) == (table.title, list(table.notes))
    columns = said["columns"]
    assert columns["latency_ms_p50"] == {"heading": "p50", "unit": "ms"}
    assert columns["latency_ms_p50_low"] == columns["latency_ms_p50"]
    assert columns["map50"]["unit"] == SHARE  # shown in percent, written as measured
    assert set(columns) <= set(table.keys)
    points = next(column for column in PAIR_COLUMNS if column.key == "difference")
    _, said = read(Table("t", "T", [points], [Row({"difference": 0.02})]))
    assert said["columns"] == {"difference": {"heading": points.heading, "unit": SHARE}}


def test_columns_of_nothing_of_two_kinds_and_of_no_rows():
    columns = [word_column("method", "method"), Column("n", "n"), score_column("map50", "mAP50", 1)]
    rows = [Row({"method": "a", "n": 1, "map50": 1}), Row({"method": 2, "n": None, "map50": 0.1})]
    frame, _ = read(Table("t", "T", columns, rows, fields=("method", "n", "map50", "empty")))
    assert frame.dtypes == [polars.String, polars.Int64, polars.Float64, polars.Null]
    assert frame.rows() == [("a", 1, 1.0, None), ("2", None, 0.1, None)]
    frame, _ = read(Table("t", "T", columns, rows=[]))
    assert (frame.columns, frame.height) == (["method", "n", "map50"], 0)
    (third,) = read(Table("t", "T", columns[2:], [Row({"map50": 1 / 3})]))[0]["map50"]
    assert math.isclose(third, 1 / 3, rel_tol=1e-16)  # a CSV has nine digits


def test_they_stand_where_a_csv_stands_and_go_with_it(filled):
    tables = make_tables([filled.runs]).report.tables
    write_tables(tables, filled.out, with_parquet=True)
    stems = {kind: {p.stem for p in filled.out.glob(f"*.{kind}")} for kind in ("csv", "parquet")}
    assert stems["parquet"] == stems["csv"] >= {"comparison", "pairs", "claims"}
    before = {path: path.read_bytes() for path in filled.out.glob("*.parquet")}
    write_tables(tables, filled.out, with_parquet=True)
    assert {path: path.read_bytes() for path in filled.out.glob("*.parquet")} == before
    write_tables(tables, filled.out)
    assert not list(filled.out.glob("*.parquet"))


def test_the_verb_writes_them_and_names_a_library_that_is_missing(filled, monkeypatch, capsys):
    command = ["report", str(filled.runs), "--study", "trial", "--out", str(filled.out)]
    command += ["--models", str(filled.root), "--made", "--parquet"]
    cells = [str(path.parent) for path in filled.runs.rglob("accuracy.json")]
    command[1:2] = cells
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "find_spec", lambda name: None)
        assert main(command) != 0
    assert "package polars: got 'nothing'; pip install \"defectbench[parquet]\"" in (
        capsys.readouterr().err
    )
    assert not filled.out.exists()
    assert main(command) == 0
    assert (filled.out / "comparison.parquet").is_file()
