"""First starts: medians by hand, and engines really started."""

import pytest
from tests.small_models import write_model

from defectbench.base.errors import ProgramError
from defectbench.measure import starts
from defectbench.measure.starts import measure_starts, summarise_starts


def start(times=(10, 20, 30), marks=(20, 50, 90, 130)):
    keys = ("import_ms", "open_ms", "first_image_ms", "bare", "engine", "ready", "answered")
    return dict(zip(keys, (*times, *marks), strict=True))


def test_medians_by_hand():
    seen = [start(), start((50, 21, 30)), start((11, 10, 40), (20, 60, 90, 170))]
    assert summarise_starts(seen) == {
        "cold_import_ms": 11,
        "cold_open_ms": 20,
        "cold_first_image_ms": 30,
        "cold_start_ms": 61,  # of the sums, not the sum of the medians
        "peak_engine_mib": 30,
        "peak_model_mib": 40,
        "n_starts": 3,
    }


def test_files_take_turns(monkeypatch):
    order = []

    def once(model, engine, threads):
        order.append((model, engine, threads))
        return start()

    monkeypatch.setattr(starts, "start_once", once)
    figures = measure_starts([("a", "onnxruntime"), ("b", "ncnn")], 2, 1)
    assert [name for name, _, _ in order] == ["a", "b", "a", "b"]
    assert [each["n_starts"] for each in figures] == [2, 2]
    assert measure_starts([("a", "onnxruntime")], 0, 1) == [{}]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_engine_is_really_started(tmp_path, engine):
    model = write_model(tmp_path / "model.onnx")
    (figures,) = measure_starts([(model, engine)], 1, 1)
    assert all(value > 0 for value in figures.values())
    assert figures["peak_engine_mib"] > 5
    assert figures["cold_import_ms"] > figures["cold_first_image_ms"]


def test_a_file_that_does_not_start_is_named(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ProgramError, match=r"model\.onnx: first start"):
        measure_starts([(tmp_path / "model.onnx", "onnxruntime")], 1, 1)
