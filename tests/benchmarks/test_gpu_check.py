"""The check of a GPU machine, run from end to end on a processor: its figures are there, and failures are fenced."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(out, *options):
    command = [sys.executable, SCRIPT, "--out", out, "--device", "cpu", "--tiny", *options]
    done = run_script(command)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


def test_every_section_runs_on_a_processor(tmp_path):
    record, said = check(tmp_path / "new" / "gpu.json")
    assert record["done"] is True
    method = "yolo_fastestv2"
    assert record["environment"]["packages"]["torch"]
    assert record["training"][method]["eager_images_per_s"] > 0
    assert {f"eager_batch_{b}_ms" for b in (1, 16)} <= set(record["latency"][method])
    assert record["onnxruntime"][method]["batch_16_ms"] > 0
    assert record["study"]["train"]["images_per_s"] > 0
    assert len(record["study"]["history"]) == 1
    for title in ("yolo_train", "tensorrt"):
        assert record[title]["absent"] in said
    failed = {
        title: row["error"]
        for title, row in record.items()
        if "error" in str(row) and isinstance(row, dict)
    }
    assert failed == {}


def test_without_a_gpu_one_line_says_so_and_nothing_fails(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "gpu.json"
    done = run_script([sys.executable, SCRIPT, "--out", out])
    record = json.loads(out.read_text())
    assert done.returncode == 0
    assert "no GPU is visible to torch" in record["environment"]["absent"]
    assert record["study"]["absent"] == "there is no pack"


def arguments(script, out, **more):
    import argparse

    given = {"out": out, "seconds": 60.0, "device": "cpu", "tiny": True, "methods": ("m",)}
    return script.Check(argparse.Namespace(**given | more))


def test_a_section_that_fails_leaves_its_error_and_the_next_goes_on(script, tmp_path):
    made = arguments(script, tmp_path / "gpu.json")

    def broken(figures):
        figures["before_ms"] = 3.5
        raise ValueError("of this kind")

    made.section("first", broken)
    assert json.loads(made.args.out.read_text())["first"]["error"] == "ValueError: of this kind"
    made.section("second", lambda figures: figures.update(ms=1.0))
    record = json.loads(made.args.out.read_text())
    assert record["first"]["before_ms"] == 3.5
    assert "broken" in "".join(record["first"]["traceback"])
    assert record["second"]["ms"] == 1.0


def test_what_is_not_reached_is_named(script, tmp_path):
    made = arguments(script, tmp_path / "gpu.json", seconds=-1.0)
    made.section("late", lambda figures: figures.update(ms=1.0))
    assert made.record["late"]["absent"] == "no time was left"
    rows = {}
    made.each(rows, ("a", "b"), lambda name, row: None)
    assert rows == {"left_out": ["a", "b"]}


def test_artifacts_are_timed_in_the_engine_that_a_study_names(script, tmp_path, monkeypatch):
    from types import SimpleNamespace

    import torch

    from defectbench.base.errors import ConfigError
    from defectbench.deploy import engines

    asked, seen = [], []

    def load(engine, path, threads):
        asked.append((engine, path))
        return SimpleNamespace(session=None, run=lambda images: seen.append(images.shape))

    monkeypatch.setattr(engines, "load_engine", load)
    monkeypatch.setattr(script, "synchronise", lambda device: None)
    made = arguments(script, tmp_path / "gpu.json", device="cuda", threads=1)
    given = SimpleNamespace(images=torch.zeros(16, 3, 8, 8, dtype=torch.uint8))
    figures = script.time_engine(made, "onnxruntime_cuda", tmp_path / "m.onnx", given, "fp32_")
    assert asked == [("onnxruntime_cuda", tmp_path / "m.onnx")]
    assert set(figures) == {"fp32_batch_1_ms", "fp32_batch_16_ms"}
    assert set(seen) == {(1, 3, 8, 8), (16, 3, 8, 8)}

    def time(side, batch, runs):
        return {"latency_ms_p50": side + batch / 100 + runs / 10}

    def by_process(*given):
        return SimpleNamespace(session=SimpleNamespace(starts_processes=True, time=time))

    monkeypatch.setattr(engines, "load_engine", by_process)
    assert script.time_engine(made, "tensorrt", tmp_path / "plan", given, "fp16_") == {
        "fp16_batch_1_ms_by_trtexec": pytest.approx(8.11),
        "fp16_batch_16_ms_by_trtexec": pytest.approx(8.26),
    }

    def without(name):
        raise ConfigError("engine", name, "no NVIDIA GPU is to be seen here", "take another")

    monkeypatch.setattr(engines, "require_engine", without)
    with pytest.raises(script.AbsentError, match="no NVIDIA GPU"):
        script.usable("onnxruntime_cuda")


def test_latency_is_of_whole_float32_and_leaves_the_setting_as_it_was(script):
    from torch.backends import cudnn

    before = cudnn.allow_tf32
    with pytest.raises(ValueError, match="inside"), script.whole_float32():
        assert cudnn.allow_tf32 is False
        raise ValueError("inside")
    assert cudnn.allow_tf32 is before


def test_the_methods_are_the_light_detectors_of_the_shelf(script):
    from defectbench.base.methods import load_card, method_names

    shelf = ROOT / "models"
    cards = [load_card(shelf / name) for name in method_names(shelf)]
    light = {
        card.name
        for card in cards
        if card.family == "engine" and card.task == "detection" and not card.heavy
    }
    assert set(script.LIGHT) == light


@pytest.mark.parametrize("draw", ["rectangles", "steel"])
def test_drawn_packs_hold_boxes_inside_their_images(script, tmp_path, draw):
    from defectbench.data.pack import load_pack

    images, boxes, labels, classes = getattr(script, draw)(0, 12, 96)
    script.write(tmp_path / "train@96.safetensors", "train", images, boxes, labels, classes)
    pack = load_pack(tmp_path / "train@96.safetensors")
    true = pack.boxes[pack.labels >= 0]
    assert len(true) >= 6
    assert true.min() >= 0
    assert true.max() <= 96 + 1e-3
    assert ((true[:, 2:] - true[:, :2]) > 0).all()
    assert int(pack.labels.max()) < len(classes)
