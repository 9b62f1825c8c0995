"""Losses wait on the device: read together they are the same numbers, and the first bad step is named."""

import pytest
import torch

from defectbench.base.errors import DeviceMemoryError, TrainingDivergedError
from defectbench.base.files import read_json, sha256_file
from defectbench.base.methods import Schedule
from defectbench.training import loop, preparation, readings
from defectbench.training.readings import Readings
from tests.runs import run_training

from .conftest import TinyDetector, tiny_method

IDS = torch.tensor([4, 7])


def filled(folder, losses, norm=1.0):
    waiting = Readings(folder, "cuda")
    for step, loss in enumerate(losses):
        waiting.add(step, IDS + step, {"loss": torch.tensor(loss)}, torch.tensor(norm))
    return waiting


def test_waiting_steps_are_read_once_in_order(tmp_path):
    waiting = filled(tmp_path, [0.1, 0.7])
    assert waiting.read() == [{"loss": float(torch.tensor(v))} for v in (0.1, 0.7)]
    assert waiting.read() == []


def test_a_reading_is_due_after_so_many_steps(tmp_path):
    most = readings.STEPS_A_READING["cuda"]
    assert not filled(tmp_path, [1.0] * (most - 1)).due
    assert filled(tmp_path, [1.0] * most).due


def test_the_first_step_that_is_not_finite_is_named_with_its_images(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"step 1: .*'loss': nan.*images \[5, 8\]"):
        filled(tmp_path, [1.0, float("nan"), float("inf")]).read()
    with pytest.raises(TrainingDivergedError, match="gradient norm"):
        filled(tmp_path, [1.0], norm=float("inf")).read()


def test_how_often_losses_are_read_changes_no_bit(pack_path, tmp_path, method, monkeypatch):
    files = ("weights.safetensors", "history.csv")
    seen = []
    for most in (1, 3, 100):
        monkeypatch.setitem(readings.STEPS_A_READING, "cpu", most)
        run_training(pack_path, method, tmp_path / str(most), seed=2)
        rows = [r.split(",")[:4] for r in (tmp_path / str(most) / files[1]).read_text().split()]
        seen.append((sha256_file(tmp_path / str(most) / files[0]), rows))
    assert seen[0] == seen[1] == seen[2]


def test_what_breaks_on_an_unread_loss_is_told_as_divergence(
    pack_path, tmp_path, method, monkeypatch
):
    monkeypatch.setitem(readings.STEPS_A_READING, "cpu", 100)
    step = loop.train_step

    def breaking(run, *args):
        if run.progress.step == 2:
            raise IndexError("an assigner met a number that is none")
        step(run, *args)

    monkeypatch.setattr(loop, "train_step", breaking)
    lost = tiny_method(network=Lost)
    with pytest.raises(TrainingDivergedError, match="at step 0"):
        run_training(pack_path, lost, tmp_path / "lost")
    with pytest.raises(IndexError, match="an assigner"):
        run_training(pack_path, method, tmp_path / "sound")


ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
ON_PROCESSOR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 2 GiB")


@pytest.mark.parametrize("part", ["load_pack", "PackBatches", "Average", "train_step", "validator"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ON_GPU, "training: got 'CUDA out of memory.*the GPU's memory .*batch, or fewer gpu_slots"),
        (ON_PROCESSOR, "can't allocate memory.*the machine's memory .*fewer jobs at once"),
        (MemoryError(), "got 'out of memory'; the machine's memory is full"),
    ],
    ids=["gpu", "processor", "python"],
)
def test_a_device_without_room_is_told_with_a_fix(
    pack_path, tmp_path, method, monkeypatch, part, error, told
):
    def full(*given, **named):
        raise error

    if part != "validator":
        monkeypatch.setattr(loop if hasattr(loop, part) else preparation, part, full)
    with pytest.raises(DeviceMemoryError, match=told):
        run_training(pack_path, method, tmp_path / "run", validator=full)


def test_other_errors_of_libraries_stay_what_they_are(pack_path, tmp_path, method, monkeypatch):
    def wrong(*given):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(loop, "train_step", wrong)
    with pytest.raises(RuntimeError, match="no such kernel"):
        run_training(pack_path, method, tmp_path / "run")


class Lost(TinyDetector):
    """Has a loss that is no number."""

    def loss(self, images, targets, epoch):
        return {
            name: value * float("nan")
            for name, value in super().loss(images, targets, epoch).items()
        }


# --- clipping -------------------------------------------------------------------------------------


def clipped(pack_path, folder, **recipe):
    run_training(pack_path, tiny_method(**recipe), folder, seed=2)
    figures = read_json(folder / "train.json")["figures"]
    return figures.get("clipped_share"), figures.get("clipped_after_warmup_share")


def test_the_share_of_clipped_steps_is_counted(pack_path, tmp_path, capsys):
    assert clipped(pack_path, tmp_path / "none", grad_clip=None) == (None, None)
    assert clipped(pack_path, tmp_path / "loose", grad_clip=1e9) == (0.0, 0.0)
    assert "warning" not in capsys.readouterr().out
    assert clipped(pack_path, tmp_path / "tight", grad_clip=1e-9) == (1.0, 1.0)
    assert "grad_clip 1e-09 cut 100% of the steps after the warm-up" in capsys.readouterr().out


def test_clipped_steps_of_the_warm_up_give_no_warning(pack_path, tmp_path, capsys, monkeypatch):
    norm = torch.nn.utils.clip_grad_norm_
    steps = []

    def long_first(*args, **options):
        steps.append(norm(*args, **options))
        return torch.tensor(5.0 if len(steps) == 1 else 0.5)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", long_first)
    schedule = Schedule(kind="constant", warmup_steps=1)
    whole, warm = clipped(pack_path, tmp_path, grad_clip=1.0, epochs=10, schedule=schedule)
    assert whole == pytest.approx(1 / len(steps), abs=1e-4)
    assert warm == 0.0
    assert "warning" not in capsys.readouterr().out


def test_a_killed_run_counts_its_clipped_steps_once(pack_path, tmp_path, monkeypatch):
    step, calls = loop.train_step, []

    def killed(run, *args):
        calls.append(args)
        if len(calls) == 6:
            raise KeyboardInterrupt
        step(run, *args)

    monkeypatch.setattr(loop, "train_step", killed)
    method = tiny_method(grad_clip=1e-9)
    with pytest.raises(KeyboardInterrupt):
        run_training(pack_path, method, tmp_path, seed=2, checkpoint_s=0.0)
    monkeypatch.setattr(loop, "train_step", step)
    assert clipped(pack_path, tmp_path, grad_clip=1e-9) == (1.0, 1.0)
