"""A run with a teacher: what it learns from stands in its record, and nothing of it in its weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from defectbench import cli
from defectbench.base.errors import ConfigError
from defectbench.base.files import sha256_file
from defectbench.base.records import read_record
from defectbench.training.preparation import drawn_seed
from defectbench.training.randomness import derived_seed
from tests.runs import prepare_run, run_training

from .conftest import TinyDetector, tiny_method


class Student(TinyDetector):
    """Learns, beside the truth, the weights of its teacher's last layer."""

    wanted = None
    kd = "weights"

    def set_teacher(self, state):
        self.wanted = (state["out.weight"],)

    def loss(self, images, targets, epoch):
        losses = super().loss(images, targets, epoch)
        if self.wanted is not None:
            kd = (self.out.weight - self.wanted[0]).square().mean()
            losses |= {"loss": losses["loss"] + kd, "kd": kd}
        return losses


@pytest.fixture
def student(method):  # which moves to the project's root
    return tiny_method(network=Student)


@pytest.fixture
def teacher(tmp_path, student, pack_path):
    run_training(pack_path, student, tmp_path / "teacher", seed=9)
    return tmp_path / "teacher" / "weights.safetensors"


def test_the_teacher_is_used_recorded_and_not_kept(student, teacher, pack_path, tmp_path):
    run_training(pack_path, student, tmp_path / "alone", seed=1)
    run_training(pack_path, student, tmp_path / "taught", seed=1, teacher=teacher)
    record = read_record(tmp_path / "taught" / "train.json", "train")
    assert record["inputs"]["teacher"]["sha256"] == sha256_file(teacher)
    assert "teacher" not in read_record(tmp_path / "alone" / "train.json", "train")["inputs"]
    taught, alone = (load_file(tmp_path / n / "weights.safetensors") for n in ("taught", "alone"))
    assert taught.keys() == alone.keys()
    assert not torch.equal(taught["out.weight"], alone["out.weight"])
    assert "kd" in (tmp_path / "taught" / "history.csv").read_text().splitlines()[0]


def test_a_run_that_lacks_its_teacher_says_so(student, teacher, pack_path, tmp_path, capsys):
    capsys.readouterr()
    run_training(pack_path, student, tmp_path / "alone", seed=1)
    assert "kd: weights, and no teacher is given" in capsys.readouterr().out
    run_training(pack_path, student, tmp_path / "taught", seed=1, teacher=teacher)
    assert "no teacher" not in capsys.readouterr().out


def test_a_checkpoint_of_another_teacher_is_set_aside(student, teacher, pack_path, tmp_path):
    folder = tmp_path / "run"
    run_training(pack_path, student, folder, seed=1, teacher=teacher)
    run_training(pack_path, student, folder, seed=1, teacher=teacher)
    assert not (folder / "checkpoint.replaced").exists()
    run_training(pack_path, student, teacher.parent, seed=8)
    run_training(pack_path, student, folder, seed=1, teacher=teacher)
    assert (folder / "checkpoint.replaced").exists()


def test_a_method_that_learns_from_none_refuses_a_teacher(method, teacher, pack_path, tmp_path):
    with pytest.raises(ConfigError, match="learns from none"):
        run_training(pack_path, method, tmp_path / "run", seed=1, teacher=teacher)


def test_the_detector_knows_how_long_the_run_is(method, pack_path, tmp_path):
    seen = []

    class Curious(TinyDetector):
        def loss(self, images, targets, epoch):
            seen.append((epoch, self.epochs))
            return super().loss(images, targets, epoch)

    run_training(pack_path, tiny_method(3, network=Curious), tmp_path / "run", seed=1)
    assert set(seen) == {(0, 3), (1, 3), (2, 3)}


def test_the_cost_of_a_student_holds_its_teachers(student, teacher, pack_path, tmp_path):
    record = teacher.with_name("train.json")
    known = read_record(record, "train")
    known["figures"] |= {"train_s": 1000.0, "epochs": 77}
    record.write_text(json.dumps(known))
    run_training(pack_path, student, tmp_path / "taught", seed=1, teacher=teacher)
    taught = read_record(tmp_path / "taught" / "train.json", "train")
    figures = taught["figures"]
    assert (figures["teacher_train_s"], figures["teacher_epochs"]) == (1000.0, 77)
    assert figures["train_s"] == pytest.approx(1000.0 + taught["seconds"], abs=0.01)
    assert figures["images_per_s"] * taught["seconds"] == pytest.approx(
        figures["train_images"] * figures["epochs"], rel=0.05
    )
    assert taught["inputs"]["teacher_record"]["sha256"] == sha256_file(record)
    assert "teacher_train_s" not in known["figures"]


def test_a_teacher_without_its_record_or_with_anothers_is_refused(
    student, teacher, pack_path, tmp_path
):
    save_file(Student(2).state_dict(), teacher)
    with pytest.raises(ConfigError, match="train the teacher again"):
        run_training(pack_path, student, tmp_path / "run", seed=1, teacher=teacher)
    teacher.with_name("train.json").unlink()
    with pytest.raises(ConfigError, match=r"train\.json"):
        run_training(pack_path, student, tmp_path / "run", seed=1, teacher=teacher)


def test_a_teacher_of_the_students_seed_is_refused(student, teacher, pack_path, tmp_path):
    with pytest.raises(ConfigError, match="--set role=teacher"):
        run_training(pack_path, student, tmp_path / "run", seed=9, teacher=teacher)


def test_the_verb_gives_a_teacher_a_seed_of_its_own(monkeypatch):
    seeds = []
    monkeypatch.setattr(
        "defectbench.training.loop.train", lambda *a: seeds.append(drawn_seed(a[1]))
    )
    monkeypatch.setattr("defectbench.deploy.export_run.export_run", lambda *_: None)
    monkeypatch.setattr("defectbench.measure.validation.make_validator", lambda *_, **__: None)
    options = ["train", "--method", "models/sd_gasnet", "--train", "t", "--val", "v", "--out", "o"]
    for role in ([], ["--set", "role=teacher"], ["--teacher", "w"]):
        assert cli.main([*options, "--set", "seed=3", *role]) == 0
    assert seeds == [3, derived_seed(3, 0, "teacher"), 3]


def test_student_and_teacher_start_from_other_weights(student, teacher, pack_path, tmp_path):
    starts = [
        prepare_run(pack_path, student, tmp_path / str(seed), seed).model.out.weight
        for seed in (1, derived_seed(1, 0, "teacher"))
    ]
    assert not torch.equal(*starts)


class Fitted(TinyDetector):
    """Takes the mean side of the boxes."""

    def fit_to(self, boxes, seed):
        self.side = float((boxes[:, 2:] - boxes[:, :2]).mean())

    def facts(self, boxes):
        return {"n_boxes": len(boxes), "side_px": self.side}


def test_what_was_taken_from_the_training_part_is_recorded(method, pack_path, tmp_path):
    run_training(pack_path, tiny_method(network=Fitted), tmp_path / "fitted", seed=1)
    run_training(pack_path, method, tmp_path / "plain", seed=1)
    expected = {"n_boxes": 28, "side_px": 8.0}
    assert read_record(tmp_path / "fitted" / "train.json", "train")["fit"] == expected
    assert "fit" not in read_record(tmp_path / "plain" / "train.json", "train")
