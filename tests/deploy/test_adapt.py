"""The adapter changes the ends of a graph and not one figure."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from defectbench.base.errors import ArtifactError
from defectbench.deploy.adapt import adapt_centre_form, adapt_end_to_end, adapt_signature
from defectbench.deploy.artifact import load_model
from defectbench.deploy.nms import strongest

PROVENANCE = {
    "method": "m",
    "dataset": "d",
    "protocol": "clean",
    "seed": 0,
    "weights_sha256": "0" * 64,
}
SIZE, CLASSES = 32, ["a", "b", "c"]
POINTS = 16 + 4 + 1


def foreign(path, rows=7, outputs=1):
    """A graph whose output [N, rows, P] depends on the image alone."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.random((3, rows * POINTS), dtype=np.float32) * 9, "weight")
    shape = numpy_helper.from_array(np.array([-1, rows, POINTS], np.int64), "shape")
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["output0"]),
        helper.make_node("Identity", ["output0"], ["output1"]),
    ]
    out = [
        helper.make_tensor_value_info(f"output{n}", TensorProto.FLOAT, ["batch", rows, POINTS])
        for n in range(outputs)
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    graph = helper.make_graph(nodes, "foreign", [image], out, [weight, shape, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [1, 3])
def test_figures_are_those_of_the_export(tmp_path, batch):
    raw = foreign(tmp_path / "raw.onnx")
    adapt_centre_form(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    images = np.random.default_rng(1).random((batch, 3, SIZE, SIZE), dtype=np.float32)
    rows = onnxruntime.InferenceSession(raw).run(["output0"], {"x": images})[0].transpose(0, 2, 1)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    boxes, scores = session.run(["boxes", "scores"], {"images": images})
    centre, sides = rows[..., :2], rows[..., 2:4]
    half = sides * np.float32(0.5)
    np.testing.assert_array_equal(boxes, np.concatenate((centre - half, centre + half), -1))
    np.testing.assert_array_equal(scores, rows[..., 4:])


@pytest.mark.parametrize(
    ("rows", "outputs", "field"), [(9, 1, "output rows"), (7, 2, "inputs and outputs")]
)
def test_other_exports_are_refused(tmp_path, rows, outputs, field):
    raw = foreign(tmp_path / "raw.onnx", rows, outputs)
    with pytest.raises(ArtifactError) as caught:
        adapt_centre_form(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    assert caught.value.field == field
    assert not (tmp_path / "model.onnx").exists()


def signed(path):
    """A graph with the artifact's ends and a note of the machine it was made on."""
    model = onnx.load(foreign(path, rows=7))
    model.graph.input[0].name = model.graph.node[0].input[0] = "images"
    sizes = numpy_helper.from_array(np.array([4, 3], np.int64), "sizes")
    model.graph.initializer.append(sizes)
    nodes = [
        helper.make_node("Transpose", ["output0"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Split", ["rows", "sizes"], ["boxes", "scores"], axis=2),
    ]
    del model.graph.node[-1], model.graph.output[:]
    model.graph.node.extend(nodes)
    for name, last in (("boxes", 4), ("scores", 3)):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", POINTS, last])
        model.graph.output.append(value)
    model.graph.node[0].metadata_props.add(key="stack", value="/home/someone/net.py")
    model.doc_string = "/home/someone"
    onnx.save(model, path)
    return path


def test_an_export_with_our_ends_keeps_its_figures_and_loses_its_origin(tmp_path):
    raw = signed(tmp_path / "raw.onnx")
    info = adapt_signature(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    assert (info.classes, info.size, info.points) == (CLASSES, SIZE, POINTS)
    images = np.random.default_rng(1).random((3, 3, SIZE, SIZE), dtype=np.float32)
    for got, want in zip(
        onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"images": images}),
        onnxruntime.InferenceSession(raw).run(None, {"images": images}),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
    assert b"someone" in raw.read_bytes()
    assert b"someone" not in (tmp_path / "model.onnx").read_bytes()


def test_an_export_with_other_ends_is_refused(tmp_path):
    raw = foreign(tmp_path / "raw.onnx")
    with pytest.raises(ArtifactError):
        adapt_signature(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    assert not (tmp_path / "model.onnx").exists()


TAKEN = 5


def choosing(path, shares=(4, 3), largest="ReduceMax"):
    """A graph that gives its best boxes itself, [N, 5, 6]: corners, score, class."""
    model = onnx.load(foreign(path))
    constants = {
        "shares": shares,
        "k": [TAKEN],
        "last": [-1],
        "one": [1],
        "two": [2],
        "classes": [3],
        "wide": [1, 1, 4],
        "narrow": [1, 1, 3],
    }
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    steps = [
        ("Transpose", ["output0"], ["rows"], {"perm": [0, 2, 1]}),
        ("Split", ["rows", "shares"], ["corners", "chances"], {"axis": 2}),
        (largest, ["chances", "last"], ["best"], {"keepdims": 0}),
        ("TopK", ["best", "k"], ["_", "points"], {"axis": 1}),
        ("Unsqueeze", ["points", "two"], ["column"], {}),
        ("Tile", ["column", "narrow"], ["to_chances"], {}),
        ("GatherElements", ["chances", "to_chances"], ["of_points"], {"axis": 1}),
        ("Flatten", ["of_points"], ["pairs_of"], {}),
        ("TopK", ["pairs_of", "k"], ["scores", "numbers"], {"axis": 1}),
        ("Div", ["numbers", "classes"], ["place"], {}),
        ("Mod", ["numbers", "classes"], ["class"], {}),
        ("GatherElements", ["points", "place"], ["point"], {"axis": 1}),
        ("Unsqueeze", ["point", "two"], ["at"], {}),
        ("Tile", ["at", "wide"], ["to_corners"], {}),
        ("GatherElements", ["corners", "to_corners"], ["boxes"], {"axis": 1}),
        ("Unsqueeze", ["scores", "two"], ["chance"], {}),
        ("Cast", ["class"], ["number"], {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["number", "two"], ["label"], {}),
        ("Concat", ["boxes", "chance", "label"], ["answer"], {"axis": 2}),
    ]
    del model.graph.node[-1], model.graph.output[:]
    model.graph.node.extend(helper.make_node(*ends, **told) for *ends, told in steps)
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", TAKEN, 6])
    model.graph.output.append(answer)
    onnx.save(model, path)
    return path


def test_a_graph_that_chooses_its_boxes_is_cut_before_its_choice(tmp_path):
    """The suite's own choice among the outputs is the graph's."""
    raw = choosing(tmp_path / "raw.onnx")
    info = adapt_end_to_end(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    assert (info.points, info.classes, info.metadata["suppression"]) == (POINTS, CLASSES, "none")
    kinds = {node.op_type for node in load_model(tmp_path / "model.onnx").graph.node}
    assert not kinds & {"TopK", "GatherElements", "Concat"}
    images = np.random.default_rng(1).random((3, 3, SIZE, SIZE), dtype=np.float32)
    (answers,) = onnxruntime.InferenceSession(raw).run(None, {"x": images})
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for answer, boxes, scores in zip(
        answers, *session.run(["boxes", "scores"], {"images": images}), strict=True
    ):
        assert scores.shape == (POINTS, 3)
        chosen, ranked, labels = strongest(boxes, scores, 0.0, TAKEN)
        np.testing.assert_array_equal(
            np.column_stack((chosen, ranked, labels)).astype(np.float32), answer
        )


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"shares": (5, 2)}, "boxes and scores"), ({"largest": "ReduceMin"}, "choice of boxes")],
)
def test_another_choice_is_refused(tmp_path, changed, field):
    raw = choosing(tmp_path / "raw.onnx", **changed)
    with pytest.raises(ArtifactError) as caught:
        adapt_end_to_end(raw, tmp_path / "model.onnx", SIZE, CLASSES, PROVENANCE)
    assert caught.value.field == field
    assert not (tmp_path / "model.onnx").exists()
