"""mmdetection, really run: tiny, offline, from packs to artifact and record, where its environment was built."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from defectbench.base.methods import load_card
from defectbench.base.records import read_record
from defectbench.data.pack import pack
from defectbench.deploy.adapt import adapt_signature
from defectbench.deploy.artifact import load_model, validate_artifact
from defectbench.measure.complexity import count_params, declared_macs, executed_macs

from ..deploy.tiny_module import PROVENANCE
from .mmdet_environment import ENVIRONMENT, INSIDE, METHODS, NEEDED, PROGRAMS, ROOT, run_inside

PROGRAM = PROGRAMS / "train_mmdetection.py"
POINTS = {"rtmdet_tiny": 8 * 8 + 4 * 4 + 2 * 2}  # three levels at 64 px
FIVE_LEVELS = 8 * 8 + 4 * 4 + 2 * 2 + 1 + 1
EPOCHS = 3
PER_CLASS = {"foveabox_r50": 2305, "tood_r50": 2305, "rtmdet_tiny": 3 * 97}  # parameters
NORMS = 26_560  # batch norms of ResNet-50: a factor for each channel, which folding removes
# What the model file lacks beside them: factors of single levels, which no counter of graphs sees. That of RTMDet has
# fewer norms, and two copies of the kernels that its levels share, for each has a norm of its own.
LACKS = {"foveabox_r50": NORMS, "tood_r50": NORMS + 5, "rtmdet_tiny": 8_904 - 2 * 331_776}
# Squared widths of the blocks whose channels are weighed: their products are of a single place at any size
ATTENTION = 48**2 + 96**2 + 192**2 + 384**2
WITH_RESNET = [name for name in METHODS if name != "rtmdet_tiny"]

pytestmark = NEEDED


@pytest.fixture(scope="module")
def packs(dataset, crowd):
    """Training and validation at 64 px; one image of the former has no box, another one is full of them."""
    crowd(dataset)
    for part in ("train", "val"):
        pack(dataset, "clean", part, 64, dataset / "clean" / "split0" / f"{part}@64.safetensors")
    return dataset


def command_line(dataset, out, network, *more):
    told = {"epochs": EPOCHS, "batch": 8, "threads": 1, "seed": 0, "device": "cpu"}
    told["recipe"] = {"validate_every": 2}
    options = {"settings": json.dumps(told), "method": f"models/{network}", "out": out}
    options |= {"network": f"models/{network}/network.yaml", "environment": ENVIRONMENT}
    parts = dataset / "clean" / "split0"
    options |= {part: parts / f"{part}@64.safetensors" for part in ("train", "val")}
    command = [sys.executable, str(PROGRAM)]
    return [*command, *(f"--{key}={value}" for key, value in options.items()), *more]


@pytest.fixture(scope="module", params=METHODS)
def cell(request, packs, run, tmp_path_factory):
    """A training of three epochs, with every attempt at the network written down."""
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / request.param / "seed0"
    log = out.parent / "refused"
    made = run(command_line(packs, out, request.param), REFUSED_CONNECTIONS=str(log))
    assert made.returncode == 0, made.stderr
    return out, made.stdout, log


def name_of(cell):
    return cell[0].parent.name


def points_of(cell):
    return POINTS.get(name_of(cell), FIVE_LEVELS)


def test_environment_passes_its_check():
    assert "mmdet 3.3.0" in run_inside(INSIDE / "mmdet_program.py", "check")


def test_makes_an_artifact_of_our_signature(cell):
    info = validate_artifact(cell[0] / "model.onnx")
    assert (info.classes, info.size) == (["wide", "tall"], 64)
    assert info.points == points_of(cell)
    assert str(cell[0].parents[3]).encode() not in (cell[0] / "model.onnx").read_bytes()


def test_figures_are_those_of_the_framework(cell, programs):
    """The program compares before it gives the file its name; here once more, and not with an empty hand."""
    outputs = cell[0] / "checkpoint" / "outputs.npz"
    programs("train_mmdetection").compare(cell[0] / "model.onnx", outputs)
    with np.load(outputs) as known:
        assert known["boxes"].shape == (3, points_of(cell), 4)
        assert known["boxes"].std() > 1
        assert 0 < known["scores"].min() < known["scores"].max() < 1


def test_parameters_are_those_of_the_card(cell):
    """Some of the card's belong to each of the four classes that are not there."""
    name = name_of(cell)
    golden = load_card(ROOT / "models" / name).golden
    expected = golden.params - 4 * PER_CLASS[name] - LACKS[name]
    model = load_model(cell[0] / "model.onnx")
    still = sides_at_zero(model) if name == "rtmdet_tiny" else 0
    assert count_params(model) + still == expected


def sides_at_zero(model):
    """Biases of sides that no box has moved in so short a training: an export leaves out what is zero."""
    shapes = {one.name: list(one.dims) for one in model.graph.initializer}
    convs = [node.input for node in model.graph.node if node.op_type == "Conv"]
    return sum(4 for ends in convs if shapes[ends[1]] == [4, 96, 1, 1] and len(ends) == 2)


@pytest.mark.parametrize("cell", WITH_RESNET, indirect=True)
def test_multiply_adds_are_those_of_the_card(cell, tmp_path):
    """At the card's size, minus nine products with 256 features for each of four classes at each point."""
    checkpoint = cell[0] / "checkpoint"
    told = json.loads((checkpoint / "told.json").read_text())
    told |= {
        "size": 192,
        "exported": str(tmp_path / "raw.onnx"),
        "outputs": str(tmp_path / "o.npz"),
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    run_inside(INSIDE / "mmdet_program.py", "export", tmp_path / "told.json")
    info = adapt_signature(tmp_path / "raw.onnx", tmp_path / "m.onnx", 192, ["a", "b"], PROVENANCE)
    model = load_model(tmp_path / "m.onnx")
    counted = declared_macs(model, 192)
    assert counted == executed_macs(model, 192, tmp_path / "probed.onnx")
    golden = load_card(ROOT / "models" / name_of(cell)).golden.macs_m[192]
    missing = 4 * 9 * 256 * info.points / 1e6
    assert counted.total / 1e6 == pytest.approx(golden - missing, abs=1e-3)
    assert counted.products == 0


@pytest.mark.parametrize("cell", ["rtmdet_tiny"], indirect=True)
def test_multiply_adds_of_the_card_grow_as_the_places(cell):
    """Nine times those at 64 px, but for the attention to channels; and 96 for each of four classes at each point."""
    counted = declared_macs(load_model(cell[0] / "model.onnx"), 64)
    golden = load_card(ROOT / "models" / "rtmdet_tiny").golden.macs_m[192]
    at_192 = 9 * (counted.convolutions - ATTENTION + 4 * 96 * points_of(cell)) + ATTENTION
    assert at_192 == round(golden * 1e6)
    assert counted.products == 0


def test_record_and_history_are_in_the_engines_terms(cell):
    out, _, _ = cell
    record = read_record(out / "train.json", "train")
    figures = record["figures"]
    assert (figures["epochs"], figures["steps"], figures["size_px"]) == (EPOCHS, 6, 64)
    assert figures["train_s"] > 0
    assert record["method"] == name_of(cell)
    assert record["recipe"]["network"] == f"models/{name_of(cell)}/network.yaml"
    assert "mmdet==3.3.0" in record["recipe"]["environment"]
    assert str(out.parent) not in json.dumps(record["recipe"])
    assert "Apache-2.0" in record["licence"]
    header, *rows = (out / "history.csv").read_text().splitlines()
    assert header.startswith("epoch,loss,lr,images_per_s")
    # validated were epochs 2 and 3
    assert [bool(row.split(",")[-1]) for row in rows] == [False, True, True]


def test_progress_is_visible_and_no_connection_was_tried(cell):
    _, output, log = cell
    lines = [line for line in output.splitlines() if "epoch 3/3" in line]
    assert len(lines) == 1
    assert "val mAP50" in lines[0]
    assert not log.exists(), log.read_text()


def test_no_checkpoint_of_the_framework_is_left(cell):
    assert not list((cell[0] / "checkpoint" / "run").glob("*.pth"))
    assert (cell[0] / "checkpoint" / "weights.pth").is_file()


@pytest.mark.parametrize("cell", ["tood_r50"], indirect=True)
def test_a_killed_run_goes_on_to_the_same_bits(cell, packs, run, tmp_path):
    """By the one that has most to take up again: how it assigns boxes depends on the epoch."""
    out, log = tmp_path / "tiny" / "clean" / name_of(cell) / "seed0", tmp_path / "log"
    with log.open("w") as lines:
        first = subprocess.Popen(command_line(packs, out, name_of(cell)), cwd=ROOT, stdout=lines)
        # the checkpoint of the second epoch is there and its validation, perhaps, is not
        while not (out / "checkpoint" / "run" / "epoch_2.pth").is_file():
            assert first.poll() is None
            time.sleep(0.05)
        children = psutil.Process(first.pid).children()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not (out / "model.onnx").exists()
    second = run(command_line(packs, out, name_of(cell)))
    assert second.returncode == 0, second.stderr
    assert "epoch 1/3" not in second.stdout
    assert "epoch 3/3" in second.stdout
    history = [row.split(",") for row in (out / "history.csv").read_text().splitlines()]
    known = [row.split(",") for row in (cell[0] / "history.csv").read_text().splitlines()]
    timed = known[0].index("images_per_s")
    for mine, theirs in zip(history, known, strict=True):
        assert [v for n, v in enumerate(mine) if n != timed] == [
            v for n, v in enumerate(theirs) if n != timed
        ]
    assert (out / "model.onnx").read_bytes() == (cell[0] / "model.onnx").read_bytes()


@pytest.fixture
def few(packs, certify, tmp_path):
    """The tiny dataset with two images to train on and one to validate, packed at 96 px."""
    folder = shutil.copytree(packs, tmp_path / "few")
    parts = folder / "clean" / "split0"
    for part, count in (("train", 2), ("val", 1)):
        names = (parts / f"{part}.txt").read_text().splitlines(keepends=True)
        (parts / f"{part}.txt").write_text("".join(names[:count]))
    certify(folder)
    for part in ("train", "val"):
        pack(folder, "clean", part, 96, parts / f"{part}@96.safetensors")
    return parts


def test_asked_for_bfloat16_it_trains_in_it(few, packs, programs, tmp_path, monkeypatch):
    """The same draws and the same start: the losses differ by the rounding alone. Nothing is exported."""
    program, method = programs("train_mmdetection"), METHODS[0]
    monkeypatch.setattr(program, "verbs_left", lambda _: ["train"])
    monkeypatch.setattr(program, "adapt", lambda *_: None)
    parts = [f"--{part}={few / f'{part}@96.safetensors'}" for part in ("train", "val")]
    losses = []
    for precision in ("float32", "bfloat16"):
        out = tmp_path / precision / "clean" / method / "seed0"
        told = ["--set=epochs=1", "--set=batch=2", f"--set=recipe.precision={precision}", *parts]
        _, *command = command_line(packs, out, method, *told)
        monkeypatch.setattr(sys, "argv", command)
        assert programs("cell").run_cell(None, program.make, ("--environment",)) == 0
        assert read_record(out / "train.json", "train")["recipe"]["precision"] == precision
        losses.append(first_loss(out / "history.csv"))
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_bfloat16_on_maps_of_one_cell_is_refused(packs, run, tmp_path):
    precision = "--set=recipe.precision=bfloat16"
    made = run(command_line(packs, tmp_path / "out", "tood_r50", precision))
    assert made.returncode == 2
    assert "over 64 px" in made.stderr


def first_loss(history):
    header, first = history.read_text().splitlines()[:2]
    return float(first.split(",")[header.split(",").index("loss")])


def test_failure_is_one_named_error(packs, run, tmp_path):
    broken = tmp_path / "installed.txt"
    broken.write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    environment = f"--environment={broken}"
    made = run(command_line(packs, tmp_path / "run", METHODS[0], environment))
    assert made.returncode == 2
    assert made.stderr.startswith("ProgramError")
    assert len(made.stderr.strip().splitlines()) == 1
