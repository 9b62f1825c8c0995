"""TensorRT as far as it goes without a GPU: graphs for real, builder and runtime against a module of its interface."""

import importlib
import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import fake_tensorrt
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.small_models import SIDE, write_images, write_model
from trtexec_texts import SECTIONS, SUMMARY, log

from defectbench.base.engines import Form
from defectbench.base.errors import (
    ArtifactError,
    ConfigError,
    DeviceMemoryError,
    ProgramError,
    UnsupportedError,
)
from defectbench.base.records import ABSENT, read_record
from defectbench.cli import main
from defectbench.deploy import engines
from defectbench.deploy.checked import open_checked
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.engines import gpu, packages, tensorrt, trtexec
from defectbench.deploy.engines.gpu import Gpu
from defectbench.deploy.engines.tensorrt import PLAN, SIGNATURE, convert, open_session
from defectbench.deploy.engines.tensorrt_graph import fit_for_tensorrt
from defectbench.deploy.quantise import quantise
from defectbench.deploy.runtime import open_artifact

ORIN = Gpu("Orin", "8.7")
VERSIONS = ("10.3.0", "11.4.0.106")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorrt")
    write_model(folder / "model.onnx")
    train = write_images(folder / "train.safetensors")
    quantise(folder / "model.onnx", train, folder / "int8.onnx")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(tensorrt.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "tensorrt"


@pytest.fixture
def on_gpu(monkeypatch):
    """A function that puts a GPU and a version of TensorRT here; its module is returned."""

    def put(version=VERSIONS[0], there=ORIN, **more):
        monkeypatch.setattr(tensorrt, "find_gpu", lambda: there)
        monkeypatch.setattr(engines, "find_gpu", lambda: there)
        monkeypatch.setattr(packages, "package_version", lambda package: version)
        module = fake_tensorrt.make_module(version, there.name, **more)
        fake_tensorrt.install(monkeypatch, module)
        hold_tensors_in_memory(monkeypatch)
        return module

    return put


def hold_tensors_in_memory(monkeypatch):
    """What a session asks of ``torch.cuda``, without a GPU."""
    import torch

    @contextmanager
    def stream(stream):
        yield

    waits = SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: waits)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(tensorrt.TensorRtSession, "device", "cpu")


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 3, SIDE, SIDE), dtype=np.float32)


def of_kind(module, name):
    return [each for each in module.made if type(each).__name__ == name]


def source_of(home, precision):
    return home / ("int8.onnx" if precision == "int8" else "model.onnx")


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["boxes", "scores"], {"images": images})


# the graph


def with_bias(path):
    """The model with biases, which a quantiser keeps in 32-bit integers."""
    model = onnx.load(str(path))
    for number, node in enumerate(n for n in model.graph.node if n.op_type == "Conv"):
        channels = 6 if number == 3 else 8
        values = np.random.default_rng(number).normal(size=channels).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, f"bias{number}"))
        node.input.append(f"bias{number}")
    return model


def test_biases_in_eight_bit_files_are_written_in_float_of_the_same_value(tmp_path, images):
    onnx.save(with_bias(write_model(tmp_path / "plain.onnx")), str(tmp_path / "model.onnx"))
    train = write_images(tmp_path / "train.safetensors")
    quantise(tmp_path / "model.onnx", train, tmp_path / "int8.onnx")
    model = onnx.load(str(tmp_path / "int8.onnx"))
    fitted = fit_for_tensorrt(model, "int8", "m")

    def dequantised(model):
        kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        nodes = [n for n in model.graph.node if n.op_type == "DequantizeLinear"]
        return [kinds.get(node.input[0]) for node in nodes]

    assert TensorProto.INT32 in dequantised(model)
    assert TensorProto.INT32 not in dequantised(fitted)
    assert TensorProto.INT8 in dequantised(fitted)
    onnx.checker.check_model(fitted)
    for got, want in zip(run(fitted, images), run(model, images), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5 * SIDE)


def test_sixteen_bits_end_behind_the_last_weights(home, images):
    model = onnx.load(str(home / "model.onnx"))
    halved = fit_for_tensorrt(model, "fp16", "m")
    stored = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    weights = [f"w{n}" for n in range(4)]
    assert not stored.keys() & set(weights)
    assert {stored[f"{name}_in_16_bits"] for name in weights} == {TensorProto.FLOAT16}
    assert stored["side"] == TensorProto.FLOAT  # of the boxes
    onnx.checker.check_model(halved, full_check=True)
    assert {out.type.tensor_type.elem_type for out in halved.graph.output} == {TensorProto.FLOAT}
    casts = [(n.input[0], n.output[0]) for n in halved.graph.node if n.op_type == "Cast"]
    # the first of the nodes behind the last weights reads 32 bits again
    assert casts == [("images", "images_in_16_bits"), ("c3_in_16_bits", "c3")]
    expected, outputs = run(model, images), run(halved, images)
    differences = [float(np.abs(a - b).max()) for a, b in zip(expected, outputs, strict=True)]
    assert 0 < differences[1] < 0.01
    assert differences[0] < 0.01 * SIDE


def test_single_precision_is_the_artifact(home):
    model = onnx.load(str(home / "model.onnx"))
    assert fit_for_tensorrt(model, "fp32", "m") == model


@pytest.mark.parametrize(
    ("precision", "file", "told"),
    [
        ("int8", "model.onnx", "defectbench quantise makes it"),
        ("fp16", "int8.onnx", "fp16 is made of the artifact itself"),
        ("fp32", "int8.onnx", "fp32 is made of the artifact itself"),
    ],
)
def test_eight_bits_are_of_the_quantised_file_alone(home, precision, file, told):
    with pytest.raises(ArtifactError, match=told):
        fit_for_tensorrt(onnx.load(str(home / file)), precision, file)


# builder and runtime


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_is_built_and_answers_as_its_file(
    home, tmp_path, on_gpu, images, version, precision
):
    module = on_gpu(version)
    source = source_of(home, precision)
    convert(source, tmp_path / "model", precision)
    model = open_checked(tmp_path / "model", engine="tensorrt")
    assert (model.classes, model.size) == (["pit", "scratch"], SIDE)
    many = np.concatenate([images] * 6)  # more than the profile holds at once
    bound = 0.01 if precision == "fp16" else 1e-5
    for got, want, unit in zip(
        model.run(many), open_artifact(source).run(many), (SIDE, 1), strict=True
    ):
        np.testing.assert_allclose(got, want, atol=bound * unit)
    (config,) = of_kind(module, "IBuilderConfig")
    assert config._pools == {module.MemoryPoolType.WORKSPACE: 2**30}
    assert config._set == set()  # no flag of precision, and no TF32
    (profile,) = of_kind(module, "IOptimizationProfile")
    shapes = [(batch, 3, SIDE, SIDE) for batch in (1, 1, 16)]
    assert profile._shapes == {"images": shapes}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_refuses_what_the_interface_does_not_have(version):
    module = fake_tensorrt.make_module(version)

    class Log(module.ILogger):
        def __init__(self):
            module.ILogger.__init__(self)

    builder = module.Builder(Log())
    for refused in (
        lambda: builder.max_workspace_size,
        lambda: builder.build_cuda_engine,
        lambda: setattr(builder, "fp16_mode", True),
        lambda: module.BuilderFlag.STRICT_TYPES,
    ):
        with pytest.raises(AttributeError):
            refused()
    with pytest.raises(TypeError):
        builder.create_network(1, 2)
    with pytest.raises(TypeError):
        builder.build_serialized_network(network=1, configuration=2)
    with pytest.raises(TypeError, match="must be called"):
        module.Builder(type("Bare", (module.ILogger,), {"__init__": lambda self: None})())
    assert hasattr(module.BuilderFlag, "FP16") is version.startswith("10.")
    assert hasattr(module.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") is version.startswith(
        "10."
    )


def test_a_plan_is_kept_for_the_same_file_gpu_version_and_precision(home, tmp_path, on_gpu, cache):
    model = home / "model.onnx"

    def build(version=VERSIONS[0], there=ORIN, precision="fp32", source=model):
        module = on_gpu(version, there)
        convert(source, tmp_path / "model", precision)
        return len(of_kind(module, "Builder"))

    assert build() == 1
    assert build() == 0
    assert build("10.7.0") == 1
    assert build(there=Gpu("Thor", "11.0")) == 1
    assert build(there=Gpu("Orin", "8.9")) == 1
    assert build(precision="fp16") == 1
    other = write_model(tmp_path / "other.onnx", depth=5)
    assert build(source=other) == 1
    assert build() == 0
    assert len(list(cache.iterdir())) == 6


def test_a_plan_of_an_earlier_way_of_writing_the_graph_is_not_taken(
    home, tmp_path, on_gpu, cache, monkeypatch
):
    on_gpu()
    convert(home / "model.onnx", tmp_path / "model", "fp16")

    def otherwise(model, precision, path):
        graph = fit_for_tensorrt(model, precision, path)
        graph.graph.node[0].name = "written otherwise"
        return graph

    monkeypatch.setattr(tensorrt, "fit_for_tensorrt", otherwise)
    module = on_gpu()
    convert(home / "model.onnx", tmp_path / "other", "fp16")
    assert len(of_kind(module, "Builder")) == 1
    assert len(list(cache.iterdir())) == 2
    signatures = [
        json.loads((tmp_path / name / SIGNATURE).read_text()) for name in ("model", "other")
    ]
    assert signatures[0]["source_sha256"] == signatures[1]["source_sha256"]
    assert signatures[0]["graph_sha256"] != signatures[1]["graph_sha256"]


@pytest.mark.parametrize(
    ("version", "there", "told"),
    [
        ("10.7.0", ORIN, "tensorrt: got '10.3.0'; here it is 10.7.0"),
        (VERSIONS[0], Gpu("Thor", "8.7"), "gpu: got 'Orin'; here it is Thor"),
        (VERSIONS[0], Gpu("Orin", "8.9"), "compute_capability: got '8.7'; here it is 8.9"),
    ],
)
def test_a_plan_of_another_machine_is_named_with_what_mends_it(
    home, tmp_path, on_gpu, version, there, told
):
    on_gpu()
    convert(home / "model.onnx", tmp_path / "model", "fp32")
    on_gpu(version, there)
    with pytest.raises(ArtifactError, match=f"{told}.*build it again here"):
        open_session(tmp_path / "model", 1)


def test_a_device_without_room_is_named_and_leaves_nothing(home, tmp_path, on_gpu, cache):
    on_gpu(memory_mib=512)
    with pytest.raises(DeviceMemoryError, match=r"out of memory.*end what else"):
        convert(home / "model.onnx", tmp_path / "model", "fp32")
    assert not (tmp_path / "model").exists()
    assert list(cache.iterdir()) == []


def test_a_disk_that_fails_leaves_nothing(home, tmp_path, on_gpu, cache, monkeypatch):
    on_gpu()

    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="make room on this disk"):
        convert(home / "model.onnx", tmp_path / "model", "fp32")
    assert not (tmp_path / "model").exists()
    assert list(cache.iterdir()) == []


def with_determinant(path, out):
    model = onnx.load(str(path))
    model.graph.node.insert(0, helper.make_node("Det", ["images"], ["unused"]))
    onnx.save(model, str(out))
    return out


def test_an_operator_that_tensorrt_lacks_is_a_record_and_no_crash(home, tmp_path, on_gpu):
    on_gpu()
    source = with_determinant(home / "model.onnx", tmp_path / "model.onnx")
    with pytest.raises(UnsupportedError, match="TensorRT operator: got 'Det"):
        convert(source, tmp_path / "alone", "fp32")
    convert_model(source, Form("tensorrt"), tmp_path / "tensorrt" / "model")
    record = read_record(tmp_path / "tensorrt" / "conversion.json", "conversion")
    assert record["figures"][ABSENT].startswith("TensorRT operator: Det")


def test_the_record_of_a_plan_names_what_it_was_built_of_and_for(home, tmp_path, on_gpu):
    on_gpu()
    convert_model(home / "int8.onnx", Form("tensorrt", "int8"), tmp_path / "t" / "model")
    record = read_record(tmp_path / "t" / "conversion.json", "conversion")
    assert set(record["inputs"]) == {"source", f"model/{PLAN}", f"model/{SIGNATURE}"}
    assert record["inputs"]["source"]["path"].endswith("int8.onnx")
    assert record["engine"]["gpu"] == {"name": "Orin", "compute_capability": "8.7"}
    signature = json.loads((tmp_path / "t" / "model" / SIGNATURE).read_text())
    assert (signature["workspace_mib"], signature["batches"]) == (1024, [1, 1, 16])


def test_a_damaged_plan_is_named(home, tmp_path, on_gpu):
    on_gpu()
    convert(home / "model.onnx", tmp_path / "model", "fp32")
    (tmp_path / "model" / PLAN).write_bytes(b"damaged")
    with pytest.raises(ProgramError, match=r"model\.plan: TensorRT load: got 'Error Code 1"):
        open_session(tmp_path / "model", 1)
    (tmp_path / "model" / PLAN).unlink()
    with pytest.raises(ArtifactError, match="convert the model first"):
        open_session(tmp_path / "model", 1)


@pytest.mark.parametrize("kind", ["Builder", "Runtime"])
def test_a_driver_that_does_not_fit_is_named(home, tmp_path, on_gpu, kind, monkeypatch):
    module = on_gpu()
    convert(home / "model.onnx", tmp_path / "model", "fp32")

    def refuse(log):
        log.log(module.ILogger.ERROR, "CUDA initialization failure with error: 35.")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(module, kind, refuse)
    with pytest.raises(ConfigError, match=r"error: 35.*driver, CUDA and TensorRT must fit"):
        if kind == "Builder":
            convert(home / "model.onnx", tmp_path / "other", "fp16")
        else:
            open_session(tmp_path / "model", 1)


# what there is


def test_without_package_and_gpu_there_is_one_clear_line(monkeypatch, capsys):
    monkeypatch.setattr(engines, "find_gpu", lambda: None)
    monkeypatch.setattr(engines, "find_program", lambda: None)
    assert main(["engines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (told,) = (line for line in lines if line.startswith("tensorrt "))
    assert told.split(None, 1)[1] == (
        'not installed; pip install "defectbench[tensorrt]"; no NVIDIA GPU is to be seen here'
    )
    with pytest.raises(ConfigError, match="without tensorrt"):
        engines.require_engine("tensorrt")


def test_a_gpu_is_told_and_one_that_is_missing_refused(home, tmp_path, on_gpu, monkeypatch):
    on_gpu()
    told = engines.engine_state("tensorrt").told
    assert told == "tensorrt 10.3.0: fp32, fp16, int8 on Orin"
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: None)
    with pytest.raises(ConfigError, match="NVIDIA GPU"):
        convert(home / "model.onnx", tmp_path / "model", "fp32")
    monkeypatch.setattr(engines, "find_gpu", lambda: None)
    with pytest.raises(ConfigError, match=r"no NVIDIA GPU.*leave this engine out"):
        engines.require_engine("tensorrt")


def list_package(folder, name, number):
    """Let pip list a package, as an installed wheel does."""
    info = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-cu12", "tensorrt-cu13"])
def test_every_build_of_the_package_counts_for_the_list_and_for_the_engine(
    name, tmp_path, monkeypatch
):
    assert not tensorrt.has_package()
    list_package(tmp_path / "site", name, "10.9.0")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(engines, "find_gpu", lambda: ORIN)
    assert engines.engine_state("tensorrt").told.startswith("tensorrt 10.9.0: fp32")
    assert tensorrt.has_package()


def test_a_module_that_no_package_lists_counts_too_and_a_broken_one_does_not(tmp_path, monkeypatch):
    module = tmp_path / "site" / "tensorrt" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text('__version__ = "8.6.2"\n')
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    try:
        assert packages.package_version("tensorrt") == "8.6.2"
    finally:
        sys.modules.pop("tensorrt", None)
    module.write_text('raise OSError("libnvinfer.so.10: cannot open shared object file")\n')
    shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
    importlib.invalidate_caches()
    assert not tensorrt.has_package()
    assert engines.engine_state("tensorrt").missing == ["tensorrt"]


class Driver:
    """The driver's library with one GPU, or none."""

    def __init__(self, count=1, refuses=()):
        self.count, self.refuses = count, refuses

    def __getattr__(self, name):
        def call(*given):
            if name in self.refuses:
                return 100
            if name == "cuDeviceGetCount":
                given[0]._obj.value = self.count
            elif name == "cuDeviceGetName":
                given[0].value = b"Orin"
            elif name == "cuDeviceGetAttribute":
                given[0]._obj.value = {75: 8, 76: 7}[given[1]]
            return 0

        return call


def test_the_gpu_is_what_the_driver_tells():
    assert gpu.ask_driver(Driver()) == ORIN
    assert gpu.ask_driver(Driver(count=0)) is None
    for name in ("cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName"):
        assert gpu.ask_driver(Driver(refuses=(name,))) is None


# trtexec alone


PROGRAM = f"""#!{sys.executable}
import json, sys
from pathlib import Path

sys.path.insert(0, {str(Path(__file__).parent)!r})
from trtexec_texts import SECTIONS, SUMMARY, log

options = dict(part.partition("=")[::2] for part in sys.argv[1:])
with open({{calls!r}}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
known = "--onnx --saveEngine --stronglyTyped --noTF32 --memPoolSize --minShapes --optShapes --maxShapes --skipInference"
known += " --loadEngine --loadInputs --shapes --warmUp --duration --iterations --exportOutput --useSpinWait --exportTimes --help"
for name in options:
    if name not in known.split():
        print(log(f"E Unknown option: {{{{name}}}}", end="FAILED"))
        sys.exit(1)
if {{said!r}}:
    print(log("E " + {{said!r}}, end="FAILED"))
    sys.exit(1)
if "--onnx" in options:
    Path(options["--saveEngine"]).write_bytes(Path(options["--onnx"]).read_bytes())
if "--exportOutput" in options:
    import numpy, onnxruntime
    name, _, shape = options["--shapes"].partition(":")
    images = numpy.fromfile(options["--loadInputs"].partition(":")[2], numpy.float32)
    images = images.reshape([int(side) for side in shape.split("x")])
    session = onnxruntime.InferenceSession(Path(options["--loadEngine"]).read_bytes())
    outputs = session.run(["scores", "boxes"], {{{{"images": images}}}})
    rows = [
        {{{{"name": n, "dimensions": "x".join(map(str, o.shape)), "values": o.ravel().tolist()}}}}
        for n, o in zip(["scores", "boxes"], outputs)
    ]
    Path(options["--exportOutput"]).write_text(json.dumps(rows))
if "--exportTimes" in options:
    first = len(Path({{calls!r}}).read_text().splitlines())
    row = {{{{"startComputeMs": 0, "endComputeMs": 1, "computeMs": first, "latencyMs": first + 0.5}}}}
    Path(options["--exportTimes"]).write_text(json.dumps([row] * 4))
print(log(SECTIONS + ("" if "--skipInference" in options else SUMMARY)))
"""


@pytest.fixture
def by_program(monkeypatch, tmp_path):
    """A function that puts a GPU and ``trtexec`` here, and no Python package; its calls are returned."""

    def put(said=""):
        monkeypatch.setattr(tensorrt, "find_gpu", lambda: ORIN)
        monkeypatch.setattr(engines, "find_gpu", lambda: ORIN)
        folder = tmp_path / "a folder with blanks"
        folder.mkdir(exist_ok=True)
        calls = folder / "calls.txt"
        program = folder / "trtexec"
        program.write_text(PROGRAM.format(calls=str(calls), said=said))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return lambda: [json.loads(line) for line in calls.read_text().splitlines()]

    return put


def test_the_program_builds_and_runs_where_there_is_no_package(home, tmp_path, by_program, images):
    calls = by_program()
    state = engines.engine_state("tensorrt")
    assert state.runs_here
    assert state.told.endswith("trtexec: fp32, fp16, int8 on Orin")
    convert(home / "int8.onnx", tmp_path / "model", "int8")
    asked = calls()[-1]
    assert asked[2:] == [
        "--stronglyTyped",
        "--noTF32",
        "--memPoolSize=workspace:1024",
        f"--minShapes=images:1x3x{SIDE}x{SIDE}",
        f"--optShapes=images:1x3x{SIDE}x{SIDE}",
        f"--maxShapes=images:16x3x{SIDE}x{SIDE}",
        "--skipInference",
    ]
    model = open_checked(tmp_path / "model", engine="tensorrt")
    expected = open_artifact(home / "int8.onnx").run(images)
    for got, want, unit in zip(model.run(images), expected, (SIDE, 1), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5 * unit)
    assert model.session.starts_processes
    assert json.loads((tmp_path / "model" / SIGNATURE).read_text())["tensorrt"] == "10.3.0"


def test_the_program_times_a_plan_by_the_median_of_medians(home, tmp_path, by_program):
    by_program()
    program = trtexec.find_program()
    convert(home / "model.onnx", tmp_path / "model", "fp32")  # two calls: the version, the plan
    session = trtexec.TrtexecSession(program, tmp_path / "model" / PLAN, {}, [], 16)
    figures = session.time(SIDE, runs=3)
    # the third to the fifth call
    assert (figures["compute_ms_p50"], figures["latency_ms_p50"]) == (4, 4.5)
    assert figures["n_queries"] == 12


def test_a_program_without_room_is_named_and_leaves_nothing(home, tmp_path, by_program, cache):
    by_program(said="[TRT] Cuda Runtime (out of memory)")
    with pytest.raises(ProgramError, match="version"):
        tensorrt.trtexec.program_version(Path(sys.executable))
    with pytest.raises(DeviceMemoryError, match="end what else holds memory"):
        convert(home / "model.onnx", tmp_path / "model", "fp32")
    assert not (tmp_path / "model").exists()
    assert list(cache.iterdir()) == []


def test_a_damaged_export_of_outputs_is_named(tmp_path):
    path = tmp_path / "outputs.json"
    for content in ("[", "[]", '[{"name": "boxes", "dimensions": "2x2", "values": [1]}]'):
        path.write_text(content)
        with pytest.raises(ArtifactError, match="use the Python package"):
            trtexec.read_outputs(path, ["boxes"], tmp_path / PLAN)


def test_texts_of_the_program_are_whole():
    assert log(SECTIONS + SUMMARY).count("&&&&") == 2
