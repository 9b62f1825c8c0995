"""Label noise in the report: a table of each set, and a band beside scores by class."""

import pytest
from report_parts import draw, make_tables

from defectbench.measure.label_noise import Agreement, LabelNoise
from defectbench.report.figures.classes import classes_figure
from defectbench.report.figures.style import looks
from defectbench.report.records.cells import find_entries
from defectbench.report.writers.csv import csv_text
from defectbench.report.writers.markdown import markdown_document

HEAD = "image_a,image_b,dx,dy,correlation,shared_area,kind\n"
# Images 1 and 3 of the shelf show the same boxes; 2 has a scratch alone.
PAIRS = "plate_1.png,plate_3.png,0,0,0.9,1.0,shift\nplate_1.png,plate_2.png,0,0,0.9,1.0,shift\n"


@pytest.fixture
def overlapping(shelf):
    (shelf.data / "overlaps.csv").write_text(HEAD + PAIRS)
    shelf.method("alpha")
    shelf.method("beta")
    return shelf


def test_each_class_has_its_agreement(overlapping):
    table = make_tables([overlapping.runs]).tables["label_agreement"]
    rows = {row.values["class_name"]: row.values for row in table.rows}
    # the patches of scale of 1 and 3 agree both ways, and 2 shows none where 1 has one
    assert rows["scratches"]["agreement50"] == 1.0
    assert rows["rolled-in_scale"]["agreement50"] == pytest.approx(2 / 3)
    assert [rows[name]["n_checks"] for name in rows] == [4, 3, 7]
    assert list(rows)[-1] == "all classes"
    assert "steel: 2 pairs of images show the same surface" in markdown_document(
        table, overlapping.out
    )
    assert csv_text(table).splitlines()[0].startswith("dataset,class_name,n_checks,n_groups")


def test_a_set_without_overlaps_has_none_and_says_so(shelf):
    (shelf.data / "overlaps.csv").write_text(HEAD)
    shelf.method("alpha")
    report = make_tables([shelf.runs])
    table = report.tables["label_agreement"]
    assert list(table.rows) == []
    assert "no object was annotated twice" in markdown_document(table, shelf.out)
    assert not [p for p in report.report.pictures if p.name.startswith("classes_")]


def test_without_the_data_nothing_is_claimed(shelf):
    shelf.method("alpha")
    assert "label_agreement" not in make_tables([shelf.runs]).tables


def test_the_band_stands_at_the_agreement(overlapping):
    entries = find_entries([overlapping.runs])
    half = Agreement(0.5, 0.3, 0.7)
    noise = {"scratches": LabelNoise(40, 20, half, Agreement(1.0, 1.0, 1.0))}
    left, right = classes_figure(entries, noise, looks(entries)).axes
    (band,) = left.collections
    assert band.get_datalim(left.transData).get_points()[:, 1].tolist() == [30.0, 70.0]
    (thin,) = right.collections
    low, high = thin.get_datalim(right.transData).get_points()[:, 1]
    assert low < 100 < high
    marks = [line for line in left.lines if line.get_marker() in "os"]
    assert len(marks) == 4  # two methods in two classes
    assert {float(line.get_ydata()[0]) for line in marks} == {50.0}


def test_the_figure_is_drawn_for_each_place(overlapping):
    draw([overlapping.runs], overlapping.out)
    assert (overlapping.out / "figures" / "classes_steel_clean.svg").is_file()
