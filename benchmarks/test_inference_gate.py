"""The inference gate: counts to the unit, speed as a ratio to the interleaved reference model.

Run by ``pytest benchmarks/test_inference_gate.py``; the figures are in ``benchmarks/gate.yaml``. A
ratio outside its tolerance on either side fails and prints the figure that was seen.
"""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from defectbench.deploy.nms import nms
from defectbench.deploy.runtime import OnnxDetector, make_session, prepare
from defectbench.measure.complexity import count_params, declared_macs
from defectbench.measure.reference import SIDE, write_reference
from random_export import export_random

GATE = yaml.safe_load(Path(__file__).with_name("gate.yaml").read_text())
CALLS = 300


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "reference.onnx"
    write_reference(path)
    session = make_session(path, threads=1)
    image = np.full((1, 3, SIDE, SIDE), 0.5, np.float32)
    return lambda: session.run(None, {"images": image})


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Export a method with random weights, once a session."""
    files = {}

    def export(name):
        if name not in files:
            gate = GATE["methods"][name]
            path = tmp_path_factory.mktemp(name) / "model.onnx"
            export_random(name, gate["nc"], gate["size"], path)
            files[name] = path
        return files[name]

    return export


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(call, reference):
    """Fast tenth of the calls over that of the reference, timed in turn: load makes both slower."""
    pairs = np.array([(seconds(call), seconds(reference)) for _ in range(CALLS)])
    fast = np.quantile(pairs[CALLS // 10 :], 0.1, axis=0)
    return float(fast[0] / fast[1])


def hold(benchmark, call, reference, expected):
    seen = ratio(call, reference)
    benchmark.extra_info["ratio_to_reference"] = seen
    benchmark.pedantic(call, rounds=20, warmup_rounds=2)
    low, high = (expected * (1 + side * GATE["speed_tolerance"]) for side in (-1, 1))
    assert low <= seen <= high, f"ratio {seen:.3g}, the gate holds {low:.3g} to {high:.3g}"


@pytest.mark.parametrize("name", GATE["methods"])
def test_counts_to_the_unit(name, exported):
    gate, model = GATE["methods"][name], onnx.load(str(exported(name)))
    assert declared_macs(model, gate["size"]).total == gate["macs"]
    assert count_params(model) == gate["params"]


@pytest.mark.parametrize("name", GATE["methods"])
def test_forward(name, exported, reference, benchmark):
    gate, detector = GATE["methods"][name], OnnxDetector(exported(name), threads=1)
    images = np.random.default_rng(0).random((1, 3, gate["size"], gate["size"]), np.float32)
    hold(benchmark, lambda: detector(images), reference, gate["ratio_to_reference"])


@pytest.mark.parametrize("name", GATE["suppression"])
def test_suppression(name, reference, benchmark):
    gate, random = GATE["suppression"][name], np.random.default_rng(0)
    corner = random.random((765, 2)) * 150
    boxes = np.concatenate([corner, corner + random.random((765, 2)) * 60], 1).astype(np.float32)
    scores = (random.random((765, 6)) ** 20 * 0.3).astype(np.float32)
    hold(
        benchmark,
        lambda: nms(boxes, scores, gate["threshold"]),
        reference,
        gate["ratio_to_reference"],
    )


def test_preparation(reference, benchmark):
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    expected = GATE["preparation"]["ratio_to_reference"]
    hold(benchmark, lambda: prepare(image, 192), reference, expected)
