"""Engines beside the reference, on a tiny detector; every method meets them in the contract."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from defectbench.base.engines import (
    ENGINES,
    ON_GPU,
    ON_PROCESSORS,
    PRECISIONS,
    Form,
    form_named,
    forms_of,
)
from defectbench.base.errors import ArtifactError, ConfigError, RefusedError, UnsupportedError
from defectbench.base.records import ABSENT
from defectbench.deploy import engines
from defectbench.deploy.checked import open_checked
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.engines import find_engines, load_engine, require_engine
from defectbench.deploy.engines.ncnn import convert, convert_network
from defectbench.deploy.engines.ncnn_graph import fit_for_ncnn
from defectbench.deploy.runtime import open_artifact

SIDE = 32


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 3, SIDE, SIDE), dtype=np.float32)


def test_forms_have_names_of_their_own_and_lie_apart():
    forms = forms_of(ENGINES, PRECISIONS)
    assert [form.name for form in forms] == [
        "onnxruntime",
        "onnxruntime-int8",
        "onnxruntime_cuda",
        "openvino",
        "openvino-int8",
        "ncnn",
        "ncnn-fp16",
        "torch",
        "torch_compiled",
        "torch_graph",
        "tensorrt",
        "tensorrt-fp16",
        "tensorrt-int8",
    ]
    assert all(form_named(form.name) == form for form in forms)
    assert form_named("ncnn-int8") is form_named("onnxruntime-fp32") is form_named("x") is None
    assert [form.name for form in forms if form.is_artifact] == ["onnxruntime"]
    shared = [form.name for form in forms if form.file == "engines/int8/model.onnx"]
    # one quantised file for all engines
    assert shared == ["onnxruntime-int8", "openvino-int8", "tensorrt-int8"]
    assert Form("tensorrt", "int8").model == "engines/tensorrt-int8/model"
    assert Form("tensorrt", "int8").records[:2] == [
        "engines/tensorrt-int8/conversion.json",
        "engines/int8/conversion.json",
    ]


def test_every_engine_is_told_with_its_version_and_what_it_can_do(capsys):
    from defectbench.cli import main

    assert [state.name for state in find_engines()] == list(ENGINES)
    assert main(["engines"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ENGINES)


def test_the_extras_that_errors_name_are_there():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    always = " ".join(project["dependencies"])
    for name in ENGINES:
        extra = engines.EXTRAS.get(name)
        told = always if extra is None else " ".join(extras[extra])
        assert all(package in told for package in engines.PACKAGES[name]), name
    locked = " ".join(extras["dev"])
    assert not [engine for engine in ON_GPU if engines.EXTRAS.get(engine, "none") in locked]


def test_lists_of_engines_beside_that_of_the_base_agree_with_it():
    """Those that stand alone, in files that run where the suite is not installed, or that say more of each engine."""
    from defectbench.base import boards
    from defectbench.deploy.deployment.folder import SCRIPT
    from defectbench.deploy.edge.sessions import SESSIONS
    from defectbench.deploy.edge.state import MODULES

    assert set(engines.PACKAGES) == set(ENGINES)
    assert set(boards.ON_PROCESSORS) == set(ON_PROCESSORS) == {"onnxruntime", "openvino", "ncnn"}
    assert set(SESSIONS) == set(boards.BOARD_ENGINES)
    assert set(MODULES) == {"numpy", *SESSIONS}
    script = SCRIPT.read_text()
    assert all(f'"{name}": open_{name}' in script for name in ON_PROCESSORS)
    assert script.count("\ndef open_") == len(ON_PROCESSORS)


def test_an_engine_that_is_not_installed_is_one_line(monkeypatch, artifact, capsys):
    from defectbench.cli import main

    monkeypatch.setitem(engines.PACKAGES, "openvino", ("no-such-package",))
    with pytest.raises(
        ConfigError, match=r"without no-such-package.*pip install \"defectbench\[openvino\]\""
    ):
        load_engine("openvino", artifact, 1)
    assert main(["engines"]) == 0
    assert (
        'openvino         not installed; pip install "defectbench[openvino]"\n'
        in capsys.readouterr().out
    )
    with pytest.raises(ConfigError, match="name one of onnxruntime"):
        require_engine("tensorflow")


def test_the_cuda_provider_is_asked_for_alone_and_its_absence_named(artifact, monkeypatch):
    from defectbench.deploy.engines import onnxruntime_cuda as cuda

    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match=r"onnxruntime provider.*force-reinstall"):
        cuda.open_session(artifact, 1)
    asked = {}

    class Session:
        def __init__(self, path, options, providers):
            asked["providers"] = providers
            asked["fallback"] = options.get_session_config_entry("session.disable_cpu_ep_fallback")
            raise RuntimeError("no driver")

    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: [cuda.PROVIDER])
    monkeypatch.setattr(cuda.ort, "InferenceSession", Session)
    with pytest.raises(ConfigError, match=r"CUDAExecutionProvider: got 'no driver'.*nvidia-smi"):
        cuda.open_session(artifact, 1)
    assert asked == {"providers": [(cuda.PROVIDER, {"use_tf32": "0"})], "fallback": "1"}


def test_what_the_cuda_provider_refuses_is_the_model_s_where_it_runs_another(artifact, monkeypatch):
    from defectbench.deploy.engines import onnxruntime_cuda as cuda

    start = cuda.ort.InferenceSession

    def on_processor(path, options, providers):
        if path == str(artifact):
            raise RuntimeError("nodes that are assigned to the default CPU EP")
        return start(path, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(cuda.ort, "get_available_providers", lambda: [cuda.PROVIDER])
    monkeypatch.setattr(cuda.ort, "InferenceSession", on_processor)
    with pytest.raises(RefusedError, match="default CPU EP"):
        cuda.open_session(artifact, 1)


@pytest.mark.parametrize("name", ["openvino", "ncnn"])
def test_an_engine_answers_as_the_reference_at_every_batch(name, artifact, tmp_path, images):
    path = artifact
    if name == "ncnn":
        path = tmp_path / "model"
        convert(artifact, path, "fp32")
    model = open_checked(path, engine=name)
    assert (model.classes, model.size, model.task) == (["pit", "scratch"], SIDE, "detection")
    for batch in (1, 3):
        expected = open_artifact(artifact).run(images[:batch])
        for want, got, unit in zip(expected, model.run(images[:batch]), (SIDE, 1), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-4 * unit)


def test_half_precision_is_smaller_and_near(artifact, tmp_path, images):
    sizes = {}
    for precision in ("fp32", "fp16"):
        convert(artifact, tmp_path / precision, precision)
        sizes[precision] = (tmp_path / precision / "model.bin").stat().st_size
        model = load_engine("ncnn", tmp_path / precision, 1)
        np.testing.assert_allclose(
            model.run(images)[1], open_artifact(artifact).run(images)[1], atol=0.02
        )
    assert sizes["fp16"] < sizes["fp32"]


@pytest.mark.parametrize("missing", ["model.param", "model.bin", "signature.json"])
def test_a_folder_that_lacks_a_file_is_named(artifact, tmp_path, missing):
    convert(artifact, tmp_path / "model", "fp32")
    (tmp_path / "model" / missing).unlink()
    with pytest.raises(ArtifactError, match=missing):
        load_engine("ncnn", tmp_path / "model", 1)


@pytest.mark.parametrize("content", ["", "7767517\nx", "not a graph"])
def test_a_damaged_graph_is_named(artifact, tmp_path, content):
    convert(artifact, tmp_path / "model", "fp32")
    (tmp_path / "model" / "model.param").write_text(content)
    with pytest.raises(ArtifactError, match=r"model\.param"):
        load_engine("ncnn", tmp_path / "model", 1)


def with_node(artifact, node, *constants):
    """The model with a node between its scores and what was their output."""
    model = onnx.load(str(artifact))
    for other in model.graph.node:
        other.output[:] = ["raw" if name == "scores" else name for name in other.output]
    model.graph.node.append(node)
    model.graph.initializer.extend(constants)
    return model


def test_an_operator_that_an_engine_lacks_is_a_record_and_no_crash(artifact, tmp_path):
    path = tmp_path / "model.onnx"
    node = helper.make_node("Det", ["square"], ["det"])  # a determinant, which ncnn does not have
    model = with_node(artifact, helper.make_node("Add", ["raw", "det"], ["scores"]))
    shape = numpy_helper.from_array(np.array([-1, 1, 2, 2]), "two")
    split = numpy_helper.from_array(np.array([[0, 1, 0, 1]]), "four")
    gather = helper.make_node("Gather", ["flat", "four"], ["row"], axis=1)
    flat = helper.make_node("Flatten", ["raw"], ["flat"])
    reshape = helper.make_node("Reshape", ["row", "two"], ["square"])
    last = model.graph.node.pop()
    unsqueeze = numpy_helper.from_array(np.array([2]), "last")
    more = helper.make_node("Unsqueeze", ["det", "last"], ["det3"])
    last.input[1] = "det3"
    model.graph.node.extend([flat, gather, reshape, node, more, last])
    model.graph.initializer.extend([shape, split, unsqueeze])
    onnx.save(model, str(path))
    with pytest.raises(UnsupportedError, match="ncnn operator"):
        convert(path, tmp_path / "alone", "fp32")
    convert_model(path, Form("ncnn"), tmp_path / "ncnn" / "model")
    record = json.loads((tmp_path / "ncnn" / "conversion.json").read_text())
    assert record["figures"][ABSENT].startswith("ncnn operator: ")
    assert list((tmp_path / "ncnn" / "model").iterdir()) == []


def test_an_engine_that_runs_the_artifact_itself_is_not_converted_for(artifact, tmp_path):
    with pytest.raises(ConfigError, match="openvino runs the artifact itself"):
        convert_model(artifact, Form("openvino"), tmp_path / "model")


def graph_of(nodes, shape, out, **constants):
    value = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            nodes,
            "part",
            [value("images", TensorProto.FLOAT, ["N", *shape])],
            [value("boxes", TensorProto.FLOAT, ["N", *out])],
            [numpy_helper.from_array(np.array(values), name) for name, values in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )


def run(model, images):
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"images": images})[0]


def test_pixels_of_each_square_become_a_convolution_of_equal_values(images):
    nodes, names = [], []
    for column in (0, 1):
        nodes.append(
            helper.make_node("Slice", ["images", f"s{column}", "end", "x", "step"], [f"c{column}"])
        )
        for row in (0, 1):
            name = f"c{column}r{row}"
            nodes.append(
                helper.make_node("Slice", [f"c{column}", f"s{row}", "end", "y", "step"], [name])
            )
            names.append(name)
    nodes.append(helper.make_node("Concat", names, ["boxes"], axis=1))
    constants = {"s0": [0], "s1": [1], "end": [2**63 - 1], "x": [3], "y": [2], "step": [2]}
    model = graph_of(nodes, (3, SIDE, SIDE), (12, SIDE // 2, SIDE // 2), **constants)
    fitted = fit_for_ncnn(model)
    assert [node.op_type for node in fitted.graph.node] == ["Conv"]
    np.testing.assert_array_equal(run(fitted, images[:1]), run(model, images[:1]))


def test_a_norm_over_rows_becomes_one_over_maps_of_equal_values():
    nodes = [
        helper.make_node("InstanceNormalization", ["images", "factor", "shift"], ["boxes"]),
    ]
    values = {"factor": np.arange(4, dtype=np.float32), "shift": np.ones(4, np.float32)}
    model = graph_of(nodes, (4, 9), (4, 9), **values)
    fitted = fit_for_ncnn(model)
    assert [n.op_type for n in fitted.graph.node] == ["Reshape", nodes[0].op_type, "Reshape"]
    rows = np.random.default_rng(0).random((1, 4, 9), dtype=np.float32)
    np.testing.assert_allclose(run(fitted, rows), run(model, rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [6, 5])
def test_the_last_mean_of_an_odd_side_is_of_its_pixels(side, tmp_path):
    """ncnn divides it by the whole window, though half of that lies beyond the map."""
    import ncnn

    asked = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
    nodes = [helper.make_node("AveragePool", ["images"], ["boxes"], **asked)]
    model = graph_of(nodes, (3, side, side), (3, 3, 3))
    onnx.save(model, str(tmp_path / "pool.onnx"))
    convert_network(tmp_path / "pool.onnx", tmp_path / "ncnn", side)
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    net.load_param(str(next((tmp_path / "ncnn").glob("*.param"))))
    net.load_model(str(next((tmp_path / "ncnn").glob("*.bin"))))
    values = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    worker = net.create_extractor()
    worker.input("in0", ncnn.Mat(values[0]))
    np.testing.assert_allclose(
        np.array(worker.extract("out0")[1]), run(model, values)[0], rtol=1e-6
    )


@pytest.mark.parametrize("keep", [0, 1])
def test_a_sum_over_rows_becomes_a_product_of_equal_values(keep):
    out = (4, 1, 9) if keep else (4, 9)
    nodes = [helper.make_node("ReduceSum", ["images", "axes"], ["boxes"], keepdims=keep)]
    model = graph_of(nodes, (4, 8, 9), out, axes=[2])
    fitted = fit_for_ncnn(model)
    assert [node.op_type for node in fitted.graph.node] == ["MatMul", "Reshape"]
    values = np.random.default_rng(0).random((1, 4, 8, 9), dtype=np.float32)
    np.testing.assert_allclose(run(fitted, values), run(model, values), rtol=1e-6)
