"""Steps replayed from recordings: the logic about them, with a recorder of the processor in place of CUDA's."""

import pytest
import torch

from defectbench.base.files import read_json, sha256_file
from defectbench.training import loop
from defectbench.training.graphs import WARM_STEPS, StepGraphs
from defectbench.training.preparation import Run
from tests.runs import prepare_run, run_training

from .conftest import TinyDetector, tiny_method


class Phased(TinyDetector):
    """Its loss changes with the second epoch."""

    def phase(self, epoch):
        return epoch >= 1

    def loss(self, images, targets, epoch):
        losses = super().loss(images, targets, epoch)
        return losses if epoch < 1 else {name: 2 * value for name, value in losses.items()}


class Tape:
    """As CUDA graphs are: recording runs nothing, replaying reads and fills the recorded tensors."""

    def __init__(self, model, strays=0.0):
        self.model, self.strays, self.recorded, self.replayed = model, strays, 0, 0

    def beside(self, work):
        return work()

    def record(self, work):
        buffers = list(self.model.buffers())
        before = [buffer.clone() for buffer in buffers]
        losses = work()
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        gradients = [p.grad for p in self.model.parameters()]
        for tensor in (*losses.values(), *gradients):
            tensor.detach().fill_(torch.nan)  # nothing has run yet
        self.recorded += 1

        def replay():
            for name, value in work().items():
                losses[name].detach().copy_(value.detach() + self.strays)
            for parameter, gradient in zip(self.model.parameters(), gradients, strict=True):
                gradient.copy_(parameter.grad)
            self.replayed += 1

        return replay, losses


class Broken(Tape):
    def record(self, work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


def recording(monkeypatch, recorder=Tape, **more):
    """Let runs record by a tape; returns the tapes that they got."""
    tapes = []
    prepare = loop.prepare

    def prepared(*args) -> Run:
        run = prepare(*args)
        tapes.append(recorder(run.model, **more))
        run.graphs = StepGraphs(run.model, run.folder, tapes[-1])
        return run

    monkeypatch.setattr(loop, "prepare", prepared)
    return tapes


def trained(pack_path, method, folder):
    run_training(pack_path, method, folder, seed=3)
    return sha256_file(folder / "weights.safetensors"), read_json(folder / "train.json")


def test_replayed_steps_end_in_the_same_bits(pack_path, tmp_path, method, monkeypatch):
    method = tiny_method(epochs=6, network=Phased)
    plain, record = trained(pack_path, method, tmp_path / "plain")
    tapes = recording(monkeypatch)
    replayed, other = trained(pack_path, method, tmp_path / "replayed")
    assert replayed == plain
    assert other["figures"]["final_loss"] == record["figures"]["final_loss"]
    assert "cuda_graphs" not in record["effective"]
    assert tapes[0].replayed > 0


def test_a_shape_and_a_phase_have_a_graph_of_their_own(pack_path, tmp_path, method, monkeypatch):
    tapes = recording(monkeypatch)
    method = tiny_method(epochs=8, network=Phased)
    _, record = trained(pack_path, method, tmp_path / "run")
    # 14 images in batches of 4, 3, 4, 3: the first epoch has too few steps of either to record one
    assert record["effective"]["cuda_graphs"] == tapes[0].recorded == 2
    assert tapes[0].replayed == (8 - 1) * 4 - 2 * WARM_STEPS


@pytest.mark.parametrize(
    ("recorder", "more", "reason"),
    [
        (Broken, {}, "operation not permitted when stream is capturing"),
        (Tape, {"strays": 0.5}, "a replayed step gives the loss"),
    ],
)
def test_what_cannot_be_recorded_goes_on_without(
    pack_path, tmp_path, method, monkeypatch, capsys, recorder, more, reason
):
    method = tiny_method(epochs=4, network=Phased)
    plain, _ = trained(pack_path, method, tmp_path / "plain")
    recording(monkeypatch, recorder, **more)
    other, record = trained(pack_path, method, tmp_path / "other")
    assert other == plain
    assert reason in record["effective"]["cuda_graphs"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "CUDA graphs" in line]
    assert len(lines) == 1
    assert reason in lines[0]


def test_a_loss_that_tells_no_phase_is_not_recorded(pack_path, tmp_path, method, monkeypatch):
    tapes = recording(monkeypatch)
    _, record = trained(pack_path, method, tmp_path / "run")
    assert tapes[0].recorded == 0
    assert "does not tell" in record["effective"]["cuda_graphs"]


def test_on_a_processor_nothing_is_recorded(pack_path, tmp_path, method):
    assert prepare_run(pack_path, method, tmp_path).graphs is None
