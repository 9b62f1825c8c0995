"""A run with a teacher: what it learns from stands in its record, and nothing of it in its weights."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from defectbench.base.errors import ConfigError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from defectbench.training.loop import train

from .conftest import TinyDetector, tiny_method


class Student(TinyDetector):
    """Learns, beside the truth, the weights of its teacher's last layer."""

    wanted = None

    def set_teacher(self, state):
        self.wanted = (state["out.weight"],)

    def loss(self, images, targets, epoch):
        losses = super().loss(images, targets, epoch)
        if self.wanted is not None:
            kd = (self.out.weight - self.wanted[0]).square().mean()
            losses |= {"loss": losses["loss"] + kd, "kd": kd}
        return losses


@pytest.fixture
def student(method):
    module = SimpleNamespace(build=lambda nc: Student(nc))
    return type(method)(method.card, method.recipe, module, method.folder)


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(9)
    save_file(Student(2).state_dict(), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def test_the_teacher_is_used_recorded_and_not_kept(student, teacher, pack_path, tmp_path):
    train(pack_path, student, tmp_path / "alone", seed=1, threads=1)
    train(pack_path, student, tmp_path / "taught", seed=1, threads=1, teacher=teacher)
    record = read_record(tmp_path / "taught" / "train.json", "train")
    assert record["inputs"]["teacher"]["sha256"] == sha256_file(teacher)
    assert "teacher" not in read_record(tmp_path / "alone" / "train.json", "train")["inputs"]
    taught, alone = (load_file(tmp_path / n / "weights.safetensors") for n in ("taught", "alone"))
    assert taught.keys() == alone.keys()
    assert not torch.equal(taught["out.weight"], alone["out.weight"])
    assert "kd" in (tmp_path / "taught" / "history.csv").read_text().splitlines()[0]


def test_a_checkpoint_of_another_teacher_is_set_aside(student, teacher, pack_path, tmp_path):
    folder = tmp_path / "run"
    train(pack_path, student, folder, seed=1, threads=1, teacher=teacher)
    train(pack_path, student, folder, seed=1, threads=1, teacher=teacher)
    assert not (folder / "checkpoint.replaced").exists()
    save_file(Student(2).state_dict(), teacher)
    train(pack_path, student, folder, seed=1, threads=1, teacher=teacher)
    assert (folder / "checkpoint.replaced").exists()


def test_a_method_that_learns_from_none_refuses_a_teacher(method, teacher, pack_path, tmp_path):
    with pytest.raises(ConfigError, match="learns from none"):
        train(pack_path, method, tmp_path / "run", seed=1, threads=1, teacher=teacher)


def test_the_detector_knows_how_long_the_run_is(method, pack_path, tmp_path):
    seen = []

    class Curious(TinyDetector):
        def loss(self, images, targets, epoch):
            seen.append((epoch, self.epochs))
            return super().loss(images, targets, epoch)

    module = SimpleNamespace(build=lambda nc: Curious(nc))
    curious = type(method)(method.card, tiny_method(3).recipe, module, method.folder)
    train(pack_path, curious, tmp_path / "run", seed=1, threads=1)
    assert set(seen) == {(0, 3), (1, 3), (2, 3)}
