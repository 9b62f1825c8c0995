"""A bundle: one runner that old Pythons read, every file hashed, what was packed is what is sent."""

import ast
import io
import json
import shlex
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from tests.edge_boards import SHORT, make_cell
from tests.small_models import write_images, write_model

from defectbench.base.boards import board_form
from defectbench.base.engines import Form
from defectbench.base.errors import ArtifactError, ConfigError, HashMismatchError, UnsupportedError
from defectbench.base.files import sha256_file
from defectbench.base.records import ABSENT, write_record
from defectbench.cli import main
from defectbench.data.pack import load_arrays
from defectbench.deploy.artifact import load_model
from defectbench.deploy.edge import board
from defectbench.deploy.edge.board import MARK
from defectbench.deploy.edge.bundle import read_bundle, runner_source
from defectbench.deploy.edge.sessions import SESSIONS
from defectbench.deploy.nms import nms
from defectbench.deploy.quantise import quantise
from defectbench.measure import race_worker
from defectbench.measure.edge import packing
from defectbench.measure.edge.packing import pack_cells
from defectbench.measure.race_figures import summarise
from defectbench.measure.reference import SIDE


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    return make_cell(tmp_path_factory.mktemp("edge"))


def test_the_runner_is_one_file_that_python_3_8_reads_and_that_needs_numpy_alone():
    source = runner_source()
    tree = ast.parse(source, feature_version=(3, 8))
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in names if name not in sys.stdlib_module_names} == {"numpy"}
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert sorted(set(defined)) == sorted(defined)  # no module hides a name of another


def test_the_suppression_of_the_runner_is_that_of_the_suite():
    space = {"__name__": "runner"}
    exec(compile(runner_source(), "runner.py", "exec"), space)
    random = np.random.default_rng(0)
    corner = random.uniform(0, 90, (400, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 40, (400, 2))], 1)
    scores = random.random((400, 3))
    ours, theirs = nms(boxes, scores, 0.3), space["nms"](boxes, scores, 0.3)
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def ask(bundle, **request):
    """What the runner answers to a request on this machine, started as on a board."""
    run = subprocess.run(
        [sys.executable, str(bundle.folder / "runner.py")],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        timeout=100,
    )
    (line,) = [line for line in run.stdout.splitlines() if line.startswith(MARK)]
    return json.loads(line[len(MARK) :])


def test_a_bundle_holds_models_images_and_hashes(cell, tmp_path):
    bundle = pack_cells([cell], [Form("onnxruntime")], tmp_path / "b", SHORT, 4)
    assert set(bundle.files) == {
        "runner.py",
        "plan.json",
        "images/0.npy",
        "models/0/model.onnx",
        "references/onnxruntime/reference.onnx",
    }
    assert all(sha256_file(bundle.folder / name) == h for name, h in bundle.files.items())
    (origin,) = bundle.origins
    pixels = np.load(bundle.folder / "images/0.npy")
    pack = load_arrays(origin["pack"])
    assert np.array_equal(pixels, pack.images[origin["rows"]])
    assert len(pixels) == 4
    (entry,) = bundle.plan["entries"]
    assert (entry["size"], entry["outputs"]) == (32, ["boxes", "scores"])
    again = pack_cells([cell], [Form("onnxruntime")], tmp_path / "again", SHORT, 4)
    assert again.key == bundle.key


def test_the_reference_model_answers_alike_in_each_engine(tmp_path):
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    answers = []
    for engine in ("onnxruntime", "openvino", "ncnn"):
        model = packing._reference(engine, tmp_path)
        entry = {"outputs": ["out"], "precision": "fp32"}
        (answer,) = SESSIONS[engine](model, entry, 1).run(image)
        answers.append(np.asarray(answer).reshape(-1))
    assert len(np.unique(answers[0])) > len(answers[0]) // 4
    assert all(np.allclose(answers[0], other, rtol=1e-3, atol=0.01) for other in answers[1:])


def test_openvino_pins_no_process_to_a_core(tmp_path):
    model = packing._reference("openvino", tmp_path)
    session = SESSIONS["openvino"](model, {"outputs": ["out"]}, 1)
    assert session.request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False


def test_what_is_wanted_of_a_board_is_held_to_its_folder(cell, tmp_path):
    bundle = pack_cells([cell], [Form("onnxruntime")], tmp_path / "b", SHORT, 2)
    for name in ("../outside", "/etc/passwd", ""):
        answer = ask(bundle, verb="look", folder=str(tmp_path / "there"), files={name: "0"})
        assert answer["refused"]["field"] == "file"


def test_a_version_that_computes_wrong_is_refused(monkeypatch):
    import onnxruntime

    from defectbench.deploy.edge.sessions import RefusalError, load_module

    assert load_module("onnxruntime") is onnxruntime
    monkeypatch.setattr(onnxruntime, "__version__", "1.20.1")
    with pytest.raises(RefusalError, match="wrong numbers"):
        load_module("onnxruntime")


def test_a_form_that_an_engine_cannot_run_has_no_entry(cell, tmp_path):
    made = cell / "engines" / "ncnn" / "conversion.json"
    write_record(made, "conversion", {ABSENT: "ncnn operator: Det"}, {})
    forms = [Form("onnxruntime"), Form("ncnn")]
    bundle = pack_cells([cell], forms, tmp_path / "b", SHORT, 2)
    assert bundle.engines == ["onnxruntime"]
    with pytest.raises(ConfigError, match="that an engine can run"):
        pack_cells([cell], [Form("ncnn")], tmp_path / "none", SHORT, 2)
    assert not (tmp_path / "none").exists()
    made.unlink()


def test_tensorrt_is_left_to_the_board_whatever_stops_it_here(cell, tmp_path):
    here = cell / "engines" / "tensorrt-fp16" / "conversion.json"
    write_record(here, "conversion", {ABSENT: "no GPU"}, {})
    bundle = pack_cells([cell], [board_form("tensorrt-fp16")], tmp_path / "b", SHORT, 2)
    (entry,) = bundle.plan["entries"]
    assert (entry["engine"], entry["precision"]) == ("tensorrt", "fp16")
    assert bundle.plan["references"]["tensorrt"]["model"].endswith(".onnx")


def test_a_graph_says_in_which_types_tensorrt_computes_it(tmp_path):
    cell = make_cell(tmp_path, write=write_biased)
    made = quantised(cell)
    forms = [board_form(f"tensorrt{end}") for end in ("", "-fp16", "-int8")]
    bundle = pack_cells([cell], forms, tmp_path / "b", SHORT, 2)
    graphs = [load_model(bundle.folder / entry["model"]).graph for entry in bundle.plan["entries"]]
    widths = [{tensor.data_type for tensor in graph.initializer} for graph in graphs]
    halves = [TensorProto.FLOAT16 in types for types in widths]
    assert halves == [False, True, False]
    assert {value.type.tensor_type.elem_type for value in graphs[1].output} == {TensorProto.FLOAT}
    of_file = {tensor.data_type for tensor in load_model(made).graph.initializer}
    assert TensorProto.INT32 in of_file  # biases, which TensorRT does not dequantise
    assert TensorProto.INT32 not in widths[2]
    assert "QuantizeLinear" in {node.op_type for node in graphs[2].node}


def write_biased(path):
    """The small detector, with a bias in each convolution."""
    model = onnx.load(write_model(path))
    for node in model.graph.node:
        if node.op_type == "Conv":
            bias = numpy_helper.from_array(np.full(6 if "3" in node.name else 8, 0.1, np.float32))
            bias.name = f"{node.name}_bias"
            model.graph.initializer.append(bias)
            node.input.append(bias.name)
    onnx.save(model, path)


def quantised(cell):
    """The file of a cell that says where it rounds."""
    made, train = cell / "engines" / "int8" / "model.onnx", cell.parents[4] / "train.safetensors"
    write_images(train, "train", 4)
    quantise(cell / "model.onnx", train, made, 4)
    return made


def test_the_first_number_of_threads_is_that_of_the_board(cell, tmp_path):
    settings = SHORT.model_copy(update={"threads": [2, 1]})
    bundle = pack_cells([cell], [Form("onnxruntime")], tmp_path / "b", settings, 2)
    assert bundle.plan["protocol"]["threads"] == 2


def test_what_is_told_of_a_file_that_is_not_there_makes_it(tmp_path):
    cell = make_cell(tmp_path / "my study's")
    with pytest.raises(ConfigError) as missing:
        pack_cells([cell], [Form("ncnn", "fp16")], tmp_path / "b", SHORT, 2)
    program, *words = shlex.split(missing.value.fix)
    assert program == "defectbench"
    assert main(words) == 0
    assert pack_cells([cell], [Form("ncnn", "fp16")], tmp_path / "b", SHORT, 2).engines == ["ncnn"]


def test_a_control_is_named(tmp_path):
    with pytest.raises(ConfigError, match="controls have none"):
        pack_cells([tmp_path / "control_mean" / "seed0"], [Form("ncnn")], tmp_path / "b", SHORT)


@pytest.mark.parametrize("name", ["onnxruntime-int8", "openvino-int8", "tensorrt-int8"])
def test_every_form_is_checked_before_it_is_packed(name, tmp_path):
    cell = make_cell(tmp_path)
    made = cell / "engines" / "int8" / "model.onnx"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"no graph")
    with pytest.raises(ArtifactError):
        pack_cells([cell], [board_form(name)], tmp_path / "b", SHORT, 2)


def test_the_time_of_a_gpu_is_that_of_the_wall(cell, tmp_path, monkeypatch):
    class Gpu(SESSIONS["onnxruntime"]):
        """Plays TensorRT."""

    monkeypatch.setitem(SESSIONS, "tensorrt", Gpu)
    settings = SHORT.model_copy(update={"rounds": 2, "burst_calls": 0})
    forms = [Form("onnxruntime"), board_form("tensorrt")]
    bundle = pack_cells([cell], forms, tmp_path / "b", settings, 2)
    plan = {**bundle.plan, "by_trtexec": False}
    clocks = []
    for n in range(2):
        request = {"folder": bundle.folder, "plan": plan, "entries": [n], "process": 0}
        answer = board.race({**request, "burst_calls": 0}, io.BytesIO())
        clocks.append(summarise([answer], 0, None, 1)["ratio_clock"])
    assert clocks == ["processor", "wall"]


def test_a_board_counts_calls_as_the_race_here_does():
    names = ("REFERENCE_CALLS", "SETTLING_CALLS", "GAP_SECONDS")
    assert [getattr(board, name) for name in names] == [
        getattr(race_worker, name) for name in names
    ]


def test_a_part_in_tiles_and_a_model_that_is_not_there_are_named(cell, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="engines/int8"):
        pack_cells([cell], [board_form("tensorrt-int8")], tmp_path / "b", SHORT)
    monkeypatch.setattr(packing, "tiling_of_pack", lambda path: {"side": 64})
    with pytest.raises(UnsupportedError, match="tiles"):
        pack_cells([cell], [Form("onnxruntime")], tmp_path / "b", SHORT)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["tensorrt-fp64", "onnxruntime-fp16", "onxruntime", "ncnn-fp32"])
def test_a_form_that_no_board_has_is_named(name):
    with pytest.raises(ConfigError, match="tensorrt-int8"):
        board_form(name)


def test_the_verb_packs_and_a_file_that_is_no_bundle_is_named(cell, tmp_path, capsys):
    out = tmp_path / "it's a bundle"
    told = ["--images", "2", "--set", "rounds=3", "--out", str(out)]
    assert main(["edge", "pack", str(cell), *told]) == 0
    bundle = read_bundle(out)
    assert bundle.plan["protocol"]["rounds"] == 3
    assert bundle.key[:12] in capsys.readouterr().out
    (out / "origin.json").write_text(json.dumps({"manifest": "0", "entries": []}))
    with pytest.raises(HashMismatchError, match="another bundle"):
        read_bundle(out)
    run = ["edge", "run", "-oProxyCommand=x", "--bundle", str(out), "--out", str(tmp_path / "o")]
    assert main(run) == 2
    assert main(["edge", "run", "--bundel", "x"]) == 2
    assert "see defectbench edge run --help" in capsys.readouterr().err
