"""A file that breaks the signature is refused by field and value."""

import json

import onnx
import pytest
from onnx import TensorProto, helper

from defectbench.base.errors import ArtifactError, ConfigError
from defectbench.deploy.artifact import set_metadata, validate_artifact
from defectbench.deploy.engines import load_engine
from defectbench.deploy.runtime import OnnxDetector


def build(
    images=("N", 3, 32, 32), boxes=("N", 8, 4), scores=("N", 8, 2), opset=18, names=None, **metadata
):
    """A graph that only declares shapes: identity through reshapes is never run."""
    value = helper.make_tensor_value_info
    names = names or ("images", "boxes", "scores")
    graph = helper.make_graph(
        [
            helper.make_node("Identity", [names[0]], [names[1]]),
            helper.make_node("Identity", [names[0]], [names[2]]),
        ],
        "declared",
        [value(names[0], TensorProto.FLOAT, images)],
        [value(names[1], TensorProto.FLOAT, boxes), value(names[2], TensorProto.FLOAT, scores)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    base = {"names": '["pit", "scratch"]', "size": "32", "method": "m", "dataset": "d"}
    base |= {"protocol": "clean", "seed": "0", "weights_sha256": "ab", "defectbench": "0.1.0"}
    set_metadata(model, {k: v for k, v in (base | metadata).items() if v})
    return model


def test_a_good_file_passes():
    info = validate_artifact("model.onnx", build())
    assert (info.classes, info.size, info.points) == (["pit", "scratch"], 32, 8)
    assert validate_artifact("model.onnx", build(suppression="none")).size == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opset": 16}, "opset: got 16"),
        ({"names": ("input", "boxes", "scores")}, r"inputs: got \['input'\]"),
        ({"names": ("images", "scores", "boxes")}, r"outputs: got \['scores', 'boxes'\]"),
        ({"images": (1, 3, 32, 32)}, "images batch: got 1"),
        ({"images": ("N", 1, 32, 32)}, "images axis 1: got 1"),
        ({"images": ("N", 3, 32, 64)}, "images axis 3: got 64"),
        ({"boxes": ("N", 8, 5)}, "boxes axis 2: got 5"),
        ({"boxes": ("N", 8)}, "boxes shape: got"),
        ({"scores": ("N", 9, 2)}, "scores axis 1: got 9"),
        ({"scores": ("N", 8, 3)}, "scores axis 2: got 3"),
        ({"size": "64"}, "images axis 2: got 32"),
        ({"size": ""}, "metadata size: got None"),
        ({"method": ""}, "metadata method: got None"),
        ({"seed": ""}, "metadata seed: got None"),
        ({"suppression": "soft"}, "metadata suppression: got 'soft'"),
    ],
)
def test_each_breach_is_named(changes, message):
    with pytest.raises(ArtifactError, match=message):
        validate_artifact("model.onnx", build(**changes))


@pytest.mark.parametrize("names", ["pit", json.dumps({"a": 1}), json.dumps([1, 2])])
def test_class_names_must_be_a_list_of_text(names):
    model = build()
    set_metadata(model, {p.key: p.value for p in model.metadata_props} | {"names": names})
    with pytest.raises(ArtifactError, match="metadata"):
        validate_artifact("model.onnx", model)


def test_truncated_missing_and_foreign_files_are_named(artifact, tmp_path):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(artifact.read_bytes()[:2000])
    for path in (cut, tmp_path / "none.onnx"):
        with pytest.raises(ArtifactError, match=path.name):
            validate_artifact(path)
        with pytest.raises(ArtifactError, match=path.name):
            OnnxDetector(path)
    pointer = tmp_path / "pointer.onnx"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ArtifactError, match="get the file itself: git lfs pull"):
        validate_artifact(pointer)
    foreign = tmp_path / "foreign.onnx"
    model = onnx.load(str(artifact))
    del model.metadata_props[:]
    foreign.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="outputs and metadata"):
        OnnxDetector(foreign)


def test_engines_are_named(artifact):
    assert load_engine("onnxruntime", artifact, 1).classes == ["pit", "scratch"]
    with pytest.raises(ConfigError, match="engine: got 'abacus'; name one of onnxruntime"):
        load_engine("abacus", artifact, 1)
