"""Eight bits: what is rounded, what stays, and that every engine that reads the file answers alike."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.small_models import SIDE, write_images, write_model

from defectbench.base.errors import ArtifactError, DefectBenchError, PackError
from defectbench.deploy import quantise as quantise_module
from defectbench.deploy.artifact import validate_artifact
from defectbench.deploy.engines import load_engine
from defectbench.deploy.engines.openvino import read_unsigned
from defectbench.deploy.quantise import quantise
from defectbench.deploy.runtime import open_artifact


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("pack") / "train.safetensors")


@pytest.fixture(scope="module")
def quantised(model, train, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    quantise(model, train, path)
    return path


def test_the_middle_is_rounded_and_the_first_and_the_predicting_layer_are_not(quantised):
    record = json.loads((quantised.parent / "conversion.json").read_text())
    assert record["layers_float32"] == ["conv0", "conv3"]
    figures = record["figures"]
    assert (figures["n_layers_int8"], figures["n_layers_float32"]) == (2, 2)
    assert (figures["n_images"], figures["precision"]) == (6, "int8")
    assert set(record["inputs"]) == {"source", "pack", "model"}
    graph = onnx.load(str(quantised)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = [values for values in stored.values() if values.dtype == np.int8 and values.ndim == 4]
    assert len(weights) == 2
    assert all(np.abs(values.astype(int)).max() <= 64 for values in weights)  # 7 bits
    scales = [node.input[1] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert sorted(stored[name].size for name in scales) == [
        1,
        1,
        1,
        1,
        8,
        8,
    ]  # maps as a whole, weights by channel


def test_it_keeps_the_signature_and_says_what_it_is(quantised):
    info = validate_artifact(quantised)
    assert info.metadata["precision"] == "int8"
    assert (info.classes, info.size, info.metadata["method"]) == (["pit", "scratch"], SIDE, "four")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_every_engine_that_reads_it_answers_nearly_as_in_float32(model, quantised, engine):
    images = np.random.default_rng(2).random((2, 3, SIDE, SIDE), dtype=np.float32)
    boxes, scores = open_artifact(model).run(images)
    rounded = load_engine(engine, quantised, 1).run(images)
    np.testing.assert_allclose(rounded[0], boxes, atol=0.01 * SIDE)
    np.testing.assert_allclose(rounded[1], scores, atol=0.01)
    assert not np.array_equal(rounded[1], scores)


def test_equal_inputs_give_equal_bytes(model, train, quantised, tmp_path):
    quantise(model, train, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == quantised.read_bytes()


def test_openvino_reads_unsigned_activations_of_the_same_values(quantised):
    signed = onnx.load(str(quantised))
    unsigned = read_unsigned(signed)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in unsigned.graph.initializer}
    zeros = [stored[n.input[2]] for n in unsigned.graph.node if n.op_type == "QuantizeLinear"]
    assert zeros
    assert all(zero.dtype == np.uint8 and zero == 128 for zero in zeros)
    images = np.random.default_rng(3).random((2, 3, SIDE, SIDE), dtype=np.float32)

    def run(made):
        import onnxruntime

        session = onnxruntime.InferenceSession(made.SerializeToString())
        return session.run(None, {"images": images})

    for ours, theirs in zip(run(unsigned), run(signed), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * SIDE)


@pytest.mark.parametrize(
    ("part", "images", "message"),
    [
        ("test", 6, "part: got 'test'; calibrate with the training part"),
        ("val", 6, "part: got 'val'"),
        ("train", 0, "images: got 0; there is nothing to calibrate with"),
    ],
)
def test_no_other_part_calibrates(model, tmp_path, part, images, message):
    pack = write_images(tmp_path / "pack.safetensors", part, images)
    with pytest.raises(PackError, match=message):
        quantise(model, pack, tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack.safetensors"]


def test_a_calibration_that_fails_leaves_nothing(model, train, tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise MemoryError("out of memory")

    monkeypatch.setattr(quantise_module, "quantize_static", fails)
    with pytest.raises(DefectBenchError, match="quantisation: got 'out of memory'"):
        quantise(model, train, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_in_which_nothing_can_be_rounded_is_named(train, tmp_path):
    model = write_model(tmp_path / "two.onnx", depth=2)
    with pytest.raises(ArtifactError, match="layers with weights"):
        quantise(model, train, tmp_path / "model.onnx")


def test_the_verb_makes_it(model, train, tmp_path):
    from defectbench.cli import main

    told = ["--model", str(model), "--train", str(train), "--images", "2"]
    assert main(["quantise", *told, "--out", str(tmp_path / "model.onnx")]) == 0
    record = json.loads((tmp_path / "conversion.json").read_text())
    assert record["figures"]["n_images"] == 2
