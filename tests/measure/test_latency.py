"""Timing: the fixed reference, phases, intervals by hand, and reasons against a row."""

import json
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from defectbench.base.errors import ProgramError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from defectbench.base.studies import LatencySettings
from defectbench.deploy.artifact import make_metadata, set_metadata
from defectbench.measure.latency import invalid_because, resample, summarise, time_latency
from defectbench.measure.latency_worker import read_images
from defectbench.measure.reference import write_reference

SHORT = LatencySettings(processes=2, warmup=2, calls=40, seconds=5.0, burst_calls=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Boxes and scores straight from the pixels of a 16 px image."""
    value = helper.make_tensor_value_info
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [0, 64, -1])
    ends = [
        helper.make_tensor(n, TensorProto.INT64, [1], [v])
        for n, v in zip("abc", (4, 6, 2), strict=False)
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["images", "shape"], ["rows"]),
            helper.make_node("Slice", ["rows", "zero", "a", "c"], ["boxes"]),
            helper.make_node("Slice", ["rows", "a", "b", "c"], ["scores"]),
        ],
        "pixels",
        [value("images", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [
            value("boxes", TensorProto.FLOAT, ["N", 64, 4]),
            value("scores", TensorProto.FLOAT, ["N", 64, 2]),
        ],
        [shape, helper.make_tensor("zero", TensorProto.INT64, [1], [0]), *ends],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    set_metadata(made, make_metadata(["pit", "scratch"], 16, {"method": "pixels"}))
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(made, str(path))
    return path


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Six images, 20 x 10 px each, letterboxed into 16 px: scale 0.8, 4 px above."""
    path = tmp_path_factory.mktemp("pack") / "test@16.safetensors"
    random = np.random.default_rng(0)
    images = np.full((6, 3, 16, 16), 114, np.uint8)
    images[:, :, 4:12, :] = random.integers(0, 256, (6, 3, 8, 16), dtype=np.uint8)
    tensors = {
        "images": images,
        "scale": np.full(6, 0.8, np.float32),
        "pad": np.tile(np.array([0, 4], np.float32), (6, 1)),
        "original_size": np.tile(np.array([20, 10], np.int64), (6, 1)),
    }
    save_file(tensors, str(path))
    return path


def test_reference_model_is_the_same_bytes_always(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        write_reference(tmp_path / name)
    assert sha256_file(tmp_path / "a.onnx") == sha256_file(tmp_path / "b.onnx")


def test_letterbox_is_undone(pack):
    images = read_images(pack, 4)
    assert [image.shape for image in images] == [(10, 20, 3)] * 4
    assert all(image.std() > 30 for image in images)


def test_record_of_a_short_measurement(model, pack, tmp_path):
    record = time_latency(model, pack, tmp_path / "latency.json", SHORT)
    assert record == read_record(tmp_path / "latency.json", "latency")
    figures = record["figures"]
    assert figures["n_calls"] == 80
    assert (figures["n_processes"], figures["n_images"]) == (2, 6)
    low, p50, high = (figures[f"latency_ms_p50{end}"] for end in ("_low", "", "_high"))
    assert 0 < low <= p50 <= high
    assert p50 <= figures["latency_ms_p90"] <= figures["latency_ms_p99"]
    for p in (90, 99):
        name = f"latency_ms_p{p}"
        assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]
    assert figures["fps"] == pytest.approx(1000 / p50)
    phases = sum(figures[f"{phase}_ms_p50"] for phase in ("pre", "forward", "post"))
    assert phases == pytest.approx(p50, rel=0.5)
    assert figures["ratio_to_reference"] == pytest.approx(p50 / figures["reference_ms_p50"])
    assert figures["burst_latency_ms_p50"] > 0
    assert figures["post_ms_p50_at_score_0001"] > 0
    assert figures["valid"] == (not figures["invalid_because"])
    assert record["settings"]["threshold"] == 0.25
    assert len(record["evidence"]) == 2


def test_threshold_comes_from_the_operating_point(model, pack, tmp_path):
    point = tmp_path / "operating_point.json"
    schema = {"schema": "defectbench/1", "kind": "operating_point"}
    point.write_text(json.dumps(schema | {"figures": {"threshold": 0.4}}))
    record = time_latency(model, pack, tmp_path / "latency.json", SHORT, operating_point=point)
    assert record["settings"]["threshold"] == 0.4
    assert record["inputs"]["operating_point"]["sha256"] == sha256_file(point)


def test_failed_worker_is_named_and_leaves_no_record(pack, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ProgramError, match=r"latency worker: got .*ArtifactError"):
        time_latency(broken, pack, tmp_path / "latency.json", SHORT)
    assert not (tmp_path / "latency.json").exists()


def test_worker_imports_no_training_framework():
    import subprocess

    code = (
        "import sys, defectbench.measure.latency_worker, defectbench.measure.memory_worker\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def answer(forward_ms=10.0, reference_ms=1.0, blocks=10, calls=10, **evidence):
    """A process in which every call of a phase takes the same time."""
    n = blocks * calls
    phases = [[1_000_000, round(forward_ms * 1e6), 500_000]] * n
    stream = {
        "phases": phases,
        "block": np.repeat(np.arange(blocks), calls).tolist(),
        "reference": [round(reference_ms * 1e6)] * n,
        "reference_block": np.repeat(np.arange(blocks), calls).tolist(),
    }
    known = {"foreign_cores_busy": 0.0, "usable_cores": 2, "clock_mhz": [2000.0, 2000.0]}
    known |= evidence
    none = {"phases": [], "block": [], "reference": [], "reference_block": []}
    return {
        "stream": stream,
        "burst": none,
        "post_at_scoring_threshold": [2_000_000],
        "images": 6,
        "evidence": known,
    }


def test_figures_by_hand():
    figures = summarise([answer(), answer()])
    assert figures["latency_ms_p50"] == figures["latency_ms_p99"] == 11.5
    assert (figures["latency_ms_p50_low"], figures["latency_ms_p50_high"]) == (11.5, 11.5)
    assert figures["fps"] == pytest.approx(1000 / 11.5)
    assert (figures["pre_ms_p50"], figures["forward_ms_p50"], figures["post_ms_p50"]) == (
        1,
        10,
        0.5,
    )
    assert figures["ratio_to_reference"] == 11.5
    assert figures["post_ms_p50_at_score_0001"] == 2.0
    assert invalid_because(figures, [answer(), answer()]) == []


def test_processes_that_disagree_widen_the_interval_and_invalidate_the_row():
    answers = [answer(10.0), answer(11.0), answer(12.0)]
    found, ratios = resample(answers)
    assert (found.min(), found.max()) == (11.5, 13.5)
    np.testing.assert_allclose(ratios, found[:, 0])
    assert "interval is" in invalid_because(summarise(answers), answers)[0]


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"foreign_cores_busy": 0.3}, "other programs used 15%"),
        ({"foreign_cores_busy": 1.5, "usable_cores": 4}, "other programs used 38%"),
        ({"clock_mhz": [2000.0, 1500.0]}, "clock fell"),
    ],
)
def test_evidence_invalidates_a_row(evidence, reason):
    answers = [answer(), answer(**evidence)]
    assert reason in invalid_because(summarise(answers), answers)[0]


def test_where_the_clock_is_hidden_the_reference_model_shows_throttling():
    answers = [answer(clock_mhz=[None, None])] * 2
    assert invalid_because(summarise(answers), answers) == []
    slow = answer(clock_mhz=[None, None])
    half = len(slow["stream"]["reference"]) // 2
    slow["stream"]["reference"][half:] = [1_060_000] * half
    assert "slowed by 6.0%" in invalid_because(summarise([slow]), [slow])[0]


def test_a_process_whose_reference_was_slower_invalidates_the_row():
    answers = [answer(10.0, 1.0), answer(10.0, 1.2)]
    (reason,) = invalid_because(summarise(answers), answers)
    assert reason == "the reference model was 20.0% slower in one process than in another"


@pytest.mark.parametrize(
    ("clocks", "said"),
    [([None, None], "none"), ([2600.0, 2600.0], "constant"), ([2600.0, 2590.0], "moving")],
)
def test_a_record_says_what_the_machine_tells_of_its_clock(clocks, said):
    assert summarise([answer(clock_mhz=clocks)] * 2)["clock_evidence"] == said


def test_each_figure_has_its_number_of_calls():
    figures = summarise([answer(), answer()])
    assert (figures["n_calls"], figures["n_burst_calls"]) == (200, 0)
    assert figures["n_post_calls_at_score_0001"] == 2


def test_drift_of_the_reference_invalidates_a_row():
    slow = answer()
    half = len(slow["stream"]["reference"]) // 2
    slow["stream"]["reference"][half:] = [1_100_000] * half
    assert "slowed by 10.0%" in invalid_because(summarise([slow]), [slow])[0]
