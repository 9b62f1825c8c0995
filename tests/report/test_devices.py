"""The table of boards: what was measured there, what others print beside no figure, and nothing of emulated boards."""

import json
from dataclasses import replace

import pytest

from defectbench.base.board_claims import BoardClaim
from defectbench.base.errors import ReportError
from defectbench.base.records import ABSENT, write_record
from defectbench.measure.accuracy import evaluate
from defectbench.report.numbers import INVALID, NOTHING
from defectbench.report.records.study import read_study
from defectbench.report.topics import devices

TIMED = {
    "latency_ms_p50": 2.0,
    "latency_ms_p90": 2.5,
    "latency_ms_p99": 3.0,
    "ratio_to_reference": 1.5,
    "ratio_to_reference_low": 1.4,
    "ratio_to_reference_high": 1.6,
    "threads": 1,
    "valid": True,
    "invalid_because": [],
}
CLAIM = {
    "id": "e1",
    "board": "Orin Nano",
    "model": "alpha",
    "method": "alpha",
    "precision": "fp16",
    "ms": 4.43,
    "timed": "gpu compute",
    "power_mode": "15W",
    "source": "a page",
}


def add_device(shelf, cell, device="orin", form="tensorrt-fp16", emulated=False, **figures):
    """Records of a cell on a board, its predictions scored for real; ``watts`` and ``by_trtexec`` beside figures."""
    watts, by_trtexec = figures.pop("watts", 9.5), figures.pop("by_trtexec", False)
    folder = cell / "devices" / device / form
    folder.mkdir(parents=True)
    predictions = folder / "predictions.json"
    predictions.write_text(json.dumps(shelf.oracle()))
    model = {"model": cell / "model.onnx"}
    inputs = {**model, "predictions": predictions}
    write_record(folder / "predictions.record.json", "predictions", {"n_images": 6}, inputs)
    truth, listed = shelf.data / "annotations.json", shelf.data / "clean" / "test.txt"
    evaluate(truth, predictions, listed, shelf.data / "groups.csv", folder / "accuracy.json")
    agreed = {"largest_difference_boxes": 1e-5, "largest_difference_scores": 2e-5, "n_images": 6}
    artifact = {"artifact": cell / "model.onnx"}
    write_record(folder / "agreement.json", "agreement", agreed, artifact)
    extra = {
        "board": {"model": "NVIDIA Orin Nano", "cpu": None, "power_mode": "MAXN_SUPER"},
        "emulated": emulated,
        "power": {"board_w_mean": watts},
        "settings": {"by_trtexec": by_trtexec},
    }
    write_record(folder / "latency.json", "latency", TIMED | figures, model, extra=extra)
    return folder


@pytest.fixture
def cell(shelf):
    folder = shelf.method("alpha")
    shelf.rescore(folder, shelf.oracle())
    return folder


def rows_of(shelf, *claims):
    study = read_study([shelf.root / "results"], shelf.root / "models")
    return devices.rows_of(study.entries, [BoardClaim.model_validate(c) for c in claims])


def test_a_study_without_boards_and_claims_has_no_such_table(shelf, cell):
    study = read_study([shelf.root / "results"], shelf.root / "models")
    assert list(devices.parts(study)) == []


def test_a_board_has_a_row_with_its_own_score_and_time(shelf, cell):
    add_device(shelf, cell)
    (row,) = rows_of(shelf)
    assert (row.device, row.board, row.power_mode) == ("orin", "NVIDIA Orin Nano", "MAXN_SUPER")
    assert (row.engine, row.precision, row.score, row.n_images) == ("tensorrt", "fp16", 1.0, 6)
    assert (row.latency_ms_p50, row.latency_ms_p99, row.ratio_to_reference) == (2.0, 3.0, 1.5)
    assert (row.race_w_mean, row.largest_difference) == (9.5, 2e-5)
    assert row.claimed_ms is None
    notes = " ".join(devices.device_table([row]).notes)
    assert "6 images" in notes
    assert "MAXN_SUPER" in notes


def test_what_runs_on_an_emulated_processor_never_enters_the_table(shelf, cell):
    add_device(shelf, cell, device="qemu", emulated=True)
    assert rows_of(shelf) == []
    add_device(shelf, cell)
    assert [row.device for row in rows_of(shelf)] == ["orin"]


def test_a_claim_stands_in_its_own_column_beside_no_figure_of_ours(shelf, cell):
    add_device(shelf, cell)
    ours, printed = rows_of(shelf, CLAIM, CLAIM | {"method": "beta"})
    assert (ours.claimed_ms, ours.claim) == (None, "")
    assert printed.claimed_ms == 4.43
    assert printed.claim == "Orin Nano, 15W, size not said, fp16, gpu compute"
    assert printed.claim_grade == "not reproducible: no TensorRT version"
    table = devices.device_table([ours, printed])
    columns = {column.key: column for column in table.columns}
    claimed = {"claimed_ms", "claim", "claim_grade", "title"}
    for key, column in columns.items():
        if key not in claimed:
            assert column.show(table.rows[1]).text == NOTHING, key
    assert columns["claimed_ms"].show(table.rows[1]).text == "4.43"


def test_a_ratio_that_cannot_be_trusted_is_marked(shelf, cell):
    add_device(shelf, cell, valid=False, invalid_because=["12 blocks, under 20"])
    table = devices.device_table(rows_of(shelf))
    (column,) = (column for column in table.columns if column.key == "ratio_to_reference")
    assert column.show(table.rows[0]).mark == INVALID
    assert any(note.startswith(INVALID) for note in table.notes)


def test_power_is_told_once_a_board_and_of_no_method(shelf, cell):
    add_device(shelf, cell)
    add_device(shelf, cell, form="onnxruntime", watts=7.25)
    table = devices.device_table(rows_of(shelf))
    assert not [column for column in table.columns if "w_mean" in column.key]
    told = [note for note in table.notes if " W while its models took turns" in note]
    assert sorted(note.partition(" W")[0] for note in told) == [
        "orin, onnxruntime: 7.25",
        "orin, tensorrt: 9.50",
    ]


def test_what_trtexec_timed_has_an_engine_of_its_own(shelf, cell):
    add_device(shelf, cell, by_trtexec=True)
    (row,) = rows_of(shelf)
    assert row.engine == "tensorrt (trtexec)"
    notes = devices.device_table([row]).notes
    assert any(note.startswith("tensorrt (trtexec) times copies and GPU") for note in notes)
    assert not [
        n for n in devices.device_table([replace(row, engine="ncnn")]).notes if "copies" in n
    ]


def test_a_model_that_its_engine_refused_has_a_row_that_says_so(shelf, cell):
    folder = add_device(shelf, cell)
    record = json.loads((folder / "latency.json").read_text())
    extra = {name: record[name] for name in ("board", "emulated", "power", "settings")}
    model = {"model": cell / "model.onnx"}
    for kind in ("accuracy", "latency"):
        write_record(
            folder / f"{kind}.json", kind, {ABSENT: "tensorrt: no Det"}, model, extra=extra
        )
    (row,) = rows_of(shelf)
    assert (row.score, row.latency_ms_p50, row.absent_because) == (None, None, "tensorrt: no Det")
    table = devices.device_table([row])
    note = f"orin, tensorrt in fp16: no figures of {row.title}: tensorrt: no Det."
    assert note in table.notes
    shown = {column.key: column.show(table.rows[0]).text for column in table.columns}
    assert shown["latency_ms_p50"] == shown["score"] == NOTHING
    assert shown["engine"] == "tensorrt"


def test_records_of_an_artifact_that_was_made_anew_are_refused(shelf, cell):
    folder = add_device(shelf, cell)
    other = cell / "other.onnx"
    other.write_bytes(b"of before")
    agreed = {"largest_difference_boxes": 1e-5, "n_images": 6}
    write_record(folder / "agreement.json", "agreement", agreed, {"artifact": other})
    with pytest.raises(ReportError, match="pack it and run it again"):
        rows_of(shelf)


def test_a_board_that_timed_another_file_than_it_scored_is_refused(shelf, cell):
    folder = add_device(shelf, cell)
    other = cell / "other.onnx"
    other.write_bytes(b"other")
    record = json.loads((folder / "latency.json").read_text())
    extra = {name: record[name] for name in ("board", "emulated", "power", "settings")}
    write_record(folder / "latency.json", "latency", TIMED, {"model": other}, extra=extra)
    with pytest.raises(ReportError, match="the scored model is"):
        rows_of(shelf)
