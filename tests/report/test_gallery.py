"""The gallery: a fair draw, a right verdict on each box, and named errors."""

import json

import pytest
from report_parts import build_site

from defectbench.base.errors import ReportError
from defectbench.base.records import write_record
from defectbench.report.records.cells import find_cells
from defectbench.report.records.detections import choose_images, judge, read_truth, threshold_of


def box(x, label=0, score=None, side=10):
    row = {"image_id": 1, "category_id": label, "bbox": [x, 0, side, side]}
    return row if score is None else row | {"score": score}


def test_a_box_is_hit_alarm_or_missed():
    truth = [box(0), box(20), box(40, label=1)]
    near, far, wrong_class = box(2, score=0.9), box(70, score=0.8), box(40, score=0.7)
    hits, alarms, missed = judge(truth, [far, near, wrong_class])
    assert hits == [near]
    assert alarms == [far, wrong_class]
    assert missed == [truth[1], truth[2]]


def test_a_true_box_is_hit_once_by_the_best_score():
    good, double = box(0, score=0.6), box(1, score=0.9)
    hits, alarms, missed = judge([box(0)], [good, double])
    assert (hits, alarms, missed) == ([double], [good], [])


def test_half_an_overlap_is_needed():
    truth = [box(0, side=12)]
    assert judge(truth, [box(4, score=0.9, side=12)])[0]
    assert not judge(truth, [box(5, score=0.9, side=12)])[0]


def test_nothing_found_and_nothing_there():
    assert judge([], []) == ([], [], [])


def test_one_image_a_class_and_one_without_defects(filled):
    truth = read_truth(find_cells([filled.folder("alpha")])[0])
    chosen = choose_images(truth)
    assert list(chosen) == ["scratches", "rolled-in_scale", "no defect"]
    assert chosen["no defect"]["file_name"] == "plate_6.png"
    assert chosen["rolled-in_scale"]["id"] % 2 == 1
    assert len({image["id"] for image in chosen.values()}) == 3


def test_the_draw_does_not_depend_on_order(filled):
    truth = read_truth(find_cells([filled.folder("alpha")])[0])
    first = choose_images(truth)
    truth.images.reverse()
    assert choose_images(truth) == first


def test_the_threshold_is_the_one_chosen_on_validation(filled):
    folder = filled.folder("alpha")
    cell = find_cells([folder])[0]
    assert threshold_of(cell) == 0.25
    write_record(folder / "operating_point.json", "operating_point", {"threshold": 0.4}, {})
    assert threshold_of(cell) == 0.4


def test_a_gallery_is_the_same_each_time(filled):
    build_site([filled.runs], filled.out, "trial")
    before = {path.name: path.read_bytes() for path in (filled.out / "gallery").iterdir()}
    assert len(before) == filled.images
    build_site([filled.runs], filled.out, "trial")
    assert {path.name: path.read_bytes() for path in (filled.out / "gallery").iterdir()} == before


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("annotations.json", "snakemake --cores 8 datasets"),
        ("clean/test.txt", "snakemake --cores 8 datasets"),
        ("images/plate_6.png", "snakemake --cores 8 datasets"),
    ],
)
def test_missing_truth_is_named(filled, name, command):
    path = filled.data / name
    path.unlink()
    with pytest.raises(ReportError, match=command) as caught:
        build_site([filled.runs], filled.out, "trial")
    assert str(path) in str(caught.value)
    assert not (filled.out / "gallery").exists()


def test_missing_predictions_are_named(filled):
    path = filled.folder("alpha") / "predictions.json"
    path.unlink()
    with pytest.raises(ReportError, match="snakemake --cores 8") as caught:
        build_site([filled.runs], filled.out, "trial")
    assert str(path) in str(caught.value)


def test_truth_that_changed_after_scoring_is_refused(filled):
    path = filled.data / "annotations.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"info": "new"}))
    with pytest.raises(ReportError, match="predict and score it again"):
        build_site([filled.runs], filled.out, "trial")
