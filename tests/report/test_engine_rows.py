"""The table of engines: differences on the same images, what cannot be run, marks."""

import json
from dataclasses import replace

import pytest

from defectbench.base.errors import ReportError
from defectbench.base.records import ABSENT, write_record
from defectbench.report.numbers import INVALID, NOTHING
from defectbench.report.records.study import read_study
from defectbench.report.reference import keep_reference
from defectbench.report.topics import engines

TIMED = {
    "latency_ms_p50": 2.0,
    "ratio_to_reference": 1.5,
    "ratio_to_base": 0.5,
    "ratio_to_base_low": 0.45,
    "ratio_to_base_high": 0.55,
    "threads": 1,
    "valid": True,
    "invalid_because": [],
}


def add_form(shelf, folder, name, results, **figures):
    """A form of a cell: predictions scored for real, its agreement and its latency."""
    form = folder / "engines" / name
    form.mkdir(parents=True)
    (form / "predictions.json").write_text(json.dumps(results))
    from defectbench.measure.accuracy import evaluate

    lists = shelf.data / "clean" / "test.txt"
    truth = shelf.data / "annotations.json"
    evaluate(
        truth, form / "predictions.json", lists, shelf.data / "groups.csv", form / "accuracy.json"
    )
    write_record(
        form / "agreement.json", "agreement", {"largest_difference_boxes": 1e-5, "n_images": 8}, {}
    )
    model = {"model": folder / "model.onnx"}
    write_record(folder / "latency" / f"{name}.json", "latency", TIMED | figures, model)


@pytest.fixture
def cell(shelf):
    folder = shelf.method("alpha")
    shelf.rescore(folder, shelf.oracle())
    return folder


def rows_of(shelf):
    return engines.rows_of(read_study([shelf.root / "results"], shelf.root / "models").entries)


def test_a_study_of_one_form_has_no_such_table(shelf, cell):
    study = read_study([shelf.root / "results"], shelf.root / "models")
    assert list(engines.parts(study)) == []


def test_a_form_is_compared_with_the_artifact_on_the_same_images(shelf, cell):
    add_form(shelf, cell, "openvino", shelf.oracle())
    half = [row for row in shelf.oracle() if row["category_id"] == 0]
    made = cell / "engines" / "int8" / "conversion.json"
    write_record(made, "conversion", {"model_mib": 0.5}, {"source": cell / "model.onnx"})
    add_form(shelf, cell, "onnxruntime-int8", half)
    artifact, rounded, other = rows_of(shelf)
    assert [(row.engine, row.precision) for row in (artifact, rounded, other)] == [
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
    ]
    assert (artifact.score, artifact.gain, artifact.ratio_to_artifact) == (1.0, None, None)
    assert (other.score, other.gain, other.model_mib) == (1.0, 0.0, 2.0)
    assert (other.ratio_to_artifact, other.ratio_to_artifact_low) == (0.5, 0.45)
    assert rounded.score == pytest.approx(0.5)
    assert rounded.gain == pytest.approx(-0.5, abs=1e-9)
    assert rounded.model_mib == 0.5
    table = engines.engine_table([artifact, rounded, other])
    (gain,) = (column for column in table.columns if column.key == "gain")
    assert [gain.show(row).mark for row in table.rows] == ["", engines.LOSES, ""]
    (note,) = [note for note in table.notes if "loses more than 2 points" in note]
    assert "in 0 of 1 rows so marked the whole interval does" in note  # of six images
    surely = replace(rounded, gain=-0.03, gain_low=-0.04, gain_high=-0.021)
    (note,) = [note for note in engines.engine_table([surely]).notes if "points" in note[:30]]
    assert "in 1 of 1 rows" in note
    assert any("Latency is with 1 thread." in note for note in table.notes)


def test_kept_forms_have_the_intervals_of_predictions_that_are_not_kept(shelf, cell):
    add_form(shelf, cell, "openvino", [row for row in shelf.oracle() if row["category_id"] == 0])
    _, before = rows_of(shelf)
    kept = shelf.root / "kept"
    (folder,) = keep_reference([shelf.runs], kept)
    assert (folder / "predictions.json.gz").is_file()
    assert sorted(path.name for path in (folder / "engines" / "openvino").iterdir()) == [
        "accuracy.json",
        "agreement.json",
    ]
    _, after = engines.rows_of(read_study([kept], shelf.root / "models", is_kept=True).entries)
    interval = (after.gain_low, after.gain_high)
    assert interval == pytest.approx((before.gain_low, before.gain_high))
    # a second cell that is kept later leaves the rows of the first
    shelf.rescore(other := shelf.method("beta"), shelf.oracle())
    add_form(shelf, other, "openvino", shelf.oracle())
    keep_reference([other], kept)
    lines = (kept / "steel" / "clean" / "engines.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["alpha", "alpha", "beta", "beta"]


def test_a_timing_that_cannot_be_trusted_is_marked_with_its_reason(shelf, cell):
    why = ["12 blocks, under 20"]
    add_form(shelf, cell, "openvino", shelf.oracle(), valid=False, invalid_because=why)
    table = engines.engine_table(rows_of(shelf))
    columns = {column.key: column for column in table.columns}
    marks = [
        {name: columns[name].show(row).mark for name in (*engines.TIMED, "score", "gain")}
        for row in table.rows
    ]
    assert set(marks[0].values()) == {""}
    assert [name for name, mark in marks[1].items() if mark == INVALID] == list(engines.TIMED)
    (note,) = [note for note in table.notes if note.startswith(INVALID)]
    assert "alpha by openvino (steel, clean): 12 blocks, under 20." in note
    assert not [note for note in engines.engine_table(rows_of(shelf)[:1]).notes if INVALID in note]


def test_a_form_that_is_scored_and_not_timed_has_its_score_and_the_reason(shelf, cell):
    add_form(shelf, cell, "openvino", shelf.oracle())
    model = {"model": cell / "model.onnx"}
    reason = {ABSENT: "its engine starts a process for each call here"}
    write_record(cell / "latency" / "openvino.json", "latency", reason, model)
    _, row = rows_of(shelf)
    assert (row.score, row.gain, row.latency_ms_p50, row.latency_valid) == (1.0, 0.0, None, None)
    table = engines.engine_table([row])
    (ratio,) = (column for column in table.columns if column.key == "ratio_to_artifact")
    assert ratio.show(table.rows[0]).text == NOTHING
    assert any("openvino is not timed with alpha: its engine starts" in n for n in table.notes)


def test_what_an_engine_cannot_run_is_a_row_that_names_the_operator(shelf, cell):
    form = cell / "engines" / "ncnn"
    form.mkdir(parents=True)
    (form / "predictions.json").write_text("[]")
    reason = {ABSENT: "ncnn operator: Tensor.slice"}
    inputs = {"predictions": form / "predictions.json"}
    for path, kind in (
        (form / "accuracy.json", "accuracy"),
        (cell / "latency" / "ncnn.json", "latency"),
    ):
        write_record(path, kind, reason, inputs)
    artifact, absent = rows_of(shelf)
    assert absent.absent_because == "ncnn operator: Tensor.slice"
    table = engines.engine_table([artifact, absent])
    (gain,) = (column for column in table.columns if column.key == "gain")
    assert gain.show(table.rows[1]).text == "cannot run"
    assert any(
        "ncnn does not run alpha: ncnn operator: Tensor.slice." in note for note in table.notes
    )


def test_a_form_without_its_latency_is_named_with_the_command_that_makes_it(shelf, cell):
    add_form(shelf, cell, "openvino", shelf.oracle())
    (cell / "latency" / "openvino.json").unlink()
    with pytest.raises(ReportError, match="race --form onnxruntime --form openvino"):
        rows_of(shelf)


def test_a_form_of_an_earlier_model_file_is_named(shelf, cell):
    made = cell / "engines" / "int8" / "conversion.json"
    earlier = cell / "earlier.onnx"
    earlier.write_bytes(b"earlier")
    write_record(made, "conversion", {"model_mib": 0.5}, {"source": earlier})
    add_form(shelf, cell, "onnxruntime-int8", shelf.oracle())
    with pytest.raises(ReportError, match="the artifact is"):
        rows_of(shelf)
