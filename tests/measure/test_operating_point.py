"""Escape and overkill by hand; the threshold with the best F1."""

import json

import numpy as np
import onnx
import pytest
from measure_cases import make_box, make_truth, random_case
from onnx import TensorProto, helper, numpy_helper

from defectbench.base.records import read_record
from defectbench.data.pack import write_pack
from defectbench.deploy.artifact import make_metadata, set_metadata
from defectbench.measure.bootstrap import match
from defectbench.measure.operating_point import (
    best_f1_threshold,
    choose_operating_point,
    escape_at_overkill,
)

HERE, AWAY = [0, 0, 40, 40], [100, 100, 40, 40]


def test_defect_free_images_are_the_base_where_there_are_enough():
    truth = make_truth([[(0, HERE)], [(1, HERE)], *[[] for _ in range(20)]])
    results = [make_box(1, 0, HERE, 0.9), make_box(2, 1, HERE, 0.3)]
    results += [make_box(3, 0, AWAY, 0.5), make_box(4, 0, AWAY, 0.4)]
    found = escape_at_overkill(truth, results, overkill_rate=0.05)
    assert (found.overkill_base, found.n_overkill_base) == ("defect_free_images", 20)
    # One of 20 may be rejected, so the threshold is the second false alarm; 0.3 then escapes.
    assert (found.threshold, found.escape_rate_images, found.escape_rate_boxes) == (0.4, 0.5, 0.5)
    strict = escape_at_overkill(truth, results, overkill_rate=0.0)
    assert (strict.threshold, strict.escape_rate_images) == (0.5, 0.5)
    loose = escape_at_overkill(truth, results, overkill_rate=1.0)
    assert (loose.threshold, loose.escape_rate_images) == (0.0, 0.0)


def test_without_defect_free_images_false_alarms_on_all_images_count():
    truth = make_truth([[(0, HERE)], [(0, HERE), (0, AWAY)]])
    results = [make_box(1, 0, AWAY, 0.8), make_box(1, 0, HERE, 0.7), make_box(2, 1, HERE, 0.9)]
    found = escape_at_overkill(truth, results, overkill_rate=0.0)
    assert (found.overkill_base, found.n_overkill_base) == ("all_images", 2)
    assert found.threshold == 0.8
    # Image 2 is rejected (by a box of another class); one of its boxes and image 1 are not seen.
    assert found.escape_rate_images == 0.5
    assert found.escape_rate_boxes == pytest.approx(2 / 3)


def test_no_detection_lets_everything_pass_and_no_defect_gives_no_rate():
    assert escape_at_overkill(make_truth([[(0, HERE)]]), []).escape_rate_images == 1.0
    nothing = escape_at_overkill(make_truth([[]]), [])
    assert (nothing.escape_rate_images, nothing.n_defective_images) == (None, 0)


def test_escape_falls_as_overkill_rises():
    truth, results = random_case(4, images=60)
    rates = [
        escape_at_overkill(truth, results, rate).escape_rate_images for rate in (0, 0.1, 0.3, 1)
    ]
    assert rates == sorted(rates, reverse=True)


def test_best_f1_by_hand():
    truth = make_truth([[(0, HERE), (0, AWAY)]])
    results = [make_box(1, 0, HERE, 0.9), make_box(1, 0, AWAY, 0.6)]
    results += [make_box(1, 0, [60, 0, 9, 9], s) for s in (0.4, 0.2)]
    assert best_f1_threshold(match(truth, results)) == (0.5, 1.0)
    assert best_f1_threshold(match(truth, results[2:])) == (0.25, 0.0)


def test_equal_scores_are_taken_together():
    truth = make_truth([[(0, HERE)]])
    results = [make_box(1, 0, HERE, 0.5), make_box(1, 0, AWAY, 0.5)]
    threshold, f1 = best_f1_threshold(match(truth, results))
    assert (threshold, f1) == (0.25, pytest.approx(2 / 3))


PROVENANCE = dict.fromkeys(("method", "dataset", "protocol", "seed", "weights_sha256"), "0")
SIZE, BOX = 32, [4, 4, 20, 20]


def write_graph(path, nodes, outputs, constants, classes):
    """An artifact of a few nodes; ``images`` goes in."""
    shape = ["N", 3, SIZE, SIZE]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    ends = {"boxes": 4, "scores": len(classes), "probabilities": len(classes)}
    points = ["P"] if "boxes" in outputs else []
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *points, ends[n]])
        for n in outputs
    ]
    held = [numpy_helper.from_array(np.array(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "fixed", [images], infos, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    set_metadata(model, make_metadata(classes, SIZE, PROVENANCE))
    onnx.save(model, path)
    return path


def write_images(path, images, boxes, labels, classes, task):
    count = len(images)
    tensors = {
        "images": np.asarray(images, np.uint8),
        "boxes": np.asarray(boxes, np.float32),
        "labels": np.asarray(labels),
        "image_ids": np.arange(count) + 1,
        "scale": np.ones(count, np.float32),
        "pad": np.zeros((count, 2), np.float32),
        "original_size": np.full((count, 2), SIZE),
    }
    write_pack(path, tensors, {"classes": json.dumps(classes), "part": "val", "task": task})
    return path


def test_the_score_of_a_detector_is_the_files_own(tmp_path):
    """One box a picture, always of the first class: it finds both of these, and never the one of the second."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Slice", ["mean", "zero", "one", "axis"], ["first"]),
        helper.make_node("Unsqueeze", ["first", "axis"], ["cell"]),
        helper.make_node("Mul", ["cell", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "box"], ["boxes"]),
        helper.make_node("Add", ["none", "score"], ["scores"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "axis": np.array([1]),
        "nothing": np.float32(0),
        "box": np.array([[BOX]], np.float32),
        "score": np.array([[[0.75, 0.0]]], np.float32),
    }
    classes = ["pit", "scratch"]
    model = write_graph(tmp_path / "model.onnx", nodes, ["boxes", "scores"], constants, classes)
    truth = [[BOX, [0] * 4], [BOX, [24, 24, 30, 30]]]
    empty = np.zeros((2, 3, SIZE, SIZE))
    pack = write_images(tmp_path / "val", empty, truth, [[0, -1], [0, 1]], classes, "detection")
    choose_operating_point(model, pack, tmp_path / "point.json")
    figures = read_record(tmp_path / "point.json", "operating_point")["figures"]
    assert (figures["val_map50"], figures["val_map50_95"]) == (0.5, 0.5)
    assert (figures["n_images"], figures["threshold"]) == (2, 0.375)
    bare = write_images(tmp_path / "bare", empty, truth, [[-1, -1]] * 2, classes, "detection")
    choose_operating_point(model, bare, tmp_path / "point.json")
    figures = read_record(tmp_path / "point.json", "operating_point")["figures"]
    assert (figures["val_map50"], figures["val_map50_95"]) == (None, None)


def test_a_classifier_has_a_score_and_no_threshold(tmp_path):
    """It names the brightest channel; one of four pictures is of another class."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["probabilities"]),
    ]
    classes = ["red", "green", "blue"]
    model = write_graph(tmp_path / "model.onnx", nodes, ["probabilities"], {}, classes)
    images = np.zeros((4, 3, SIZE, SIZE))
    for row, channel in enumerate((0, 1, 2, 2)):
        images[row, channel] = 200
    whole = [[[0, 0, SIZE, SIZE]]] * 4
    labels = [[0], [1], [2], [0]]
    pack = write_images(tmp_path / "val", images, whole, labels, classes, "classification")
    choose_operating_point(model, pack, tmp_path / "point.json")
    figures = read_record(tmp_path / "point.json", "operating_point")["figures"]
    assert figures == {"threshold": None, "n_images": 4, "val_accuracy": 0.75}
