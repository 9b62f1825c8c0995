"""A race really run: a detector, the same made smaller, and a classifier of another size, in two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from race_cases import write_classifier, write_detector, write_pack

from defectbench.base import reference_models
from defectbench.base.engines import Form
from defectbench.base.errors import ConfigError, ProgramError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record, write_record
from defectbench.base.studies import LatencySettings
from defectbench.cli import main
from defectbench.measure import race as race_module
from defectbench.measure import race_worker
from defectbench.measure.race import (
    RaceEntry,
    entries_of,
    make_request,
    race,
    race_cells,
    split_heats,
)
from defectbench.measure.race_worker import read_images, turns
from defectbench.measure.reference import SIDE, write_reference

SHORT = LatencySettings(processes=2, rounds=10, block_calls=2, warmup=1, burst_calls=3)
ROOT = Path(__file__).parents[2]
CELLS = ("pixels", "pixels+small", "colours")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Three cells of one data set with what a race reads of them."""
    root = tmp_path_factory.mktemp("cells")
    write_pack(root / "test@16.safetensors")
    for method in CELLS:
        cell = root / method / "seed0"
        (write_classifier if method == "colours" else write_detector)(cell / "model.onnx")
        inputs = {"model": cell / "model.onnx", "pack": root / "test@16.safetensors"}
        write_record(cell / "predictions.record.json", "predictions", {"n_images": 6}, inputs)
    point = {"schema": "defectbench/1", "kind": "operating_point", "figures": {"threshold": 0.4}}
    (root / "pixels" / "seed0" / "operating_point.json").write_text(json.dumps(point))
    return root


@pytest.fixture(scope="module")
def records(shelf):
    """The records of a race of all three."""
    entries = entries_of([shelf / method / "seed0" for method in CELLS])
    race(entries, SHORT)
    return {e.model.parent.parent.name: read_record(e.out, "latency") for e in entries}


def entry(shelf, method, tmp_path, **changes):
    return RaceEntry(
        **{
            "model": shelf / method / "seed0" / "model.onnx",
            "pack": shelf / "test@16.safetensors",
            "out": tmp_path / f"{method}.json",
            **changes,
        }
    )


def test_reference_model_is_the_same_bytes_always(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        write_reference(tmp_path / name)
    assert sha256_file(tmp_path / "a.onnx") == sha256_file(tmp_path / "b.onnx")


def test_letterbox_is_undone(shelf):
    images = read_images(shelf / "test@16.safetensors", 4)
    assert [image.shape for image in images] == [(10, 20, 3)] * 4
    assert all(image.std() > 30 for image in images)


@pytest.mark.parametrize("method", CELLS)
def test_every_cell_has_a_record_of_the_same_race(records, method):
    figures = records[method]["figures"]
    assert (figures["n_calls"], figures["n_blocks"]) == (40, 20)
    assert (figures["n_processes"], figures["n_images"], figures["n_burst_calls"]) == (2, 6, 3)
    for p in (50, 90, 99):
        low, value, high = (figures[f"latency_ms_p{p}{end}"] for end in ("_low", "", "_high"))
        assert 0 < low <= value <= high
    low, ratio, high = (figures[f"ratio_to_reference{end}"] for end in ("_low", "", "_high"))
    assert 0 < low <= high
    assert low * 0.8 <= ratio <= high * 1.25
    assert figures["fps"] == pytest.approx(1000 / figures["latency_ms_p50"])
    assert figures["reference_ms_p50"] == records["pixels"]["figures"]["reference_ms_p50"]
    assert figures["burst_latency_ms_p50"] > 0
    assert figures["valid"] == (not figures["invalid_because"])
    assert figures["threads"] == 1
    assert figures["ratio_clock"] == "processor"
    settings = records[method]["settings"]
    assert settings["heat"] == {"number": 1, "of": 1, "models": 3}
    assert (settings["rounds"], settings["engine"]) == (10, "onnxruntime")
    assert len(records[method]["evidence"]) == 2


def test_only_a_detector_suppresses(records):
    counts = [records[m]["figures"]["n_post_calls_at_score_0001"] for m in CELLS]
    assert counts == [20, 20, 0]
    assert records["pixels"]["figures"]["post_ms_p50_at_score_0001"] > 0
    assert "post_ms_p50_at_score_0001" not in records["colours"]["figures"]


def test_a_compressed_cell_meets_its_base(records, shelf):
    figures = records["pixels+small"]["figures"]
    assert figures["ratio_to_base"] == pytest.approx(1.0, rel=0.5)  # the file itself
    assert figures["ratio_to_base_low"] <= figures["ratio_to_base_high"]
    base = records["pixels"]["figures"]["latency_ms_p50"]
    assert figures["base_latency_ms_p50"] == pytest.approx(base)
    hashes = records["pixels+small"]["inputs"]["base"]["sha256"]
    assert hashes == sha256_file(shelf / "pixels" / "seed0" / "model.onnx")
    assert not {"base", "operating_point"} & set(records["colours"]["inputs"])
    assert "ratio_to_base" not in records["pixels"]["figures"]


def test_threshold_comes_from_the_operating_point(records, shelf):
    thresholds = [records[method]["settings"]["threshold"] for method in CELLS]
    assert thresholds == [0.4, 0.25, 0.25]
    seen = records["pixels"]["inputs"]["operating_point"]["sha256"]
    assert seen == sha256_file(shelf / "pixels" / "seed0" / "operating_point.json")


def test_each_round_has_an_order_of_its_own():
    orders = [turns(6, process, n) for process in range(3) for n in range(8)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders == [turns(6, process, n) for process in range(3) for n in range(8)]
    after_first = {o[o.index(0) + 1] for o in orders if o.index(0) < 5}
    assert after_first == {1, 2, 3, 4, 5}


def test_models_that_fail_are_named_in_one_error_and_leave_no_record(shelf, tmp_path):
    broken, entries = [], [entry(shelf, "pixels", tmp_path)]
    for name in ("first", "second"):
        broken.append(tmp_path / f"{name}.onnx")
        broken[-1].write_bytes(b"nothing")
        entries.append(entry(shelf, name, tmp_path, model=broken[-1]))
    with pytest.raises(ProgramError, match=r"first\.onnx: race: .*ArtifactError.*second\.onnx"):
        race(entries, SHORT)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("told", "kind"), [("out of memory", "DeviceMemoryError"), ("no kernel", "RefusedError")]
)
def test_a_model_that_fails_in_the_race_is_named(shelf, monkeypatch, tmp_path, told, kind):
    request = make_request([entry(shelf, "pixels", tmp_path)], SHORT, 0, tmp_path)
    write_reference(tmp_path / "reference.onnx")

    def fails(runner, calls):
        raise RuntimeError(f"{told}\nand more")

    monkeypatch.setattr(race_worker.Runner, "run_block", fails)
    (failed,) = race_worker.measure(request)["failed"].items()
    assert failed[0] == str(shelf / "pixels" / "seed0" / "model.onnx")
    assert kind in failed[1]
    assert f"'{told}'" in failed[1]


def test_a_process_that_dies_names_the_model_at_hand(shelf, tmp_path, monkeypatch):
    code = "print('a.onnx'); print('b.onnx', flush=True); import os; os.kill(os.getpid(), 9)"
    (tmp_path / "dying_worker.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(race_module, "WORKER", "dying_worker")
    with pytest.raises(ProgramError, match=r"b\.onnx: race: got 'ended by signal 9'.*memory"):
        race([entry(shelf, "pixels", tmp_path)], SHORT)


def test_what_cannot_race_is_told_before_it_starts(shelf, tmp_path):
    small, base = (shelf / m / "seed0" / "model.onnx" for m in ("pixels+small", "pixels"))
    alone = entry(shelf, "pixels+small", tmp_path, base=base)
    twice = [entry(shelf, "pixels", tmp_path)] * 2
    lost = entry(shelf, "pixels", tmp_path, pack=tmp_path / "none.safetensors")
    for entries, message in (
        ([], r"name at least one cell"),
        ([alone], rf"{small}: base: got 'not in the race'; name {base.parent} in"),
        (twice, r"name each cell once"),
        ([lost], r"none\.safetensors: file: got 'nothing'"),
    ):
        with pytest.raises(ConfigError, match=message.replace("+", r"\+")):
            race(entries, SHORT)


def test_a_folder_that_cannot_be_written_is_told_before_the_race(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="not writable"):
        race([entry(shelf, "pixels", tmp_path)], SHORT)


def test_a_cell_without_a_model_or_predictions_is_named(tmp_path):
    cell = tmp_path / "net" / "seed0"
    with pytest.raises(ConfigError, match=r"model\.onnx: file: got 'nothing'"):
        entries_of([cell])
    write_detector(cell / "model.onnx")
    with pytest.raises(ConfigError, match=r"predictions\.record\.json"):
        entries_of([cell])


@pytest.mark.parametrize(("at", "cell"), [("pixels+cut", "seed0"), (".", "pixels+cut/seed0")])
def test_a_cell_is_named_from_any_folder(tmp_path, monkeypatch, at, cell):
    (tmp_path / "pixels+cut" / "seed0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / at)
    write_detector(Path(cell) / "model.onnx")
    write_pack(tmp_path / "test@16.safetensors")
    inputs = {"model": Path(cell) / "model.onnx", "pack": tmp_path / "test@16.safetensors"}
    write_record(Path(cell) / "predictions.record.json", "predictions", {}, inputs)
    (made,) = entries_of([cell])
    assert made.base.absolute() == tmp_path / "pixels" / "seed0" / "model.onnx"


def test_large_files_are_split_into_heats_with_their_families(shelf, tmp_path):
    files = {}
    for name, mib in (("a", 3), ("b", 3), ("c", 2), ("a+cut", 1), ("d", 9)):
        files[name] = tmp_path / f"{name}.onnx"
        files[name].write_bytes(bytes(mib * 2**20))
    entries = [
        entry(shelf, name, tmp_path, model=path, base=files["a"] if "+" in name else None)
        for name, path in files.items()
    ]
    heats = split_heats(entries, most_mib=6)
    names = [[e.model.stem for e in heat] for heat in heats]
    assert names == [["a", "a+cut", "c"], ["b"], ["d"]]
    assert len(split_heats(entries)) == 1


def test_records_of_heats_say_so(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(race_module, "split_heats", lambda entries: [[e] for e in entries])
    entries = [entry(shelf, method, tmp_path) for method in ("pixels", "colours")]
    race(entries, SHORT.model_copy(update={"rounds": 1, "burst_calls": 0}))
    heats = [read_record(e.out, "latency")["settings"]["heat"] for e in entries]
    assert heats == [{"number": n, "of": 2, "models": 1} for n in (1, 2)]


SECOND = SHORT.model_copy(
    update={"threads": [1, 2], "batches": [1, 4], "starts": 1, "energy_s": 0.05, "rounds": 10}
)


def test_second_figures_are_of_each_number_of_threads(shelf, monkeypatch):
    sources = ([], {"rapl": "hidden"})
    monkeypatch.setattr(race_module, "run_worker", in_this_process)
    monkeypatch.setattr(race_worker, "find_meters", lambda: sources)
    cell = shelf / "colours" / "seed0"
    race_cells([cell], [Form("onnxruntime")], SECOND)
    for threads, name in (
        (1, "latency/onnxruntime.json"),
        (2, "latency/threads2/onnxruntime.json"),
    ):
        record = read_record(cell / name, "latency")
        figures = record["figures"]
        assert (figures["threads"], record["settings"]["threads"]) == (threads, threads)
        assert figures["images_per_s_batch4_low"] <= figures["images_per_s_batch4"]
        assert figures["ratio_to_reference_batch4"] > 0
        assert figures["n_blocks_batch4"] == 20
        assert figures["n_starts"] == 1
        assert record["energy"] == [{"absent_because": {"rapl": "hidden"}}] * 2


def in_this_process(module, arguments, threads):
    """A worker of the race without a process of its own."""
    race_worker.main(*arguments)
    return subprocess.CompletedProcess([], 0, "", "")


def test_several_images_a_call_are_answered_one_by_one(shelf, tmp_path):
    images = read_images(shelf / "test@16.safetensors", 6)
    request = {"model": str(shelf / "pixels" / "seed0" / "model.onnx"), "engine": "onnxruntime"}
    runner = race_worker.Runner(request | {"threshold": 0.25}, 1, images)
    seen = []
    runner.answer = lambda outputs, threshold, image: seen.append(outputs[0][image].copy())
    runner.call(4)
    runner.call(4)  # the seventh and eighth are the first two again
    np.testing.assert_array_equal(seen[6], seen[0])
    np.testing.assert_array_equal(seen[7], seen[1])
    assert not np.array_equal(seen[0], seen[1])
    runner.run_batch(4)
    assert np.array(runner.batched[4]).shape == (1, 1, 4)


def test_an_engine_of_single_images_is_left_out_of_larger_calls(shelf, tmp_path):
    write_reference(tmp_path / "reference4.onnx", 4)
    images = read_images(shelf / "test@16.safetensors", 6)
    request = {"model": str(shelf / "pixels" / "seed0" / "model.onnx"), "engine": "onnxruntime"}
    runners = [race_worker.Runner(request | {"threshold": 0.25}, 1, images) for _ in range(2)]
    runners[0].engine_name = "ncnn"
    asked = {"process": 0, "batch_rounds": 3, "threads": 1}
    watch = race_worker.Watch()
    seen = race_worker.run_batches(runners, 4, str(tmp_path / "reference4.onnx"), asked, watch)
    assert (seen["models"], len(seen["runners"])) == ([1], 1)
    assert [len(seen["runners"][0]["calls"]), len(seen["reference"])] == [3, 4]
    assert len(seen["reference"][0]) == 2  # calls of four images
    runners[1].engine_name = "ncnn"
    nobody = race_worker.run_batches(runners, 4, str(tmp_path / "reference4.onnx"), asked, watch)
    assert (nobody["models"], nobody["runners"]) == ([], [])


def test_reports_know_the_reference_models_by_name(tmp_path):
    write_reference(tmp_path / "reference.onnx")
    write_reference(tmp_path / "four.onnx", 4)
    assert sha256_file(tmp_path / "reference.onnx") == reference_models.TODAY
    assert sha256_file(tmp_path / "four.onnx") != reference_models.TODAY
    kept = ROOT / "results/reference/cfp-neu-cls-resnet50/clean/resnet50/seed0/latency"
    earlier = read_record(kept / "onnxruntime.json", "latency")["settings"]["reference_sha256"]
    assert earlier == reference_models.EARLIER
    assert "up to version" in reference_models.reference_name(earlier)


def test_the_reference_has_values_of_one_size_from_layer_to_layer(tmp_path):
    """Values that vanish or grow would be timed as what processors do with those, not as a detector."""
    write_reference(tmp_path / "reference.onnx")
    model = onnx.load(str(tmp_path / "reference.onnx"))
    names = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Relu")]
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString())
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    spreads = [float(values.std()) for values in session.run(names, {"images": image})]
    assert len(spreads) == 91
    assert 0.1 < min(spreads) <= max(spreads) < 1000


def test_the_verb_races_cells(shelf, capsys):
    cells = [str(shelf / "colours" / "seed0")]
    out = shelf / "colours" / "seed0" / "latency" / "onnxruntime.json"
    out.unlink(missing_ok=True)
    short = json.dumps({"processes": 2, "rounds": 1, "block_calls": 1, "burst_calls": 0})
    assert main(["race", "--settings", short, *cells]) == 0
    figures = read_record(out, "latency")["figures"]
    assert (figures["n_calls"], figures["valid"]) == (2, False)
    assert figures["invalid_because"][0] == "2 blocks, under 20"
    assert main(["race", "--settings", '{"calls": 5}', *cells]) == 2
    assert "calls" in capsys.readouterr().err


def test_worker_imports_no_training_framework():
    code = (
        "import sys, defectbench.measure.race_worker, defectbench.measure.start_worker\n"
        "assert not {'torch', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
