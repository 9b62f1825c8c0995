"""A model file is checked by one function, whichever verb is given it: what each refuses, all refuse."""

import json

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_predict import make_pack

from defectbench.base.engines import Form
from defectbench.base.errors import ArtifactError, DefectBenchError, MeasurementError, ProgramError
from defectbench.base.records import write_record
from defectbench.base.studies import LatencySettings
from defectbench.deploy import predict as predict_module
from defectbench.deploy.artifact import make_metadata, read_metadata, set_metadata
from defectbench.deploy.checked import open_checked
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.pictures import predict_pictures
from defectbench.deploy.predict import predict
from defectbench.deploy.quantise import quantise
from defectbench.measure.cell import Truth
from defectbench.measure.complexity import count
from defectbench.measure.forms import measure_form
from defectbench.measure.operating_point import choose_operating_point
from defectbench.measure.race import entries_of, race

PROVENANCE = {"method": "m", "dataset": "d", "protocol": "clean", "seed": 0, "weights_sha256": "0"}


def race_cell(model, pack, out):
    inputs = {"model": model, "pack": pack}
    write_record(model.parent / "predictions.record.json", "predictions", {}, inputs)
    race(entries_of([model.parent]), LatencySettings())


def score_form(model, pack, out):
    truth = Truth(*(model.parent / name for name in ("annotations.json", "test.txt", "groups.csv")))
    measure_form(model.parent, Form("openvino"), pack, truth)


def predict_folder(model, pack, out):
    pictures = model.parent / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "plate.png"), np.zeros((8, 8, 3), np.uint8))
    predict_pictures(model, pictures, out)


VERBS = {
    "predict": predict,
    "predict-folder": predict_folder,
    "choose-threshold": choose_operating_point,
    "count": lambda model, pack, out: count(model, out),
    "race": race_cell,
    "quantise": quantise,
    "convert-model": lambda model, pack, out: convert_model(model, Form("ncnn"), out),
    "measure-form": score_form,
}


def outside(model, path):
    """Weights in a file beside it, as exporters write them by default."""
    onnx.save_model(
        model, path, save_as_external_data=True, location="model.onnx.data", size_threshold=16
    )


def of_one_engine(model, path):
    """An operator that onnxruntime alone has."""
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type, node.domain = "QuickGelu", "com.microsoft"
    onnx.save(model, path)


def fixed_batch(model, path):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, path)


def hidden_fixed_batch(model, path):
    """It declares a dynamic batch and runs with one image alone."""
    (last,) = [node for node in model.graph.node if "boxes" in node.output]
    last.output[0] = "any"
    shape = numpy_helper.from_array(np.array([1, -1, 4]), "one_image")
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Reshape", ["any", "one_image"], ["boxes"]))
    points = model.graph.output[0].type.tensor_type.shape.dim[1]
    points.dim_param = "P"
    onnx.save(model, path)


def old_opset(model, path):
    model.opset_import[0].version = 11
    onnx.save(model, path)


def no_provenance(model, path):
    kept = {k: v for k, v in read_metadata(model).items() if k in ("names", "size")}
    set_metadata(model, kept)
    onnx.save(model, path)


def other_outputs(model, path):
    model.graph.output[0].name, model.graph.output[1].name = "scores", "boxes"
    onnx.save(model, path)


def other_names(names):
    def change(model, path):
        set_metadata(model, read_metadata(model) | {"names": names})
        onnx.save(model, path)

    return change


def other_size(size):
    def change(model, path):
        set_metadata(model, read_metadata(model) | {"size": size})
        onnx.save(model, path)

    return change


BREACHES = [
    (outside, r"weights .*: got 'model\.onnx\.data'; weights lie outside the file"),
    (of_one_engine, "operator QuickGelu domain: got 'com.microsoft'"),
    (fixed_batch, "images batch: got 1"),
    (hidden_fixed_batch, "dynamic batch|run: got|boxes of 2 images"),
    (old_opset, "opset: got 11|content: got"),
    (no_provenance, "metadata method: got None"),
    (other_outputs, "outputs|content"),
    (other_names("pit"), "metadata"),
    (other_names("[]"), "metadata names"),
    (other_names('["pit", "pit"]'), "metadata names"),
    (other_names('["pit"]'), "scores axis 2: got 2"),
    (other_names("[" * 100_000), "metadata"),
    (other_size("0"), "metadata size: got 0"),
    (other_size("-32"), "metadata size: got -32"),
    (other_size("1e9"), "metadata"),
    (other_size("1000000000"), "metadata size"),
    (lambda model, path: path.write_bytes(b""), r"model\.onnx"),
    (lambda model, path: path.write_bytes(b"PK\x03\x04zip"), r"model\.onnx"),
    (lambda model, path: path.mkdir(), r"model\.onnx"),
]


@pytest.mark.parametrize(("change", "message"), BREACHES)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_it(artifact, tmp_path, verb, change, message):
    path, out = tmp_path / "model.onnx", tmp_path / "out.json"
    change(onnx.load(str(artifact)), path)
    pack = make_pack(tmp_path / "test@32.safetensors")
    with pytest.raises(DefectBenchError, match=message):
        VERBS[verb](path, pack, out)
    assert not out.exists()
    assert not [name for name in ("latency", "engines") if (tmp_path / name).exists()]
    assert not (tmp_path / "conversion.json").exists()


def classifier(path, axes=("N", 2), scale=1.0, task_names=("pit", "scratch")):
    """Two colours' means, by a scale, as two classes."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, 32])
    ends = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, list(axes))]
    held = {"axes": np.array([2, 3]), "two": np.array([0, 1]), "scale": np.float32(scale)}
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gather", ["mean", "two"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "scale"], ["probabilities"]),
    ]
    weights = [numpy_helper.from_array(np.array(v), name) for name, v in held.items()]
    graph = helper.make_graph(nodes, "colours", [images], ends, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    set_metadata(made, make_metadata(list(task_names), 32, PROVENANCE))
    onnx.save(made, str(path))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": (1, 2)}, "probabilities batch: got 1"),
        ({"axes": ("N", 3)}, "probabilities axis 1: got 3"),
        (
            {"axes": ("N", "C"), "task_names": ("a", "b", "c")},
            r"probabilities of 2 images: got \[2, 2\]",
        ),
    ],
)
def test_a_classifier_is_checked_as_well(tmp_path, changes, message):
    with pytest.raises(ArtifactError, match=message):
        open_checked(classifier(tmp_path / "model.onnx", **changes))


def test_good_files_open(artifact, tmp_path):
    assert open_checked(artifact).task == "detection"
    assert open_checked(classifier(tmp_path / "model.onnx")).task == "classification"


def test_logits_are_no_probabilities(artifact, tmp_path):
    model = onnx.load(str(artifact))
    last = next(node for node in model.graph.node if "scores" in node.output)
    assert last.op_type == "Sigmoid"
    last.op_type = "Identity"
    onnx.save(model, tmp_path / "model.onnx")
    pack = make_pack(tmp_path / "test@32.safetensors")
    with pytest.raises(ArtifactError, match="put the sigmoid or softmax into the graph"):
        predict(tmp_path / "model.onnx", pack, tmp_path / "out.json")


def test_weights_hidden_in_a_node_are_seen(artifact, tmp_path):
    model = onnx.load(str(artifact))
    held = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[4], data_location=1)
    held.external_data.add(key="location", value="../secret.bin")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=held))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match=r"got '\.\./secret\.bin'; weights lie outside"):
        open_checked(tmp_path / "model.onnx")


def test_a_file_that_is_changed_while_it_is_used_is_named(artifact, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(artifact.read_bytes())
    pack = make_pack(tmp_path / "test@32.safetensors")
    run = predict_module.predict_pack

    def swap(*arguments):
        yield from run(*arguments)
        path.write_bytes(artifact.read_bytes() + b"\x00")

    monkeypatch.setattr(predict_module, "predict_pack", swap)
    with pytest.raises(MeasurementError, match=r"model\.onnx: sha256: got .* when it was opened"):
        predict(path, pack, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_all_files_of_a_race_that_fail_are_named_before_one_is_timed(artifact, tmp_path):
    pack = make_pack(tmp_path / "test@32.safetensors")
    cells = []
    for name in ("first", "second"):
        cell = tmp_path / name / "seed0"
        cell.mkdir(parents=True)
        no_provenance(onnx.load(str(artifact)), cell / "model.onnx")
        inputs = {"model": cell / "model.onnx", "pack": pack}
        write_record(cell / "predictions.record.json", "predictions", {}, inputs)
        cells.append(cell)
    with pytest.raises(ProgramError, match=r"first/seed0/model\.onnx: race: .*second/seed0/model"):
        race(entries_of(cells), LatencySettings())


def test_a_count_in_the_metadata_that_is_no_number_is_named(artifact, tmp_path):
    model = onnx.load(str(artifact))
    set_metadata(model, read_metadata(model) | {"macs_fvcore": json.dumps("many")})
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(MeasurementError, match="metadata macs_fvcore"):
        count(tmp_path / "model.onnx", tmp_path / "out.json")
