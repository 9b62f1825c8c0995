"""A run that is killed at any step and taken up again ends in the same bits."""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch._inductor.config  # what every training imports by and by: forks take it along

from defectbench.base.errors import BusyError, CheckpointError, LeakageError, TrainingDivergedError
from defectbench.base.files import exclusive_lock, sha256_file
from defectbench.base.methods import load_method
from defectbench.base.records import read_record
from defectbench.measure.validation import make_validator
from defectbench.training import loop
from tests.forks import Fork
from tests.runs import run_training

from .conftest import TILING, TinyDetector, tiny_method, write_tiled_pack, write_tiny_pack

ROOT = Path(__file__).parents[2]
EPOCHS = 20


def announced(train):
    """Train and print the number of each step that is done."""
    torch.set_num_threads(1)
    step = loop.train_step

    def announced_step(run, *args):
        result = step(run, *args)
        sys.stdout.write(f"{run.progress.step}\n")
        return result

    loop.train_step = announced_step
    os.chdir(ROOT)
    train()


def run_to_end(train):
    status, printed = Fork(partial(announced, train)).wait()
    assert status == 0, printed


def kill_after(train, steps):
    """Kill a training behind so many steps; returns how many were seen."""
    fork = Fork(partial(announced, train))
    seen = [line for line, _ in zip(fork.output, range(steps), strict=False)]
    assert fork.kill()[0] == -signal.SIGKILL
    return len(seen)


def train_tiny(pack, out):
    run_training(pack, tiny_method(EPOCHS), out, seed=5, checkpoint_s=0.0)


def test_killed_and_resumed_run_ends_in_the_same_bits(pack_path, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_to_end(partial(train_tiny, pack_path, whole))
    rng = random.Random(11)
    train = partial(train_tiny, pack_path, broken)
    kills = [kill_after(train, rng.randint(3, 12)) for _ in range(3)]
    assert all(kills)
    assert not (broken / "weights.safetensors").exists()
    run_to_end(train)
    assert sha256_file(whole / "weights.safetensors") == sha256_file(broken / "weights.safetensors")
    losses = [(f / "history.csv").read_text().splitlines() for f in (whole, broken)]
    columns = [[",".join(line.split(",")[:3]) for line in text] for text in losses]
    assert columns[0] == columns[1]
    records = [read_record(f / "train.json", "train")["figures"] for f in (whole, broken)]
    assert records[0]["steps"] == records[1]["steps"] == EPOCHS * 4
    assert records[0]["final_loss"] == records[1]["final_loss"]


def test_a_run_on_tiles_is_that_on_a_pack_in_memory_and_resumes_to_the_same_bits(tmp_path):
    tiled = write_tiled_pack(tmp_path / "tiles@32.safetensors")
    held, whole, broken = (tmp_path / name for name in ("held", "whole", "broken"))
    run_to_end(partial(train_tiny, tiled, whole))
    assert kill_after(partial(train_tiny, tiled, broken), 7) == 7
    run_to_end(partial(train_tiny, tiled, broken))
    run_to_end(partial(train_tiny, tmp_path / "tiles@32.whole", held))
    hashes = {sha256_file(folder / "weights.safetensors") for folder in (held, whole, broken)}
    assert len(hashes) == 1
    record = read_record(whole / "train.json", "train")
    assert record["tiles"] == TILING.model_dump()
    assert record["figures"]["train_images"] == 14
    assert "tiles" not in read_record(held / "train.json", "train")


def test_a_budget_that_is_extended_and_taken_back_ends_in_the_same_bits(pack_path, tmp_path):
    hashes = []
    for epochs in (2, 4, 2):
        run_training(pack_path, tiny_method(epochs), tmp_path / "one", seed=5)
        hashes.append(sha256_file(tmp_path / "one" / "weights.safetensors"))
    run_training(pack_path, tiny_method(4), tmp_path / "afresh", seed=5)
    assert hashes[0] == hashes[2]
    assert hashes[1] == sha256_file(tmp_path / "afresh" / "weights.safetensors") != hashes[0]


def train_lidd_net(pack, out, checkpoint_s):
    method = load_method("lidd_net", "models")
    method = replace(method, recipe=method.recipe.model_copy(update={"validate_every": 2}))
    validator = make_validator(pack)
    run_training(pack, method, out, 5, validator, epochs=4, batch=4, checkpoint_s=checkpoint_s)


def test_a_real_network_with_validation_resumes_to_the_same_bits(pack_path, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    run_to_end(partial(train_lidd_net, pack_path, whole, 1e9))
    assert (whole / "weights.safetensors").is_file()
    for steps in (4, 5):
        assert kill_after(partial(train_lidd_net, pack_path, broken, 0.0), steps) == steps
    run_to_end(partial(train_lidd_net, pack_path, broken, 1e9))
    hashes = [sha256_file(folder / "weights.safetensors") for folder in (whole, broken)]
    assert hashes[0] == hashes[1]
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


class Diverging(TinyDetector):
    """A network whose loss overflows in its third step."""

    def loss(self, images, targets, epoch):
        self.steps = getattr(self, "steps", 0) + 1
        grown = float("inf") if self.steps > 2 else 1.0
        return {name: part * grown for name, part in super().loss(images, targets, epoch).items()}


def test_loss_that_is_not_finite_names_step_and_images(pack_path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    method = tiny_method(network=Diverging)
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
