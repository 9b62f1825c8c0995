"""TensorRT of a board as far as it goes without one: its program played by a script, its module by a fake that refuses
what the interface does not have."""

import json
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest

from defectbench.deploy.edge import sessions, state, trtexec_model
from defectbench.deploy.edge.board import race_by_trtexec
from defectbench.deploy.edge.sessions import BoardTensorRt, RefusalError, plan_path
from defectbench.deploy.edge.trtexec_model import BoardTrtexec

ENTRY = {
    "name": "cell tensorrt-fp16",
    "engine": "tensorrt",
    "precision": "fp16",
    "size": 4,
    "outputs": ["scores"],
}
PROGRAM = """#!{python}
import json, sys
told = dict(word.partition("=")[::2] for word in sys.argv[1:])
known = {{"--help", "--onnx", "--saveEngine", "--skipInference", "--minShapes", "--optShapes", "--maxShapes",
         "--noTF32", "--loadEngine", "--shapes", "--loadInputs", "--exportOutput", "--exportTimes", "--iterations",
         "--duration", "--warmUp", "--useSpinWait"}} | set({typing})
print("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # " + " ".join(sys.argv))
if "--help" in told:
    print("\\n".join("  %s   what it does" % name for name in sorted(known)))
with open({log!r}, "a") as log:
    log.write(" ".join(sorted(told)) + "\\n")
odd = set(told) - known
if odd or {broken}:
    print("[11/29/2026-10:00:00] [E] Unknown option: " + " ".join(odd or ["x"]))
    print("&&&& FAILED TensorRT.trtexec [TensorRT v100300]")
    sys.exit(1)
if "--saveEngine" in told:
    open(told["--saveEngine"], "wb").write(b"plan")
if "--exportOutput" in told:
    import array
    values = array.array("f", open(told["--loadInputs"].partition(":")[2], "rb").read())
    total = [sum(values), max(values)]
    json.dump([{{"name": "scores", "dimensions": "1x1x2", "values": total}}], open(told["--exportOutput"], "w"))
if "--exportTimes" in told:
    json.dump([{{"latencyMs": 2.0, "computeMs": 1.5}}] * 3, open(told["--exportTimes"], "w"))
    if {untimed}:
        sys.exit("out of memory")
print("[11/29/2026-10:00:00] [I] Throughput: 221.5 qps")
print("&&&& PASSED TensorRT.trtexec [TensorRT v100300]")
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Play trtexec; returns the options of its calls."""
    path, log = tmp_path / "trtexec", tmp_path / "log"

    def play(broken=False, untimed=False, typing=("--fp16", "--int8", "--stronglyTyped")):
        told = {"broken": broken, "untimed": untimed, "typing": typing}
        path.write_text(PROGRAM.format(python=sys.executable, log=str(log), **told))
        path.chmod(0o755)
        monkeypatch.setattr(trtexec_model, "trtexec_path", lambda: str(path))
        return log

    return play


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "my model.onnx"
    path.write_bytes(b"graph")
    return path


def test_the_program_builds_once_and_answers_and_is_timed(program, model):
    log = program()
    made = BoardTrtexec(model, ENTRY)
    build = log.read_text().splitlines()[1].split()
    assert {"--stronglyTyped", "--noTF32", "--skipInference", "--maxShapes"} <= set(build)
    assert not {"--fp16", "--int8"} & set(build)  # the builder would choose by itself
    images = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4)
    (scores,) = made.run(images)
    assert scores.shape == (1, 1, 2)
    assert scores.tolist() == [[[48 * 47 / 2, 47.0]]]
    timed = made.time()
    assert "221.5 qps" in timed["printed"]
    assert json.loads(timed["export_times"])[0]["latencyMs"] == 2.0
    before = len(log.read_text().splitlines())
    BoardTrtexec(model, ENTRY)
    again = log.read_text().splitlines()[before:]
    assert again == ["--help"]  # the plan is kept
    model.write_bytes(b"another graph")
    BoardTrtexec(model, ENTRY)
    assert "--saveEngine" in log.read_text().splitlines()[-1]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_an_old_program_is_let_use_the_types_of_the_file(precision, program, model):
    log = program(typing=("--fp16", "--int8"))
    BoardTrtexec(model, {**ENTRY, "precision": precision})
    build = set(log.read_text().splitlines()[1].split())
    assert build & {"--fp16", "--int8", "--stronglyTyped"} == {f"--{precision}"}


def test_a_timing_that_failed_is_no_answer(program, model):
    program(untimed=True)
    with pytest.raises(RefusalError, match="out of memory"):
        BoardTrtexec(model, ENTRY).time()


def test_the_reference_is_timed_right_before_each_model(program, model):
    program()
    one = BoardTrtexec(model, ENTRY)
    answer = race_by_trtexec([one, one, one], 0)
    assert [run["entry"] is None for run in answer["trtexec"]] == [True, False, True, False]
    assert sorted(run["entry"] for run in answer["trtexec"][1::2]) == [0, 1]


def test_a_program_that_fails_is_named_by_its_error_and_leaves_no_plan(program, model):
    program(broken=True)
    with pytest.raises(RefusalError, match="Unknown option"):
        BoardTrtexec(model, ENTRY)
    assert list(model.parent.glob("*.plan*")) == []


def test_a_board_without_module_and_program_is_named(model, monkeypatch):
    monkeypatch.setattr(trtexec_model, "trtexec_path", lambda: None)
    with pytest.raises(RefusalError, match="JetPack"):
        BoardTrtexec(model, ENTRY)


class FakeCuda:
    """Memory of a GPU, played by numbers."""

    def __init__(self):
        self.copies, self.waited = [], 0

    def allocate(self, size):
        return 1000 + size

    def stream(self):
        return 7

    def copy(self, target, source, size, kind, stream):
        assert stream == 7
        self.copies.append((kind, size))

    def wait(self, stream):
        self.waited += 1


def fake_tensorrt(version, calls, parses=True):
    """TensorRT's module with the names that this version has, and no others."""
    major = int(version.split(".")[0])

    class Config:
        def set_memory_pool_limit(self, pool, size):
            calls.append(("memory", pool, size))

        def add_optimization_profile(self, profile):
            calls.append(("profile", profile.shapes))

        def set_flag(self, flag):
            calls.append(("flag", flag))

        def clear_flag(self, flag):
            calls.append(("clear", flag))

    class Profile:
        def set_shape(self, name, *shapes):
            self.shapes = (name, *shapes)

    class Builder:
        def __init__(self, logger):
            assert logger is not None

        def create_network(self, flags):
            calls.append(("network", flags))

        def create_builder_config(self):
            return Config()

        def create_optimization_profile(self):
            return Profile()

        def build_serialized_network(self, network, config):
            return memoryview(b"plan")

    class Parser:
        num_errors = 0

        def __init__(self, network, logger):
            assert logger is not None

        def parse(self, content):
            assert content == b"graph"
            return parses

    class Context:
        def set_input_shape(self, name, shape):
            calls.append(("shape", name, shape))

        def get_tensor_shape(self, name):
            return (1, 2, 2)

        def set_tensor_address(self, name, address):
            calls.append(("address", name))

        def execute_async_v3(self, stream):
            return True

    class Engine:
        def create_execution_context(self):
            return Context()

    class Runtime:
        def __init__(self, logger):
            assert logger is not None

        def deserialize_cuda_engine(self, plan):
            return Engine() if plan == b"plan" else None

    creation = SimpleNamespace(STRONGLY_TYPED=1) if major >= 10 else SimpleNamespace()
    if major < 11:
        creation.EXPLICIT_BATCH = 0
    flags = (
        SimpleNamespace(TF32="TF32")
        if major >= 11
        else SimpleNamespace(FP16="FP16", INT8="INT8", TF32="TF32")
    )
    module = types.ModuleType("tensorrt")
    for name, value in {
        "__version__": version,
        "Logger": type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None}),
        "Builder": Builder,
        "OnnxParser": Parser,
        "Runtime": Runtime,
        "NetworkDefinitionCreationFlag": creation,
        "BuilderFlag": flags,
        "MemoryPoolType": SimpleNamespace(WORKSPACE="WORKSPACE"),
    }.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    ("version", "network", "flag"),
    [("8.6.1", 1, True), ("10.3.0", 2, False), ("11.4.0", 2, False)],
)
def test_the_module_is_called_as_each_version_asks(version, network, flag, model, monkeypatch):
    calls = []
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(version, calls))
    monkeypatch.setattr(sessions, "BoardCuda", FakeCuda)
    session = BoardTensorRt(model, ENTRY, 1)
    assert ("network", network) in calls
    assert (("flag", "FP16") in calls) is flag
    assert ("clear", "TF32") in calls
    shape = (1, 3, 4, 4)
    assert ("profile", ("images", shape, shape, shape)) in calls
    assert [call[1] for call in calls if call[0] == "address"] == ["images", "scores"]
    (scores,) = session.run(np.zeros(shape, np.float32))
    assert scores.shape == (1, 2, 2)
    assert session.cuda.copies == [(1, 192), (2, 16)]
    assert session.cuda.waited == 1
    assert plan_path(model, version, "fp16").read_bytes() == b"plan"


def test_a_plan_of_another_board_and_a_file_that_is_not_read_are_named(model, monkeypatch):
    monkeypatch.setattr(sessions, "BoardCuda", FakeCuda)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", []))
    plan_path(model, "10.3.0", "fp16").write_bytes(b"of another GPU")
    with pytest.raises(RefusalError, match="refuses its plan"):
        BoardTensorRt(model, ENTRY, 1)
    plan_path(model, "10.3.0", "fp16").unlink()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt("10.3.0", [], parses=False))
    with pytest.raises(RefusalError, match="leave this form out"):
        BoardTensorRt(model, ENTRY, 1)
    assert list(model.parent.glob("*.plan*")) == []


def test_a_plan_belongs_to_one_gpu(model, monkeypatch):
    of_a_card = plan_path(model, "10.3.0", "fp16")
    monkeypatch.setattr(sessions, "graphics", lambda: "NVIDIA Orin, 8.7")
    assert plan_path(model, "10.3.0", "fp16") != of_a_card
    assert plan_path(model, "10.3.0", "fp16") == plan_path(model, "10.3.0", "fp16")


def test_a_board_without_the_program_of_cards_tells_its_model(monkeypatch):
    monkeypatch.setattr(state, "ask", lambda command: None)
    monkeypatch.setattr(state, "read_text", lambda path: "NVIDIA Jetson Orin Nano\0")
    assert state.graphics() == "NVIDIA Jetson Orin Nano"
    monkeypatch.setattr(state, "ask", lambda command: "NVIDIA H200, 9.0\n")
    assert state.graphics() == "NVIDIA H200, 9.0"
