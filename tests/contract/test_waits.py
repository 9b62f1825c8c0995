"""No step of training waits for a GPU, shown without one: by what a step asks its device for, and on a device without values.

``LISTED`` holds the methods of the engine that do wait, with the reason; one that no longer waits must leave it.
"""

import copy

import pytest
import torch
from tests.class_packs import write_class_pack
from tests.runs import prepare_run
from tests.training.conftest import write_tiny_pack
from tests.waits import Moves, Waits

from defectbench.data.pack import load_pack
from defectbench.nn import waiting
from defectbench.nn.detector import Targets
from defectbench.training import augment, batches, loop
from defectbench.training.batches import PackBatches

from .conftest import ENGINE
from .test_methods import crowd, loss_of, truth

# method: (what it asks for, why it may); none of the engine's needs to
LISTED: dict[str, tuple[set[str], str]] = {}
SIZE, BATCH, EPOCHS = 64, 2, 40  # of enough epochs that mosaics are not over at once


@pytest.fixture
def as_a_gpu(monkeypatch):
    """The processor is treated as a device that does not answer at once."""
    monkeypatch.setattr(waiting, "HOSTS", frozenset())


def waits_of(method, path, folder):
    """What the second step of a run asks its device for: the first fills what is kept."""
    pack = load_pack(path, task=method.card.task)
    run = prepare_run(path, method, folder, pack=pack, batch=BATCH, epochs=EPOCHS)
    order = run.batches.order(0)
    for position in range(2):
        with Waits() as waits:
            loop.train_step(run, order, position, 0)
        run.progress.step += 1
    return waits.seen


def check(name, seen):
    asked, _why = LISTED.get(name, (set(), ""))
    assert {operation for operation, _ in seen} == asked, seen


def test_a_step_of_a_detector_asks_its_device_for_nothing(slender, tmp_path, as_a_gpu):
    pack = write_tiny_pack(tmp_path / f"train@{SIZE}.safetensors", size=SIZE)
    check(slender.card.name, waits_of(slender, pack, tmp_path))


def test_a_step_of_a_classifier_asks_its_device_for_nothing(classifier, tmp_path, as_a_gpu):
    pack = write_class_pack(tmp_path / f"train@{SIZE}.safetensors", SIZE)
    check(classifier.card.name, waits_of(classifier, pack, tmp_path))


def test_only_methods_of_the_engine_are_listed():
    assert set(LISTED) <= set(ENGINE)
    assert all(asked and why for asked, why in LISTED.values())


# --- a device without values: whoever asks it for one gets an error -------------------------------


# lines by which tensors reach a device
SENT = (
    "sent(rows, self.device)",
    "sent(self.on_processor(purpose, low, high, columns), self.device)",
)


@pytest.fixture
def sending(monkeypatch):
    for module in (batches, augment):
        monkeypatch.setattr(module, "sent", lambda x, device: x.to(device))


def test_data_reach_another_device_by_one_way_and_nothing_comes_back(slender, tmp_path, sending):
    path = write_tiny_pack(tmp_path / f"train@{SIZE}.safetensors", size=SIZE)
    run = prepare_run(path, slender, tmp_path, batch=BATCH, epochs=EPOCHS)
    there = PackBatches(load_pack(path), BATCH, 0, "meta")
    model = run.model.to("meta")
    with Moves() as moves:
        taken = there.take(there.order(0), 0)
        images, boxes, labels = augment.augment(taken, run.recipe.augmentation, 0, 0, there)
        losses = model.loss(images, Targets(boxes, labels), 0)
        with torch.no_grad():
            decoded = model.decode(model(images), SIZE, SIZE)
    assert {part.device.type for part in decoded} == {"meta"}
    assert {loss.device.type for loss in losses.values()} == {"meta"}
    assert any("sent(" in move for move in moves.seen)
    assert [move for move in moves.seen if not move.endswith(SENT)] == []


# --- what a device computes instead ---------------------------------------------------------------


@pytest.mark.parametrize("targets", ["some", "many", "none"])
def test_the_form_without_waits_learns_the_same(slender, built, targets, monkeypatch):
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    shown = {
        "some": truth(size=SIZE),
        "many": crowd(size=SIZE, count=20),
        "none": Targets(torch.zeros(2, 2, 4), torch.full((2, 2), -1)),
    }[targets]
    learnt = []
    for hosts in (waiting.HOSTS, frozenset()):
        monkeypatch.setattr(waiting, "HOSTS", hosts)
        model = copy.deepcopy(built).train()
        losses = loss_of(model, images, shown)
        losses["loss"].backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        learnt.append(({name: float(loss.detach()) for name, loss in losses.items()}, gradient))
    (at_once, its_gradient), (later, other_gradient) = learnt
    assert later == pytest.approx(at_once, rel=1e-5, abs=1e-7)
    apart = (its_gradient - other_gradient).norm() / its_gradient.norm()
    assert apart < 1e-4
