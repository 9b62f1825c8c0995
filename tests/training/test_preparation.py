"""What a detector is given before its first step: the boxes of its part, and where the last epochs begin."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from defectbench.base.errors import ConfigError
from defectbench.base.methods import Augmentation, load_method
from defectbench.base.records import read_record
from defectbench.data.pack import load_pack
from defectbench.nn.detector import Detector
from defectbench.training.objective import Objective
from defectbench.training.randomness import derived_seed
from tests.runs import prepare_run, run_training

from .conftest import TinyDetector, tiny_method, write_tiny_pack


class Fitted(TinyDetector):
    """Keeps the mean side of the boxes that it is given, and the seed."""

    def __init__(self, nc):
        super().__init__(nc)
        self.register_buffer("side", torch.zeros(2))
        self.seen = []

    def fit_to(self, boxes, seed):
        self.seen.append((copy.copy(boxes), seed))
        self.side.copy_((boxes[:, 2:] - boxes[:, :2]).mean(0))


@pytest.fixture
def fitted(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    return replace(tiny_method(), module=SimpleNamespace(build=Fitted))


def test_a_detector_gets_the_true_boxes_of_its_part_once(pack_path, tmp_path, fitted):
    pack = load_pack(pack_path)
    pack = replace(pack, labels=pack.labels.masked_fill(torch.arange(2) == 1, -1))
    run = prepare_run(pack_path, fitted, tmp_path / "run", 0, pack)
    ((boxes, seed),) = run.model.seen
    assert torch.equal(boxes, pack.boxes[:, 0])
    again = prepare_run(pack_path, fitted, tmp_path / "run", 0, pack)
    other = prepare_run(pack_path, fitted, tmp_path / "run", 1, pack)
    assert again.model.seen[0][1] == seed != other.model.seen[0][1]


def test_what_was_taken_is_in_the_average_and_in_the_weights(pack_path, tmp_path, fitted):
    run_training(pack_path, fitted, tmp_path / "run", 0)
    weights = load_file(tmp_path / "run" / "weights.safetensors")
    assert weights["side"].tolist() == [8, 8]


def test_a_run_taken_up_again_keeps_what_was_taken(pack_path, tmp_path, fitted, monkeypatch):
    run_training(pack_path, fitted, tmp_path / "run", 0)
    monkeypatch.setattr(Fitted, "fit_to", lambda self, *_: self.side.fill_(99.0))
    run = prepare_run(pack_path, fitted, tmp_path / "run")
    assert run.progress.step == run.steps
    assert run.model.side.tolist() == run.average.model.side.tolist() == [8, 8]


@pytest.mark.parametrize(("close", "first"), [(0, 4), (1, 3)])
def test_a_detector_knows_where_the_last_epochs_begin(pack_path, tmp_path, fitted, close, first):
    recipe = fitted.recipe.model_copy(update={"augmentation": Augmentation(close_epochs=close)})
    run = prepare_run(pack_path, replace(fitted, recipe=recipe), tmp_path / "run")
    assert run.model.closing_epoch == run.average.model.closing_epoch == first


def test_a_detector_that_takes_nothing_need_not_say_so():
    Detector().fit_to(torch.zeros(0, 4), 0)
    assert Detector().closing_epoch == float("inf")


@pytest.mark.parametrize(("able", "kind"), [(True, "bfloat16"), (False, "float32")])
def test_a_run_records_what_an_automatic_precision_came_to(
    pack_path, tmp_path, fitted, monkeypatch, able, kind
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    method = replace(fitted, recipe=fitted.recipe.model_copy(update={"precision": "auto"}))
    run_training(pack_path, method, tmp_path / "run", 0)
    assert read_record(tmp_path / "run" / "train.json", "train")["recipe"]["precision"] == kind


class Tuned(TinyDetector):
    """Refuses its own loss."""

    def loss(self, images, targets, epoch):
        raise AssertionError("the objective takes the place of this")


def test_an_objective_takes_the_place_of_the_loss_and_is_recorded(pack_path, tmp_path, method):
    shown = []

    def loss(outputs, images, epoch):
        shown.append((tuple(outputs.shape), tuple(images.shape), epoch))
        return outputs.square().mean()

    objective = Objective({"taught": "nothing"}, loss)
    run_training(pack_path, tiny_method(2, network=Tuned), tmp_path / "run", objective=objective)
    assert set(shown) == {((n, 4), (n, 3, 32, 32), e) for n in (3, 4) for e in (0, 1)}
    record = read_record(tmp_path / "run" / "train.json", "train")
    assert record["objective"] == {"taught": "nothing"}
    other = Objective({"taught": "more"}, loss)
    run_training(pack_path, tiny_method(2, network=Tuned), tmp_path / "run", objective=other)
    assert (tmp_path / "run" / "checkpoint.replaced").is_dir()


def test_settings_change_the_recipe_and_a_role_the_seed(pack_path, tmp_path, method):
    changes = {"optimizer.lr": 0.5}
    run = prepare_run(pack_path, method, tmp_path, 4, recipe=changes, epochs=2, role="teacher")
    assert (run.recipe.optimizer.lr, run.recipe.epochs) == (0.5, 2)
    assert run.seed == derived_seed(4, 0, "teacher")
    with pytest.raises(ConfigError, match=r"settings: recipe: got 'optimizer\.rate'"):
        prepare_run(pack_path, method, tmp_path, recipe={"optimizer.rate": 0.5})
    with pytest.raises(ValueError, match="`epochs` in a recipe has no effect here"):
        prepare_run(pack_path, method, tmp_path, recipe={"epochs": 9}, epochs=2)


def test_an_edit_of_what_the_network_is_made_of_starts_anew(
    pack_path, tmp_path, method, monkeypatch, capsys
):
    run_training(pack_path, method, tmp_path / "run", epochs=1)
    monkeypatch.setattr("defectbench.training.preparation.code_sha256", lambda folder: "0" * 64)
    run_training(pack_path, method, tmp_path / "run", epochs=1)
    assert "checkpoint.replaced/" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["picodet_s", "yolo_fastestv2"])
def test_a_side_that_is_no_multiple_trains_where_the_network_takes_it(
    name, tmp_path, monkeypatch, request
):
    monkeypatch.chdir(request.config.rootpath)
    pack = write_tiny_pack(tmp_path / "p.safetensors", size=44)
    run_training(pack, load_method(name), tmp_path / "out", epochs=1, batch=7)
    figures = read_record(tmp_path / "out" / "train.json", "train")["figures"]
    assert figures["steps"] == 2


def test_a_side_that_the_network_cannot_take_is_named_before_the_first_step(
    tmp_path, monkeypatch, request
):
    monkeypatch.chdir(request.config.rootpath)
    pack = write_tiny_pack(tmp_path / "p.safetensors", size=44)
    with pytest.raises(ConfigError, match="size in pixels: got 44; the network cannot take it"):
        run_training(pack, load_method("sd_gasnet"), tmp_path / "out", epochs=1, batch=7)
