"""Stored predictions scored anew: the same figures, those of a truth that was mended, and named errors."""

import json

import pytest
from measure_cases import make_truth

from defectbench.base.errors import MeasurementError
from defectbench.base.records import read_record, write_record
from defectbench.cli import main
from defectbench.measure.cell import Truth, evaluate_predictions
from defectbench.measure.rescoring import rescore


@pytest.fixture
def runs(tmp_path):
    """A cell whose boxes are the truth of two images, and a control that could not be made."""
    truth = make_truth([[(0, [10, 20, 40, 40])], [(0, [60, 20, 30, 30])]])
    (tmp_path / "annotations.json").write_text(json.dumps(truth))
    (tmp_path / "test.txt").write_text("".join(f"{i['file_name']}\n" for i in truth["images"]))
    rows = "".join(f"{i['id']},{i['file_name']},{i['id']}\n" for i in truth["images"])
    (tmp_path / "groups.csv").write_text("image_id,file_name,group\n" + rows)
    cell = tmp_path / "runs" / "steel" / "clean" / "net" / "seed0"
    cell.mkdir(parents=True)
    kept = ("image_id", "category_id", "bbox")
    boxes = [{name: box[name] for name in kept} | {"score": 0.9} for box in truth["annotations"]]
    (cell / "predictions.json").write_text(json.dumps(boxes))
    evaluate_predictions(cell / "predictions.json", truth_of(tmp_path), cell / "accuracy.json")
    absent = tmp_path / "runs" / "steel" / "clean" / "control_label_jitter" / "seed0"
    inputs = {"predictions": cell / "predictions.json"}
    write_record(absent / "accuracy.json", "accuracy", {"absent_because": "no overlaps"}, inputs)
    return tmp_path / "runs"


def truth_of(home):
    return Truth(home / "annotations.json", home / "test.txt", home / "groups.csv")


def test_nothing_changes_where_nothing_has_changed(runs):
    (scored,) = rescore([runs, runs / "steel"])
    assert (scored.path.parent.parent.name, scored.changed) == ("net", {})
    assert read_record(scored.path, "accuracy")["figures"]["map50"] == pytest.approx(1.0)


def test_a_mended_truth_and_other_predictions_give_other_figures(runs, capsys):
    path = runs.parent / "annotations.json"
    truth = json.loads(path.read_text())
    truth["annotations"][0]["bbox"] = [100, 100, 20, 20]
    path.write_text(json.dumps(truth))
    assert main(["rescore", str(runs)]) == 0
    told = capsys.readouterr().out
    assert "accuracy.json: map50 was 1.0, is 0." in told
    assert told.endswith("1 sets of predictions scored anew, 1 with other figures\n")
    (record,) = runs.rglob("net/seed0/accuracy.json")
    assert read_record(record, "accuracy")["figures"]["map50"] < 0.9


def test_what_is_gone_is_named_before_anything_is_written(runs, tmp_path):
    (record,) = runs.rglob("net/seed0/accuracy.json")
    before = record.read_bytes()
    record.with_name("predictions.json").rename(tmp_path / "away.json")
    with pytest.raises(MeasurementError, match=r"predictions\.json is gone"):
        list(rescore([runs]))
    assert record.read_bytes() == before
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeasurementError, match="run snakemake scores first"):
        list(rescore([tmp_path / "empty"]))
