"""The gate sees each planted fault, by the assertion that is made for it, and lets a sound cell pass."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tests.runs import run_training

import cell_spread
from defectbench.base.compressions import JOINT
from defectbench.base.methods import load_method, override_recipe
from defectbench.base.planning import plan_study
from defectbench.base.studies import load_study
from defectbench.data.letterbox import letterbox
from defectbench.data.pack import write_pack
from defectbench.data.synthetic import CLASSES, draw_crops
from defectbench.deploy.export_run import export_run
from defectbench.measure.operating_point import choose_operating_point
from defectbench.measure.validation import make_validator
from gate.cells import AGREEMENT, TrainedCell, check_export, check_learnt, read_cell
from gate.floors import (
    CELLS,
    Floor,
    false_alarm,
    floors_of,
    made_floors,
    read_floors,
    read_spread,
    unmeasured,
)
from gate.outputs import check_outputs
from seed_spread import cells_of, row_of

ROOT = Path(__file__).parents[2]
METHOD, SIZE, IMAGES, BATCH, EPOCHS = "nanodet_m", 64, 12, 6, 40
RECIPE = {
    "optimizer.name": "adamw",
    "optimizer.lr": 0.004,
    "schedule.warmup_steps": 10,
    "schedule.per": "step",
    "augmentation.scale": [1.0, 1.0],
    "augmentation.translate": 0.0,
    "ema.short_run_share": 0.05,
    "ema.decay": 0.99,
    "ema.tau": 10,
    "validate_every": EPOCHS,
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Crops of the embedded set; a network may learn them by heart, since only its file is in question."""
    crops = [crop for crop in draw_crops(seed=0, images=40) if crop.boxes][:IMAGES]
    views = [letterbox(crop.pixels[..., None].repeat(3, 2), SIZE) for crop in crops]
    scale = np.array([scale for _, scale, _ in views], np.float32)
    most = max(len(crop.boxes) for crop in crops)
    boxes = np.zeros((len(crops), most, 4), np.float32)
    labels = np.full((len(crops), most), -1, np.int64)
    for row, crop in enumerate(crops):
        for column, (name, *corners) in enumerate(crop.boxes):
            boxes[row, column] = np.array(corners) * scale[row]
            labels[row, column] = CLASSES.index(name)
    tensors = {
        "images": np.stack([view for view, _, _ in views]).transpose(0, 3, 1, 2),
        "boxes": boxes,
        "labels": labels,
        "image_ids": np.arange(len(crops)) + 1,
        "scale": scale,
        "pad": np.zeros((len(crops), 2), np.float32),
        "original_size": np.array([crop.pixels.shape for crop in crops]),
    }
    path = tmp_path_factory.mktemp("pack") / f"train@{SIZE}.safetensors"
    metadata = {
        "classes": json.dumps(CLASSES),
        "protocol": "random",
        "part": "train",
        "dataset": "demo-steel",
    }
    write_pack(path, tensors, metadata)
    return path


def run(pack, folder, epochs=EPOCHS, **changes):
    """A cell: a network trained in seconds, its export, and its score on the pack."""
    method = load_method(METHOD, ROOT / "models")
    method = replace(method, recipe=override_recipe(method.recipe, RECIPE | changes))
    run_training(pack, method, folder, validator=make_validator(pack), epochs=epochs, batch=BATCH)
    export_run(folder, method)
    choose_operating_point(folder / "model.onnx", pack, folder / "operating_point.json")
    return folder


@pytest.fixture(scope="module")
def sound(pack, tmp_path_factory):
    """A cell that has learnt, its file as it was exported."""
    return run(pack, tmp_path_factory.mktemp("sound"))


@pytest.fixture
def faulty(sound, pack, tmp_path):
    """Plants a fault in the graph of a copy of the sound cell and scores it as the workflow does."""

    def plant(fault):
        folder = tmp_path / "cell"
        shutil.copytree(sound, folder)
        model = onnx.load(folder / "model.onnx")
        fault(model.graph)
        onnx.save(model, folder / "model.onnx")
        choose_operating_point(folder / "model.onnx", pack, folder / "operating_point.json")
        return cell(folder)

    return plant


def cell(folder):
    return read_cell(folder, METHOD, "detection", "engine")


def behind(graph, output, make):
    """Put a node between an output of the graph and what the network gives there."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == output:
                    names[place] = f"{output}_before"
    graph.node.append(make(f"{output}_before", output))


def zero_layer(share):
    """Zeroes the convolution at a share of the way through the network; scores show the first one, outputs each."""

    def zero(graph):
        kernels = {k.name: k for k in graph.initializer if len(k.dims) == 4}
        used = [node.input[1] for node in graph.node if node.op_type == "Conv"]
        kernel = kernels[used[round(share * (len(used) - 1))]]
        kernel.CopyFrom(
            numpy_helper.from_array(np.zeros(tuple(kernel.dims), np.float32), kernel.name)
        )

    return zero


def halve_scores(graph):
    graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    behind(graph, "scores", lambda i, o: helper.make_node("Mul", [i, "half"], [o]))


def swap_two_classes(graph):
    order = np.arange(len(CLASSES))
    order[[0, 4]] = order[[4, 0]]
    graph.initializer.append(numpy_helper.from_array(order, "order"))
    behind(graph, "scores", lambda i, o: helper.make_node("Gather", [i, "order"], [o], axis=2))


def shift_boxes(graph):
    graph.initializer.append(numpy_helper.from_array(np.array(0.1 * SIZE, np.float32), "shift"))
    behind(graph, "boxes", lambda i, o: helper.make_node("Add", [i, "shift"], [o]))


def test_a_sound_cell_passes(sound):
    scored = cell(sound)
    assert scored.trained > 0.15
    check_export(scored)
    check_learnt(scored, unmeasured(METHOD, "detection"), twice_prior=0.1)
    assert abs(scored.artifact - scored.trained) < AGREEMENT["detection"] / 5


@pytest.mark.parametrize(
    "fault",
    [
        *(zero_layer(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        swap_two_classes,
        shift_boxes,
        halve_scores,
    ],
)
def test_outputs_show_every_fault_of_the_export(sound, tmp_path, fault):
    folder = tmp_path / "cell"
    shutil.copytree(sound, folder)
    check_outputs(folder, METHOD, ROOT / "models")
    model = onnx.load(folder / "model.onnx")
    fault(model.graph)
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(AssertionError, match="the export is not what was trained"):
        check_outputs(folder, METHOD, ROOT / "models")


@pytest.mark.parametrize("fault", [zero_layer(0.0), swap_two_classes, shift_boxes])
def test_a_fault_in_the_export_is_caught_whatever_the_floor(faulty, fault):
    scored = faulty(fault)
    with pytest.raises(AssertionError, match="the export is not what was trained"):
        check_export(scored)


def test_a_method_that_does_not_learn_falls_below_every_floor(pack, tmp_path):
    # a rate of 0 is refused by the recipe itself; at this one no weight moves
    scored = cell(run(pack, tmp_path, epochs=1, **{"optimizer.lr": 1e-12}))
    check_export(scored)
    floors = read_floors(ROOT / ".ci" / "floors.csv").values()
    for floor in (
        floor for floor in floors if floor.floor
    ):  # of the others twice the prior is asked, below
        with pytest.raises(AssertionError, match="has not learnt"):
            check_learnt(scored, floor, twice_prior=0.004)
    with pytest.raises(AssertionError, match="has not learnt"):
        check_learnt(scored, unmeasured(METHOD, "detection"), twice_prior=0.02)


def rows(task, recipe="r", **scores):
    return [
        {"task": task, "method": method, "recipe_sha256": recipe, "val_score": str(value)}
        for method, values in scores.items()
        for value in values
    ]


def test_floors_by_hand():
    """Pooled relative deviation: squares 0.08 + 0.1633 over 2 + 2; the steady method takes it, the other has its own."""
    steady, restless = floors_of(rows("detection", a=(0.5, 0.6, 0.4), b=(0.7, 0.9, 0.5)))
    pooled = ((0.08 + 2 * (2 / 7) ** 2) / 4) ** 0.5
    assert (steady.n, steady.mean, steady.own_sd) == (3, 0.5, 0.1)
    assert steady.sd == pytest.approx(0.5 * pooled, abs=5e-5)
    assert steady.floor == pytest.approx(0.5 - 2 * pooled, abs=5e-5)
    assert (restless.mean, restless.sd, restless.own_sd) == (0.7, 0.2, 0.2)
    assert restless.floor == 0.0  # never below nothing
    close = floors_of(rows("detection", a=(0.5, 0.51, 0.49)))[0]
    assert close == Floor("a", "detection", 3, 0.5, 0.01, 0.01, 0.46)


def test_each_task_has_a_deviation_of_its_own():
    found = floors_of([*rows("detection", a=(0.5, 0.5)), *rows("classification", b=(0.4, 0.8))])
    assert {floor.method: floor.sd for floor in found} == {"a": 0.0, "b": 0.2828}


def test_one_run_makes_no_floor():
    with pytest.raises(ValueError, match="one run says nothing of spread: a"):
        floors_of(rows("detection", a=(0.5,)))


def test_runs_by_two_recipes_make_no_floor():
    runs = [*rows("detection", a=(0.5, 0.6)), *rows("detection", recipe="other", a=(0.4,))]
    with pytest.raises(ValueError, match="runs of a are by two recipes"):
        floors_of(runs)


def test_chance_of_a_false_alarm():
    """Of one floor from many runs it is the normal tail beyond 4; it grows with their number and falls with the runs."""
    many = Floor("a", "detection", 10**6, 0.5, 0.01, 0.01, 0.46)
    assert false_alarm([many]) == pytest.approx(3.167e-5, rel=1e-2)
    few = [Floor(name, "detection", 3, 0.5, 0.01, 0.01, 0.46) for name in "abcdefgh"]
    assert false_alarm([many]) < false_alarm(few[:1]) / 10
    assert false_alarm(few) < 8 * float(false_alarm(few[:1]))
    assert 0.001 < false_alarm(few) < 0.05


def test_bounds_are_inclusive():
    edge = TrainedCell("a", "detection", "engine", 0.5, 0.5 + AGREEMENT["detection"] - 1e-9)
    check_export(edge)
    check_learnt(edge, Floor("a", "detection", 3, 0.6, 0.0, 0.0, edge.artifact), 0.0)
    with pytest.raises(
        AssertionError, match=r"a has not learnt: val_map50_95 of model\.onnx is 0\.510"
    ):
        check_learnt(edge, unmeasured("a", "detection"), twice_prior=0.52)


def test_floors_are_those_of_the_measured_spread(monkeypatch):
    monkeypatch.chdir(ROOT)
    methods, cells = made_floors()
    assert read_floors() == {floor.method: floor for floor in [*methods, *cells]}


def test_cells_take_the_deviation_of_all_runs_of_their_task_and_change_no_other_floor():
    """Pooled over both: squares of 0.2 and 0.2 of the methods, none of the cell, over 2 + 1."""
    methods = rows("detection", a=(0.5, 0.6, 0.4))
    cells = rows("detection", b=(0.3, 0.3))
    (floor,) = floors_of(cells, beside=methods)
    pooled = (0.08 / 3) ** 0.5
    assert (floor.method, floor.n, floor.own_sd) == ("b", 2, 0.0)
    assert floor.sd == pytest.approx(0.3 * pooled, abs=5e-5)
    assert floor.floor == pytest.approx(0.3 - 1.2 * pooled, abs=5e-5)
    alone = floors_of(rows("classification", b=(0.3, 0.5)), beside=methods)
    assert alone == floors_of(rows("classification", b=(0.3, 0.5)))


def test_runs_beside_make_false_alarms_rarer():
    floors = [Floor("b", "detection", 3, 0.3, 0.03, 0.03, 0.18)]
    many = [Floor("a", "detection", 100, 0.5, 0.05, 0.05, 0.3)]
    elsewhere = [Floor("a", "classification", 100, 0.5, 0.05, 0.05, 0.3)]
    assert false_alarm(floors, beside=many) < false_alarm(floors) / 10
    assert false_alarm(floors, beside=elsewhere) == false_alarm(floors)


def test_the_spread_was_measured_with_the_recipes_of_today(monkeypatch):
    """A changed budget asks for new runs (`benchmarks/seed_spread.py`, `cell_spread.py`) before it has a floor."""
    monkeypatch.chdir(ROOT)
    cells = cells_of(ROOT / "config" / "demo.yaml")
    measured = {(run["method"], run["recipe_sha256"]) for run in read_spread()}
    today = {(name, row_of(*cell, seed=0)["recipe_sha256"]) for name, cell in cells.items()}
    assert measured == today
    plan = plan_study(load_study("config/demo.yaml"), "config/demo.yaml")
    others = [cell for cell in plan.trained if cell_spread.is_made_otherwise(plan, cell)]
    hashes = {cell.method: cell_spread.row_of(plan, cell)["recipe_sha256"] for cell in others}
    spread = read_spread(CELLS)
    assert {(run["method"], run["recipe_sha256"]) for run in spread} <= {*hashes.items()}
    compressed = {name for name in hashes if JOINT in name}
    assert compressed <= {run["method"] for run in spread}
    floors = {floor.method for floor in read_floors().values()}
    assert floors == set(cells) | {run["method"] for run in spread}
