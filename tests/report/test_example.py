"""The table of examples/: a module in the place of topics, and nothing else."""

import importlib.util
import sys
from pathlib import Path

import pytest

from defectbench.report.records.study import read_study
from defectbench.report.writers.csv import csv_text
from defectbench.report.writers.markdown import markdown_document

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_table" / "escapes.py"


@pytest.fixture
def topic(monkeypatch):
    """The example as it is where it is to be copied to."""
    spec = importlib.util.spec_from_file_location("defectbench.report.topics.escapes", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_topic_of_ones_own_gives_a_table_for_every_writer(topic, filled):
    study = read_study([filled.runs], filled.root / "models")
    for entry in study.entries:
        escape = {"escape_rate_images": 0.25, "n_defective_images": 8}
        for cell in entry.cells:
            cell.accuracy["figures"]["escape"] = escape
    (table,) = topic.parts(study)
    assert table.name == "escapes"
    assert len(table.rows) == len([e for e in study.of_task("detection") if not e.first.is_control])
    assert "| 25.0 | 8 |" in markdown_document(table, filled.out)
    assert csv_text(table).splitlines()[0] == "title,escape_rate,n_defective"


def test_it_has_no_table_where_no_detector_has_the_figure(topic, filled):
    study = read_study([filled.runs], filled.root / "models")
    for entry in study.entries:
        for cell in entry.cells:
            cell.accuracy["figures"].pop("escape", None)
    assert list(topic.parts(study)) == []
