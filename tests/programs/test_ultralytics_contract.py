"""The contract of the methods that `yolo` trains: any number of classes, two sizes, every kind of truth.

The program is not imported, so what it does inside is seen from what it writes: its table, its exports, its detections.
Gradients of single parameters and the network before it is folded are not to be seen from outside.
"""

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array

from defectbench.base.methods import load_card
from defectbench.data.pack import pack
from defectbench.deploy.artifact import load_model, validate_artifact
from defectbench.measure.complexity import count_params
from gate.program_outputs import check_program_outputs, predict

from .yolo_command import ROOT, command_line

RULES = (ROOT / "models").glob("*/method.smk")
METHODS = sorted(p.parent.name for p in RULES if "train_by_ultralytics" in p.read_text())
CASES = [(1, 96), (6, 64), (10, 96), (20, 64)]
ONE_BATCH = (6, 64)  # the case that is trained on a single batch
PER_CLASS = 3 * (64 + 1)  # at each level a kernel of 1x1 over 64 features, and a bias
RAMP = 16  # fixed weights of the box decoding that the program counts and we do not
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


@pytest.fixture(scope="module")
def one_batch(train, tmp_path_factory):
    """Of a method: folder and table of 25 steps, each of all images in six classes."""
    made = {}

    def of(method):
        if method not in made:
            out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / method / "seed0"
            options = STEPS | {"lr0": 0.002} | STILL
            made[method] = out, train(out, method, *ONE_BATCH, options, epochs=25, batch=16)
        return made[method]

    return of


@pytest.fixture(scope="module", params=[(method, *case) for method in METHODS for case in CASES])
def cell(request, train, one_batch, tmp_path_factory):
    """Method, number of classes, size, folder and table: of one batch, or of 32 steps, one image each."""
    method, count, size = request.param
    if (count, size) == ONE_BATCH:
        return (*request.param, *one_batch(method))
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / method / "seed0"
    return (*request.param, out, train(out, method, count, size, STEPS, epochs=2, batch=1))


def test_builds_for_any_number_of_classes_at_two_sizes(cell):
    method, count, size, out, _ = cell
    info = validate_artifact(out / "model.onnx")
    assert (info.classes, info.size) == ([f"class {n}" for n in range(count)], size)
    assert info.points == sum((size // stride) ** 2 for stride in (8, 16, 32))
    golden = load_card(ROOT / "models" / method).golden
    expected = golden.params + (count - golden.nc) * PER_CLASS - RAMP
    assert count_params(load_model(out / "model.onnx")) == expected


def test_losses_are_finite_and_steps_leave_sound_weights(cell):
    """The program mends weights that are no numbers with zeros, so kernels of zeros are what a bad step leaves."""
    _, *case, out, table = cell
    assert len(table) == (25 if tuple(case) == ONE_BATCH else 2)
    assert all(math.isfinite(value) for row in table for value in row.values())
    assert all(row["train/box_loss"] > 0 and row["train/cls_loss"] > 0 for row in table)
    weights = [to_array(one) for one in load_model(out / "model.onnx").graph.initializer]
    kernels = [some for some in weights if some.ndim == 4]
    assert len(kernels) > 50
    assert all(some.any() and np.abs(some).max() < 1e3 for some in kernels)


@pytest.mark.parametrize("method", METHODS)
def test_loss_falls_on_one_batch(method, one_batch):
    """From its peak: as long as no box aligns with its truth, the sum of the targets that it is divided by is 1."""
    _, table = one_batch(method)
    for name in ("train/box_loss", "train/cls_loss", "train/dfl_loss"):
        losses = [row[name] for row in table]
        assert all(map(math.isfinite, losses))
        assert min(losses[-5:]) < 0.7 * max(losses[:20])


@pytest.mark.parametrize("method", METHODS)
def test_artifact_gives_the_detections_of_the_programs_own_weights(method, train, tmp_path):
    """Every box that `yolo predict` finds by its checkpoint is one of the artifact's, at batch 1 and at batch 3."""
    out = tmp_path / "tiny" / "clean" / method / "seed0"
    train(out, method, 2, 64, STEPS | STILL, epochs=15, batch=1)
    check_program_outputs(Path(os.path.relpath(out)), method, "train")  # as the gate names it
    work = out / "checkpoint"
    best = [rows[:, 5].max() for rows in predict(work, work / "data" / "images" / "train").values()]
    assert len(set(best[:3])) == 3
    assert max(best[:3]) > 0.2
    swap_two_classes(out / "model.onnx")
    with pytest.raises(AssertionError, match="no box of class"):
        check_program_outputs(out, method, "train")


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
