"""Tables of second figures: threads, images a call, memory, first start, energy."""

import pytest
from test_engine_rows import TIMED, add_form

from defectbench.base.errors import ReportError
from defectbench.base.records import ABSENT, read_record, write_record
from defectbench.report.numbers import INVALID
from defectbench.report.records.study import read_study
from defectbench.report.topics import engine_speed, engine_starts, engines

ENDS = {"latency_ms_p50_low": 1.9, "latency_ms_p50_high": 2.1}
FOUR = {
    "fps": 500.0,
    "images_per_s_batch4": 800.0,
    "images_per_s_batch4_low": 780.0,
    "images_per_s_batch4_high": 810.0,
    "ratio_to_reference_batch4": 1.2,
    "ratio_to_reference_batch4_low": 1.1,
    "ratio_to_reference_batch4_high": 1.3,
}
STARTED = {
    "peak_engine_mib": 30.0,
    "peak_model_mib": 12.0,
    "cold_import_ms": 80.0,
    "cold_open_ms": 20.0,
    "cold_first_image_ms": 5.0,
    "cold_start_ms": 105.0,
    "n_starts": 3,
}
ENERGY = {"joules_per_image": 0.5, "joules_per_image_above_idle": 0.4, "idle_w": 7.0}


@pytest.fixture
def cell(shelf):
    folder = shelf.method("alpha")
    shelf.rescore(folder, shelf.oracle())
    return folder


def study_of(shelf):
    return read_study([shelf.root / "results"], shelf.root / "models")


def tables(shelf, topic):
    return list(topic.parts(study_of(shelf)))


def time_again(folder, name, threads, model="model.onnx", **figures):
    path = folder / "latency" / f"threads{threads}" / f"{name}.json"
    figures = TIMED | ENDS | FOUR | {"threads": threads} | figures
    write_record(path, "latency", figures, {"model": folder / model})


def test_a_study_without_second_figures_has_no_such_tables(shelf, cell):
    add_form(shelf, cell, "openvino", shelf.oracle(), **ENDS, fps=500.0)
    assert tables(shelf, engine_speed) == []
    assert tables(shelf, engine_starts) == []


def test_each_number_of_threads_has_a_row_of_its_own(shelf, cell):
    shelf.change(cell / "latency" / "onnxruntime.json", **FOUR)
    add_form(shelf, cell, "openvino", shelf.oracle(), **ENDS, **FOUR)
    add_form(shelf, cell, "openvino-int8", shelf.oracle(), **ENDS, fps=400.0)
    time_again(cell, "onnxruntime", 2)
    time_again(cell, "openvino", 2, ratio_to_base=0.6)
    (table,) = tables(shelf, engine_speed)
    seen = [
        [row.values[key] for key in ("engine", "precision", "threads", "ratio_to_artifact")]
        for row in table.rows
    ]
    assert seen == [
        ["onnxruntime", "fp32", 1, None],
        ["onnxruntime", "fp32", 2, None],
        ["openvino", "fp32", 1, 0.5],
        ["openvino", "fp32", 2, 0.6],
        ["openvino", "int8", 1, 0.5],
    ]
    (rate,) = [c for c in table.columns if c.key == "images_per_s_batch4"]
    assert rate.show(table.rows[0]).text == "800"
    assert rate.show(table.rows[0]).aside == "[780, 810]"
    assert rate.show(table.rows[4]).text == "–"
    assert any("takes one image a call" in note for note in table.notes)
    assert table.rows[0].values["images_per_s"] == 500.0


def test_a_timing_that_cannot_be_trusted_is_marked_in_both_tables(shelf, cell):
    shelf.change(cell / "latency" / "onnxruntime.json", **FOUR, **STARTED, **ENERGY)
    why = ["other programs took 30% of the processors"]
    add_form(
        shelf,
        cell,
        "openvino",
        shelf.oracle(),
        **(ENDS | FOUR | STARTED | ENERGY | {"valid": False, "invalid_because": why}),
    )
    for topic, marked, bare in (
        (engine_speed, "images_per_s_batch4", "threads"),
        (engine_starts, "joules_per_image", "cold_start_ms"),
    ):
        (table,) = tables(shelf, topic)
        columns = {column.key: column for column in table.columns}
        assert [columns[marked].show(row).mark for row in table.rows] == ["", INVALID]
        assert [columns[bare].show(row).mark for row in table.rows] == ["", ""]
        (note,) = [note for note in table.notes if note.startswith(INVALID)]
        assert "alpha by openvino, 1 thread (steel, clean): other programs took 30%" in note


def test_a_record_of_another_file_is_named(shelf, cell):
    (cell / "other.onnx").write_bytes(b"other")
    time_again(cell, "onnxruntime", 2, model="other.onnx")
    with pytest.raises(ReportError, match=r"threads2/onnxruntime\.json: inputs\.model\.sha256"):
        tables(shelf, engine_speed)


def test_what_an_engine_cannot_run_has_no_row(shelf, cell):
    time_again(cell, "onnxruntime", 2)
    for path in ("latency/ncnn.json", "latency/threads2/ncnn.json"):
        write_record(cell / path, "latency", {ABSENT: "ncnn operator: Det"}, {})
    (table,) = tables(shelf, engine_speed)
    assert {row.values["engine"] for row in table.rows} == {"onnxruntime"}


def test_memory_and_first_start_stand_in_a_table_and_energy_where_it_is_told(shelf, cell):
    path = cell / "latency" / "onnxruntime.json"
    shelf.change(path, **STARTED)
    (table,) = tables(shelf, engine_starts)
    keys = [column.key for column in table.columns]
    assert "cold_start_ms" in keys
    assert not [key for key in keys if "joules" in key or "idle" in key]
    assert any("medians of 3 fresh processes" in note for note in table.notes)
    shelf.change(path, **ENERGY)
    (table,) = tables(shelf, engine_starts)
    assert table.rows[0].values["joules_per_image_above_idle"] == 0.4
    assert any("above idle" in note for note in table.notes)


def test_latency_of_a_tile_is_said_to_be_of_a_tile(shelf, cell):
    shelf.change(cell / "latency" / "onnxruntime.json", **FOUR)
    add_form(shelf, cell, "openvino", shelf.oracle(), **ENDS, **FOUR)
    for topic in (engines, engine_speed):
        (table,) = tables(shelf, topic)
        assert not [note for note in table.notes if "tile" in note]
    path = cell / "accuracy.json"
    record = read_record(path, "accuracy")
    inputs = {name: entry["path"] for name, entry in record["inputs"].items()}
    extra = {"tiles": {"side": 64, "overlap": 16}, "model_sha256": record.get("model_sha256")}
    write_record(path, "accuracy", record["figures"], inputs, None, extra)
    for topic in (engines, engine_speed):
        (table,) = tables(shelf, topic)
        (note,) = [note for note in table.notes if "tile" in note]
        assert "On steel images are cut into tiles" in note
        assert table.rows[0].values["tile_px"] == 64
