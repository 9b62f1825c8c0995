"""Tables that are kept as CSV are read back as what they were written from."""

import csv
import io

import pytest
from rendered import REFERENCE, ROOT

from defectbench.base.errors import ReportError
from defectbench.report.kept_tables import kept_tables
from defectbench.report.records.kept_rows import read_figure, read_instances, read_rows
from defectbench.report.topics.compression.stages import StageRow
from defectbench.report.writers.csv import csv_text

NAMES = ("pairs", "classification_pairs", "claims", "compression")
PATHS = [path for name in NAMES for path in sorted(REFERENCE.rglob(f"{name}.csv"))]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_kept_table_writes_its_file_again(path):
    tables = {table.name: table for table in kept_tables(path.parent, ROOT / "models")}
    again = list(csv.DictReader(io.StringIO(csv_text(tables[path.stem]))))
    before = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(again) == len(before) > 0
    for line, old in zip(again, before, strict=True):
        told = {key: text for key, text in old.items() if key != "record"}  # of the run, not kept
        assert told.items() <= line.items()


def test_a_folder_without_kept_tables_has_none(tmp_path):
    assert kept_tables(tmp_path) == []


def test_fields_are_read_by_their_kind(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "dataset,protocol,method,title,seed,stage,score_name,score,score_low,score_high,n_images,"
        "difference,latency_valid,latency_invalid_because,epochs\n"
        "7,clean,m,M,0,base,map50,1,0.5,1e-05,9,,False,,12\n"
    )
    (stage,) = read_instances(path, StageRow)
    assert (stage.dataset, stage.seed, stage.score, stage.score_high) == ("7", 0, 1.0, 1e-05)
    assert isinstance(stage.score, float)
    assert (stage.difference, stage.latency_valid, stage.epochs) == (None, False, 12)
    assert (stage.latency_invalid_because, stage.record) == ("", "")


def test_values_are_read_by_their_look(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d,e,f\n1,0.5,,848031e77977,x,-1e-05\n")
    assert read_rows(path) == [
        {"a": 1, "b": 0.5, "c": None, "d": "848031e77977", "e": "x", "f": -1e-05}
    ]
    with pytest.raises(ReportError, match="kept"):
        read_rows(tmp_path / "nothing.csv")


def test_a_figure_is_read_by_its_dotted_key(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"figures": {"images": {"test": 3}}}')
    assert read_figure(path, "images.test") == 3
    with pytest.raises(ReportError, match=r"images\.val"):
        read_figure(path, "images.val")
