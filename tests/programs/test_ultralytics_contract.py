"""The contract of the methods that `yolo` trains: any number of classes, two sizes, every kind of truth.

The program is not imported, so what it does inside is seen from what it writes: its table, its exports, its detections.
Gradients of single parameters and the network before it is folded are not to be seen from outside.
"""

import csv
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

from defectbench.base.files import sha256_file
from defectbench.base.methods import load_card, load_method
from defectbench.base.published import PublishedWeights
from defectbench.base.records import read_record
from defectbench.data.pack import pack
from defectbench.deploy.artifact import load_model, validate_artifact
from defectbench.measure.complexity import count_params, declared_macs
from defectbench.weights.fetching import fetch_weights
from gate import program_outputs
from gate.program_outputs import check_program_outputs, predict

from .yolo_command import ROOT, command_line

RULES = (ROOT / "models").glob("*/method.smk")
METHODS = sorted(p.parent.name for p in RULES if "train_by_ultralytics" in p.read_text())
CASES = [
    (1, 96),
    (10, 96),
    (20, 64),
]  # further classes and sides: that one training has two classes at 64 px
# An import of the program takes longer than a short training: each method is trained once and all else asked of that,
# and two of them further for other numbers of classes
BY_CASES = ["yolov8n_ultralytics", "yolov5n_ultralytics"]
PER_CLASS = 3 * (64 + 1)  # at each level a kernel of 1x1 over 64 features, and a bias
RAMP = 16  # fixed weights of the box decoding that the program counts and we do not
WITHOUT_RAMP = {"yolo26n_ultralytics"}
# a step for each batch, from the first one on
STEPS = {"nbs": 1, "warmup_epochs": 0, "optimizer": "AdamW", "lr0": 0.001}
# one batch, the same pixels and boxes each time
STILL = dict.fromkeys(("mosaic", "scale", "translate", "fliplr", "hsv_h", "hsv_s", "hsv_v"), 0.0)


@pytest.fixture(scope="module")
def train(dataset, crowd, run):
    """Train in ``count`` classes at ``size`` pixels; returns the rows of the program's table."""

    def train(out, method, count, size, options, **told):
        crowd(dataset)
        path = dataset / "annotations.json"
        content = json.loads(path.read_text())
        content["categories"] = [{"id": n, "name": f"class {n}"} for n in range(count)]
        boxes = [{**box, "category_id": box["id"] % count} for box in content["annotations"]]
        path.write_text(json.dumps({**content, "annotations": boxes}))
        for part in ("train", "val"):
            file = dataset / "clean" / "split0" / f"{part}@{size}.safetensors"
            pack(dataset, "clean", part, size, file)
        changes = [f"options.{name}={value}" for name, value in options.items()]
        network = method.removesuffix("_ultralytics")
        made = run(command_line(dataset, out, network, changes, packed=size, **told))
        assert made.returncode == 0, made.stderr
        with (out / "checkpoint" / "run" / "results.csv").open() as table:
            return [{k.strip(): float(v) for k, v in row.items()} for row in csv.DictReader(table)]

    return train


@pytest.fixture(scope="module", params=[(method, *case) for method in BY_CASES for case in CASES])
def cell(request, train, tmp_path_factory):
    """Method, number of classes, size, folder and table of 32 steps, one image each."""
    method, count, size = request.param
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / method / "seed0"
    return (*request.param, out, train(out, method, count, size, STEPS, epochs=2, batch=1))


def test_builds_for_any_number_of_classes_at_two_sizes(cell):
    method, count, size, out, _ = cell
    info = validate_artifact(out / "model.onnx")
    assert (info.classes, info.size) == ([f"class {n}" for n in range(count)], size)
    assert info.points == sum((size // stride) ** 2 for stride in (8, 16, 32))
    assert count_params(load_model(out / "model.onnx")) == known_params(method, count)


def known_params(method, count):
    """Parameters for a number of classes, by the card."""
    golden = load_card(ROOT / "models" / method).golden
    ramp = 0 if method in WITHOUT_RAMP else RAMP
    return golden.params + (count - golden.nc) * PER_CLASS - ramp


def test_losses_are_finite_and_steps_leave_sound_weights(cell):
    """The program mends weights that are no numbers with zeros, so kernels of zeros are what a bad step leaves."""
    *_, out, table = cell
    assert len(table) == 2
    check_soundness(out, table)


def check_soundness(out, table):
    """Finite figures and kernels."""
    assert all(math.isfinite(value) for row in table for value in row.values())
    assert all(row["train/box_loss"] > 0 and row["train/cls_loss"] > 0 for row in table)
    weights = [to_array(one) for one in load_model(out / "model.onnx").graph.initializer]
    kernels = [some for some in weights if some.ndim == 4]
    assert len(kernels) > 50
    assert all(some.any() and np.abs(some).max() < 1e3 for some in kernels)


@pytest.fixture(scope="module", params=METHODS)
def learnt(request, train, tmp_path_factory):
    """Method, folder and table of ten epochs of a step for each image, in two classes, the pixels as they are."""
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / request.param / "seed0"
    options = STEPS | STILL | {"lr0": 0.002}
    return request.param, out, train(out, request.param, 2, 64, options, epochs=10, batch=1)


def test_one_training_keeps_the_contract(learnt):
    """Counts of the card to the unit, at two classes; sound weights; losses that fall."""
    method, out, table = learnt
    info = validate_artifact(out / "model.onnx")
    assert (info.classes, info.size, info.points) == (["class 0", "class 1"], 64, 64 + 16 + 4)
    once = method in WITHOUT_RAMP
    assert info.metadata.get("suppression", "nms") == ("none" if once else "nms")
    graph = load_model(out / "model.onnx")
    assert count_params(graph) == known_params(method, 2)
    golden, counts = load_card(ROOT / "models" / method).golden, declared_macs(graph, 64)
    # convolutions grow as the places, 100 times as many at 640 px; attention as pairs of places
    places = 100 * (64 + 16 + 4)
    macs = 100 * counts.convolutions + 100**2 * counts.products + (golden.nc - 2) * 64 * places
    assert macs == round(golden.macs_m[640] * 1e6)
    check_soundness(out, table)
    for name in ("box", "cls"):
        losses = [row[f"train/{name}_loss"] for row in table]
        assert min(losses[-3:]) < 0.8 * max(losses[:4])


def test_the_artifact_of_that_training_gives_the_programs_detections(learnt, monkeypatch):
    """Every box that `yolo predict` finds; not those of a file whose classes are swapped."""
    method, out, _ = learnt
    work = out / "checkpoint"
    found = predict(work, work / "data" / "images" / "train")
    best = [rows[:, 5].max() for rows in found.values()]
    assert len(set(best[:3])) == 3
    assert max(best[:3]) > 0.05
    monkeypatch.setattr(program_outputs, "predict", lambda *_: found)
    check_program_outputs(Path(os.path.relpath(out)), method, "train")  # as the gate names it
    swap_two_classes(out / "model.onnx")
    with pytest.raises(AssertionError, match="no box of class"):
        check_program_outputs(out, method, "train")


@pytest.mark.parametrize("learnt", ["yolo11n_ultralytics"], indirect=True)
def test_a_training_starts_from_a_file_that_the_program_alone_opens(learnt, dataset, run, tmp_path):
    """With a rate of zero the kernels that predict boxes stay what they were, to the bit; other classes are fresh."""
    method, known, _ = learnt
    start = fetched(method, known / "checkpoint" / "run" / "weights" / "best.pt", tmp_path)
    rename_classes(dataset, ["wide", "tall", "odd"])
    out = tmp_path / "tiny" / "clean" / f"{method}+from_noise" / "seed0"
    still = STEPS | STILL | {"optimizer": "SGD", "lr0": 0.0}
    changes = [f"options.{name}={value}" for name, value in still.items()]
    command = command_line(dataset, out, method.removesuffix("_ultralytics"), changes, batch=16)
    made = run([*command, f"--start={start}"])
    assert made.returncode == 0, made.stderr
    record = read_record(out / "train.json", "train")
    told = {"name": "noise", "data": "noise", "licence": "AGPL-3.0", "sha256": sha256_file(start)}
    taken = record["start"].pop("n_tensors_loaded"), record["start"].pop("n_tensors")
    assert record["start"] == told
    assert record["inputs"]["start"]["sha256"] == told["sha256"]
    assert "pretrained" not in record["recipe"]
    # kernel and bias of the classes at each of three levels
    assert taken[1] - taken[0] == 2 * 3
    before, after = (box_kernels(folder / "model.onnx") for folder in (known, out))
    assert len(before) == 3
    assert all(np.array_equal(before[name], after[name]) for name in before)


def fetched(method, file, folder):
    """The file as published weights of a card, got from a folder of this machine."""
    loaded = load_method(method, ROOT / "models")
    block = {"data": "noise", "nc": 2, "size": 64, "source": "a test", "licence": "AGPL-3.0"}
    block["sha256"] = {".pt": sha256_file(file)}
    weights = {"noise": PublishedWeights.model_validate(block)}
    card = loaded.card.model_copy(update={"weights": weights})
    fetch_weights(replace(loaded, card=card), "noise", folder / "start", file.parent)
    assert not (folder / "start" / "weights.safetensors").exists()
    return folder / "start" / "weights.pt"


def rename_classes(dataset, names):
    """Give the tiny dataset other classes, and pack it again."""
    path = dataset / "annotations.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": n, "name": name} for n, name in enumerate(names)]
    path.write_text(json.dumps(content))
    for part in ("train", "val"):
        pack(dataset, "clean", part, 64, dataset / "clean" / "split0" / f"{part}@64.safetensors")


def box_kernels(path):
    """Kernels that predict the sides of boxes, by their names in the program."""
    graph = load_model(path).graph
    pattern = re.compile(r"cv2\.\d\.2\.weight$")
    return {one.name: to_array(one) for one in graph.initializer if pattern.search(one.name)}


def swap_two_classes(path):
    """Let the file give the scores of its classes in the other order."""
    model = onnx.load(path)
    (last,) = [node for node in model.graph.node if "scores" in node.output]
    last.output[list(last.output).index("scores")] = "scores_before"
    order = onnx.numpy_helper.from_array(np.array([1, 0]), "order")
    model.graph.initializer.append(order)
    gather = onnx.helper.make_node("Gather", ["scores_before", "order"], ["scores"], axis=2)
    model.graph.node.append(gather)
    onnx.save(model, path)
