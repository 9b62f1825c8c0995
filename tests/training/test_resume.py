"""A run that is killed at any step and taken up again ends in the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from defectbench.base.errors import BusyError, CheckpointError, LeakageError, TrainingDivergedError
from defectbench.base.files import exclusive_lock, sha256_file
from defectbench.base.records import read_record
from defectbench.training import loop
from tests.runs import run_training

from .conftest import tiny_method, write_tiny_pack

ROOT = Path(__file__).parents[2]
EPOCHS = 40

PROGRAM = """
import sys, torch
sys.path.insert(0, {root!r})
from tests.runs import run_training
from tests.training.conftest import tiny_method
from defectbench.training import loop
done = loop.train_step
def announced(*args):
    result = done(*args)
    print(args[0].progress.step, flush=True)
    return result
loop.train_step = announced
run_training({pack!r}, tiny_method({epochs}), {out!r}, seed=5, checkpoint_s=0.0)
"""


def start(pack, out):
    return launched(PROGRAM.format(root=str(ROOT), pack=str(pack), out=str(out), epochs=EPOCHS))


def launched(code):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def run_to_end(pack, out):
    process = start(pack, out)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def kill_after(pack, out, steps):
    process = start(pack, out)
    assert process.stdout is not None
    seen = [line for line, _ in zip(process.stdout, range(steps), strict=False)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return len(seen)


def test_killed_and_resumed_run_ends_in_the_same_bits(pack_path, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_to_end(pack_path, whole)
    rng = random.Random(11)
    kills = [kill_after(pack_path, broken, rng.randint(3, 25)) for _ in range(3)]
    assert all(kills)
    assert not (broken / "weights.safetensors").exists()
    run_to_end(pack_path, broken)
    assert sha256_file(whole / "weights.safetensors") == sha256_file(broken / "weights.safetensors")
    losses = [(f / "history.csv").read_text().splitlines() for f in (whole, broken)]
    columns = [[",".join(line.split(",")[:3]) for line in text] for text in losses]
    assert columns[0] == columns[1]
    records = [read_record(f / "train.json", "train")["figures"] for f in (whole, broken)]
    assert records[0]["steps"] == records[1]["steps"] == EPOCHS * 4
    assert records[0]["final_loss"] == records[1]["final_loss"]


LIDD_NET = """
import sys, torch
from defectbench.base.methods import load_method
from defectbench.measure.validation import make_validator
from defectbench.training import loop
from tests.runs import run_training
from dataclasses import replace
done = loop.train_step
def announced(*args):
    result = done(*args)
    print(args[0].progress.step, flush=True)
    return result
loop.train_step = announced
method = load_method("lidd_net", "models")
method = replace(method, recipe=method.recipe.model_copy(update={{"validate_every": 2}}))
validator = make_validator({pack!r})
run_training({pack!r}, method, {out!r}, 5, validator, epochs=6, batch=4, checkpoint_s={every})
"""


def test_a_real_network_with_validation_resumes_to_the_same_bits(pack_path, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def launch(out, every):
        code = LIDD_NET.format(pack=str(pack_path), out=str(out), every=every)
        return launched(code)

    _, errors = launch(whole, 1e9).communicate(timeout=300)
    assert (whole / "weights.safetensors").is_file(), errors
    for steps in (4, 5):
        process = launch(broken, 0.0)
        seen = [line for line, _ in zip(process.stdout, range(steps), strict=False)]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(seen) == steps
    _, errors = launch(broken, 1e9).communicate(timeout=300)
    found = [sha256_file(folder / "weights.safetensors") for folder in (whole, broken)]
    assert found[0] == found[1], errors
    best = [
        read_record(f / "train.json", "train")["figures"]["best_epoch"] for f in (whole, broken)
    ]
    assert best[0] == best[1]


def test_a_gradient_that_is_not_finite_stops_the_run(pack_path, tmp_path, method, monkeypatch):
    def lost(*_args, **_options):
        return torch.tensor(float("nan"))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lost)
    with pytest.raises(TrainingDivergedError, match="gradient norm"):
        run_training(pack_path, method, tmp_path / "run", 0)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_checkpoints_keep_their_pace_over_short_epochs(pack_path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    clock, saved = iter(range(10**6)), []
    monkeypatch.setattr(loop.time, "monotonic", lambda: 4.0 * next(clock))
    monkeypatch.setattr(loop, "save_checkpoint", lambda *args: saved.append(args[4].step))
    run_training(
        pack_path, tiny_method(12, validate_every=100), tmp_path / "run", 0, checkpoint_s=30.0
    )
    gaps = [b - a for a, b in pairwise([0, *saved])]
    assert max(gaps) <= 8  # of 36 steps, an epoch of 3 taking under 30 s


def test_seeds_differ_and_equal_seeds_do_not(pack_path, tmp_path, method):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_training(pack_path, method, tmp_path / name, seed)
        hashes.append(sha256_file(tmp_path / name / "weights.safetensors"))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("shared", ["3", None])
def test_clean_part_without_a_clean_certificate_is_refused(tmp_path, method, shared):
    pack = write_tiny_pack(tmp_path / "p.safetensors", shared=shared)
    with pytest.raises(LeakageError, match="shared_pixels"):
        run_training(pack, method, tmp_path / "run", 0)
    assert not (tmp_path / "run").exists()


def test_leaky_protocol_may_be_trained_on(tmp_path, method):
    pack = write_tiny_pack(tmp_path / "p.safetensors", protocol="paper", shared="3")
    run_training(pack, method, tmp_path / "run", 0, epochs=1)
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def test_two_runs_in_one_folder(pack_path, tmp_path, method):
    with exclusive_lock(tmp_path / "run" / ".train.lock"), pytest.raises(BusyError):
        run_training(pack_path, method, tmp_path / "run", 0)


def test_loss_that_is_not_finite_names_step_and_images(pack_path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    method = tiny_method(optimizer=tiny_method().recipe.optimizer.model_copy(update={"lr": 1e30}))
    with pytest.raises(
        TrainingDivergedError, match=r"loss or gradient at step \d+.*images \["
    ) as caught:
        run_training(pack_path, method, tmp_path / "run", 0)
    assert "checkpoint" in str(caught.value)


def test_checkpoint_of_other_settings_is_set_aside(pack_path, tmp_path, method, capsys):
    run = tmp_path / "run"
    run_training(pack_path, method, run, 0)
    run_training(pack_path, method, run, 0, epochs=9)
    assert "checkpoint.replaced/" in capsys.readouterr().out
    assert (run / "checkpoint.replaced" / "last.safetensors").is_file()
    record = read_record(run / "train.json", "train")
    assert record["figures"]["steps"] == 9 * 4
    # what so short a run makes of its recipe: a tenth of the steps, a twentieth of them
    assert record["effective"]["warmup_steps"] <= 3
    assert record["effective"]["ema"]["tau"] == pytest.approx(36 / 20)


def test_damaged_checkpoint_is_refused(pack_path, tmp_path, method):
    run = tmp_path / "run"
    run_training(pack_path, method, run, 0)
    file = run / "checkpoint" / "last.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        run_training(pack_path, method, run, 0)
    file.write_bytes(data[:100])
    with pytest.raises(CheckpointError, match="content"):
        run_training(pack_path, method, run, 0)


def test_progress_line_tells_epoch_loss_speed_and_time_to_go(pack_path, tmp_path, method, capsys):
    started = time.monotonic()
    run_training(pack_path, method, tmp_path / "run", 0, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "epoch 1/2" in lines[0]
    assert all(word in lines[0] for word in ("loss", "images/s", "ETA"))
    record = read_record(tmp_path / "run" / "train.json", "train")["figures"]
    assert 0 < record["train_s"] <= time.monotonic() - started
