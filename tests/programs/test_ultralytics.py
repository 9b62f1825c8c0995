"""The foreign program, really run: tiny, offline, from parts to artifact and record."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import onnxruntime
import psutil
import pytest

from defectbench.base.errors import ConfigError, DiskFullError, LeakageError, ProgramError
from defectbench.base.files import sha256_file
from defectbench.base.methods import Recipe, load_card
from defectbench.base.records import read_record, write_record
from defectbench.data.pack import load_pack, pack
from defectbench.deploy.artifact import load_model, validate_artifact
from defectbench.measure.complexity import count_params, declared_macs

from .yolo_command import ROOT, command_line

# parameters at six classes as the program counts them; 65 more a class at each of three levels
PUBLISHED = {"yolov8n": 3_006_818, "yolov5n": 2_504_114}


@pytest.fixture(scope="module")
def program(programs):
    """The part that runs the program, as a module."""
    return programs("yolo_program")


@pytest.fixture(scope="module", params=PUBLISHED)
def cell(request, dataset, run, tmp_path_factory):
    """One epoch of training, with every attempt at the network written down."""
    name = f"{request.param}_ultralytics"
    out = tmp_path_factory.mktemp("run") / "tiny" / "clean" / name / "seed0"
    log = out.parent / "refused"
    command = command_line(dataset, out, request.param)
    made = run(command, REFUSED_CONNECTIONS=str(log))
    assert made.returncode == 0, made.stderr
    return out, made.stdout, log


def test_makes_an_artifact_of_our_signature(cell):
    out, _, _ = cell
    info = validate_artifact(out / "model.onnx")
    assert info.classes == ["wide", "tall"]
    assert info.size == 64
    assert info.points == (64 // 8) ** 2 + (64 // 16) ** 2 + (64 // 32) ** 2


def test_figures_are_those_of_the_programs_own_export(cell):
    out, _, _ = cell
    raw = onnxruntime.InferenceSession(out / "checkpoint" / "run" / "weights" / "best.onnx")
    adapted = onnxruntime.InferenceSession(out / "model.onnx")
    images = np.random.default_rng(0).random((3, 3, 64, 64), dtype=np.float32)
    rows = raw.run(None, {"images": images})[0].transpose(0, 2, 1)
    boxes, scores = adapted.run(["boxes", "scores"], {"images": images})
    centre, reach = rows[..., :2], rows[..., 2:4] * np.float32(0.5)
    np.testing.assert_array_equal(boxes, np.concatenate((centre - reach, centre + reach), -1))
    np.testing.assert_array_equal(scores, rows[..., 4:])
    assert not {node.op_type for node in load_model(out / "model.onnx").graph.node} & {
        "Range",
        "Shape",
    }


def network_of(cell):
    return cell[0].parent.name.removesuffix("_ultralytics")


def test_parameters_are_the_published_ones(cell):
    ramp = 16  # fixed weights 0..15 that the program counts and we do not
    published = PUBLISHED[network_of(cell)]
    assert load_card(ROOT / "models" / cell[0].parent.name).golden.params == published
    assert count_params(load_model(cell[0] / "model.onnx")) == published - 4 * 3 * 65 - ramp


def test_multiply_adds_are_those_of_the_card(cell):
    """A hundredth of those at 640 px, minus 64 for each of four classes at each of 84 places."""
    golden = load_card(ROOT / "models" / cell[0].parent.name).golden
    counted = declared_macs(load_model(cell[0] / "model.onnx"), 64).convolutions
    known = golden.macs_m[640] / 100 - 4 * 64 * 84 / 1e6
    assert counted / 1e6 == pytest.approx(known, abs=1e-3)


def test_record_and_history_are_in_the_engines_terms(cell):
    out, _, _ = cell
    record = read_record(out / "train.json", "train")
    figures = record["figures"]
    # two batches of eight, whose gradients it gathers for one update
    assert (figures["epochs"], figures["steps"], figures["size_px"]) == (1, 1, 64)
    assert figures["train_s"] > 0
    assert record["recipe"]["pretrained"] is False
    assert str(out.parent) not in json.dumps(record["recipe"])
    assert (record["recipe"]["model"], record["recipe"]["resume"]) == (
        f"{network_of(cell)}.yaml",
        False,
    )
    assert record["method"] == out.parent.name
    assert record["device"]
    assert "AGPL-3.0" in record["licence"]
    header = (out / "history.csv").read_text().splitlines()[0]
    assert header.startswith("epoch,loss,")


@pytest.mark.parametrize(
    ("images", "epochs", "settings", "updates"),
    [
        (1260, 30, {"batch": 32, "nbs": 32, "warmup_epochs": 3.0}, 1200),
        # one batch an update in the first half of the warm-up's 120, then two
        (1260, 30, {"batch": 32, "nbs": 64, "warmup_epochs": 3.0}, 60 + 570),
        (1260, 30, {"batch": 32, "nbs": 64, "warmup_epochs": 0.0}, 600),
        (16, 1, {"batch": 8, "nbs": 64, "warmup_epochs": 3.0}, 1),
        (17, 2, {"batch": 8, "nbs": 8, "warmup_epochs": 3.0}, 6),
    ],
)
def test_updates_are_counted_as_the_program_makes_them(programs, images, epochs, settings, updates):
    count = programs("train_ultralytics").updates_of
    assert count({**settings, "epochs": epochs}, images, epochs) == updates


@pytest.mark.parametrize(("keep", "epoch", "score"), [("best", 1, 0.5), ("last", 3, 0.3)])
def test_record_is_of_the_epoch_whose_weights_are_kept(tmp_path, programs, keep, epoch, score):
    scores = {1: 0.5, 2: 0.4, 3: 0.3}
    rows = [
        {"epoch": n, "loss": 1.0, "images_per_s": 9.0, "val_map50_95": value, "seconds": n}
        for n, value in scores.items()
    ]
    (tmp_path / "given").write_text("")
    args = argparse.Namespace(
        out=tmp_path,
        tiles=None,
        recipe=Recipe(keep=keep),
        card=load_card(ROOT / "models" / "yolov8n_ultralytics"),
        **dict.fromkeys(("certificate", "train"), tmp_path / "given"),
        batch=8,
        size=64,
        threads=1,
        seed=0,
        device="cpu",
    )
    programs("cell").record_training(args, rows, 6, 16, {})
    figures = read_record(tmp_path / "train.json", "train")["figures"]
    assert (figures["best_epoch"], figures["val_map50_95"]) == (epoch, score)


def test_progress_is_visible(cell):
    _, output, _ = cell
    lines = [line for line in output.splitlines() if "epoch 1/1" in line]
    assert len(lines) == 1
    assert "images/s" in lines[0]
    assert "ETA" in lines[0]


def test_no_connection_was_tried(cell):
    _, _, log = cell
    assert not log.exists(), log.read_text()


@pytest.mark.parametrize("threads", [1, 3])
def test_program_sees_one_processor_more_than_its_threads(threads, program, tmp_path):
    """It sets its threads to the number of processors minus one, whatever OMP_NUM_THREADS says."""
    made = subprocess.run(
        [sys.executable, "-c", "import os; print(os.cpu_count())"],
        env=program.environment(tmp_path, threads),
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.split() == [str(threads + 1)]


def test_a_finished_run_is_not_trained_again(cell, dataset, run):
    out, _, _ = cell
    again = run(command_line(dataset, out, network_of(cell)))
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stdout


def test_program_sees_the_pixels_and_boxes_of_the_pack(programs, dataset, tmp_path):
    part = load_pack(dataset / "clean" / "split0" / "train@64.safetensors")
    programs("train_ultralytics").write_dataset({"train": part}, tmp_path / "data")
    images = sorted((tmp_path / "data" / "images" / "train").iterdir())
    assert len(images) == len(part) == 16
    for row, file in enumerate(images):
        picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        assert np.array_equal(picture, part.images[row].permute(1, 2, 0).numpy())
        lines = (tmp_path / "data" / "labels" / "train" / f"{file.stem}.txt").read_text().split()
        label, x, y, w, h = (float(value) for value in lines)
        assert label == part.labels[row, 0]
        box = 64 * np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        np.testing.assert_allclose(box, part.boxes[row, 0].numpy(), atol=1e-5)


def test_leak_is_refused(dataset, certify, run, tmp_path):
    certify(dataset, shared=2)
    refused = run(command_line(dataset, tmp_path / "run"))
    certify(dataset)
    assert refused.returncode == 2
    assert refused.stderr.startswith("LeakageError")
    assert not (tmp_path / "run" / "model.onnx").exists()


def test_a_clean_split_with_a_thinned_training_part_is_no_way_around(dataset, tmp_path, programs):
    cell, folder = programs("cell"), tmp_path / "clean-few"
    shutil.copytree(dataset / "clean" / "split0", folder)
    lists = {f"{p}.txt": folder / f"{p}.txt" for p in ("train", "val", "test")}
    for shared in (0, 2):
        write_record(folder / "certificate.json", "certificate", {"shared_pixels": shared}, lists)
        if not shared:
            cell.refuse_leak(folder / "certificate.json", "clean-few")
    with pytest.raises(LeakageError, match="shared_pixels"):
        cell.refuse_leak(folder / "certificate.json", "clean-few")


def test_certificate_of_other_lists_is_refused(dataset, run, tmp_path):
    path = dataset / "clean" / "split0" / "val.txt"
    kept = path.read_text()
    path.write_text(kept.split("\n", 1)[1])
    refused = run(command_line(dataset, tmp_path / "run"))
    path.write_text(kept)
    assert refused.returncode == 2
    assert refused.stderr.startswith("LeakageError")
    assert "val.txt: sha256" in refused.stderr


def test_size_that_the_program_would_change_is_refused(dataset, run, tmp_path):
    parts = dataset / "clean" / "split0"
    for part in ("train", "val"):
        pack(dataset, "clean", part, 72, parts / f"{part}@72.safetensors")
    refused = run(command_line(dataset, tmp_path / "run", packed=72))
    assert refused.returncode == 2
    file = parts / "train@72.safetensors"
    assert refused.stderr.startswith(f"ConfigError: {file}: size in pixels: got 72")


def test_a_precision_that_the_program_is_not_told_is_refused(dataset, run, tmp_path):
    command = command_line(dataset, tmp_path / "run", changes=["precision=bfloat16"])
    refused = run(command)
    assert refused.returncode == 2
    assert "precision: got 'bfloat16'; the program trains in float32 here" in refused.stderr


@pytest.mark.parametrize("network", PUBLISHED)
def test_a_killed_run_continues(network, dataset, run, tmp_path, program):
    out, epochs, log = tmp_path / "run", 6, tmp_path / "log"
    command = command_line(dataset, out, network, epochs=epochs)
    with log.open("w") as lines:
        first = subprocess.Popen(command, cwd=ROOT, stdout=lines)
        while program.sound_checkpoint(out / "checkpoint" / "run") is None:
            assert first.poll() is None
            time.sleep(0.05)
        children = psutil.Process(first.pid).children()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not (out / "model.onnx").exists()
    second = run(command)
    assert second.returncode == 0, second.stderr
    assert "epoch 1/6" not in second.stdout
    assert "epoch 6/6" in second.stdout
    rows = (out / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", *"123456"]


def test_table_adds_up_the_parts_of_an_interrupted_run(tmp_path, program):
    header = "epoch,time,train/box_loss\n"
    (tmp_path / "results.csv").write_text(header + "1,10,3\n2,20,2\n3,30,1.5\n")
    program.set_table_aside(tmp_path)
    (tmp_path / "results.csv").write_text(header + "3,12,1\n4,24,0.5\n5,3")
    rows = program.read_table(tmp_path)
    assert [(row["epoch"], row["time"], row["train/box_loss"]) for row in rows] == [
        *((1, 10, 3), (2, 20, 2), (3, 32, 1), (4, 44, 0.5))
    ]


def test_checkpoint_that_a_kill_cut_short_is_not_taken(tmp_path, program):
    weights = tmp_path / "weights"
    weights.mkdir()
    assert program.sound_checkpoint(tmp_path) is None
    for name in ("best.pt", "last.pt"):
        with zipfile.ZipFile(weights / name, "w") as archive:
            archive.writestr("data", b"0" * 5000)
    assert program.sound_checkpoint(tmp_path) == weights / "last.pt"
    (weights / "last.pt").write_bytes((weights / "last.pt").read_bytes()[:3000])
    assert program.sound_checkpoint(tmp_path) == weights / "best.pt"


def test_full_disk_is_named(tmp_path, programs):
    program = programs("process")
    log = tmp_path / "program.log"
    log.write_text("Traceback\nOSError: [Errno 28] No space left on device\n")
    assert isinstance(program.failure(log, 1), DiskFullError)
    log.write_text("Traceback\nKeyError: 1\n")
    error = program.failure(log, 1)
    assert isinstance(error, ProgramError)
    assert "KeyError: 1" in str(error)


def test_failure_is_one_named_error(dataset, run, tmp_path):
    command = command_line(dataset, tmp_path / "run", changes=["options.no_such_option=1"])
    broken = run(command, YOLO_AUTOINSTALL="0", OMP_NUM_THREADS="1")
    assert broken.returncode == 2
    assert broken.stderr.startswith("ProgramError")
    assert len(broken.stderr.strip().splitlines()) == 1


def test_a_start_of_another_method_or_file_is_refused(programs, tmp_path):
    started = programs("cell").started_from
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"opened by nobody")
    with pytest.raises(ConfigError, match=r"published.json: file: got 'nothing'; fetch weights"):
        started(weights, "yolov8n_ultralytics")
    told = {"method": "yolov8n_ultralytics", "name": "coco", "data": "COCO", "licence": "AGPL-3.0"}
    told["weights_sha256"] = sha256_file(weights)
    write_record(tmp_path / "published.json", "published", {}, {}, 0.0, told)
    assert started(weights, "yolov8n_ultralytics")["licence"] == "AGPL-3.0"
    with pytest.raises(ConfigError, match="method: got 'yolov8n_ultralytics'"):
        started(weights, "yolo11n_ultralytics")
    weights.write_bytes(b"another file")
    with pytest.raises(ConfigError, match="weights_sha256: got"):
        started(weights, "yolov8n_ultralytics")


def test_a_run_that_was_taken_up_says_what_its_start_took(program, tmp_path):
    lines = [f"Transferred {n}/499 items from pretrained weights" for n in (493, 499)]
    (tmp_path / "program.log").write_text("\n".join(lines))
    assert program.read_taken(tmp_path) == {"n_tensors_loaded": 493, "n_tensors": 499}
