"""torch as an engine: the network that an artifact was exported from, held against the artifact; faults by name."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.engine_forms import open_network, write_network
from tiny_module import TinyDeployed

from defectbench.base.engines import Form
from defectbench.base.errors import ArtifactError, ConfigError, DeviceMemoryError
from defectbench.base.records import ABSENT, read_record
from defectbench.cli import main
from defectbench.deploy.checked import open_checked
from defectbench.deploy.convert_model import convert_model
from defectbench.deploy.engines import load_engine
from defectbench.deploy.engines.files import recorded_sha256
from defectbench.deploy.runtime import open_artifact
from defectbench.nn import captured

SIDE = 32
SOURCE = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, nc, scale=1.0):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 4 + nc, 3, 2, 1)
        side = torch.arange(8) * 4.0 + 2
        grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)
        self.register_buffer("grid", grid.reshape(1, -1, 2))
        self.scale = scale

    def deploy(self):
        return self

    def forward(self, images):
        raw = self.second(torch.relu(self.first(images))).flatten(2).transpose(1, 2)
        sides = raw[..., :4].sigmoid() * 16 * self.scale
        boxes = torch.cat([self.grid - sides[..., :2], self.grid + sides[..., 2:]], -1)
        return boxes, raw[..., 4:].sigmoid()


def build(nc, **options):
    return Tiny(nc, **options)
"""
CARD = """
name: small
title: Small
family: {family}
paper: none
licence: Apache-2.0
golden: {{params: 1}}
"""


@pytest.fixture
def method(tmp_path):
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(CARD.format(family="engine"))
    (folder / "recipe.yaml").write_text("epochs: 1\n")
    (folder / "small.py").write_text(SOURCE)
    return folder


@pytest.fixture
def cell(tmp_path, artifact, method):
    folder = tmp_path / "cell"
    folder.mkdir()
    write_network(folder, artifact, TinyDeployed(), method, {})
    return folder


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, 3, SIDE, SIDE), dtype=np.float32)


def test_the_network_answers_as_its_artifact_at_every_batch(cell, method, images):
    open_network(cell, method)
    model = open_checked(cell / "engines" / "torch" / "model", engine="torch")
    assert (model.classes, model.size, model.task) == (["pit", "scratch"], SIDE, "detection")
    for batch in (1, 3):
        expected = open_artifact(cell / "model.onnx").run(images[:batch])
        for want, got, unit in zip(expected, model.run(images[:batch]), (SIDE, 1), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5 * unit)


def test_the_options_of_the_training_build_the_network(tmp_path, artifact, method, images):
    write_network(tmp_path, artifact, TinyDeployed(), method, {"scale": 0.5})
    halved = open_network(tmp_path, method).run(images)[0]
    whole = open_artifact(artifact).run(images)[0]
    side = halved[..., 2] - halved[..., 0]
    np.testing.assert_allclose(2 * side, whole[..., 2] - whole[..., 0], atol=1e-4)


def test_what_is_run_is_recorded_by_hash(cell, method):
    convert_model(cell / "model.onnx", Form("torch"), cell / "engines/torch/model", method)
    record = read_record(cell / "engines/torch/conversion.json", "conversion")
    assert set(record["inputs"]) == {"source", "model/weights.safetensors", "model/signature.json"}
    assert len(recorded_sha256(record["inputs"])) == 64
    assert record["figures"]["model_mib"] > 0
    signature = json.loads((cell / "engines/torch/model/signature.json").read_text())
    assert len(signature["code_sha256"]) == 64


def test_a_program_of_its_own_is_a_record_and_no_crash(cell, method):
    (method / "card.yaml").write_text(CARD.format(family="program"))
    out = cell / "engines" / "torch" / "model"
    convert_model(cell / "model.onnx", Form("torch"), out, method)
    record = read_record(cell / "engines" / "torch" / "conversion.json", "conversion")
    assert record["figures"][ABSENT] == "network: not of the suite's engine"
    assert list(out.iterdir()) == []


def test_the_verb_makes_the_files(cell, method, capsys):
    out = ["--out", str(cell / "engines" / "torch" / "model")]
    model = ["--model", str(cell / "model.onnx"), "--form", "torch"]
    assert main(["convert-model", *model, *out]) == 2
    assert "--method models/small" in capsys.readouterr().err
    assert main(["convert-model", *model, *out, "--method", str(method)]) == 0


def test_other_weights_than_those_of_the_artifact_are_named(cell, method):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, cell / "weights.safetensors")
    with pytest.raises(ArtifactError, match="exported from"):
        open_network(cell, method)
    (cell / "weights.safetensors").unlink()
    with pytest.raises(ArtifactError, match="run the method's rule first"):
        open_network(cell, method)


def test_another_method_is_named(cell, method):
    other = method.with_name("other")
    method.rename(other)
    (other / "card.yaml").write_text(CARD.format(family="engine").replace("small", "other"))
    with pytest.raises(ConfigError, match="says that it is of small"):
        open_network(cell, other)


def test_code_that_was_changed_since_is_named(cell, method):
    open_network(cell, method)
    (method / "small.py").write_text(SOURCE + "\n# changed\n")
    with pytest.raises(ArtifactError, match=r"sha256 of the code of .*convert the model again"):
        load_engine("torch", cell / "engines" / "torch" / "model", 1)
    method.rename(method.with_name("gone"))
    with pytest.raises(ConfigError, match="start in the folder that holds it"):
        load_engine("torch", cell / "engines" / "torch" / "model", 1)


@pytest.mark.parametrize("missing", ["weights.safetensors", "signature.json"])
def test_a_folder_that_lacks_a_file_is_named(cell, method, missing):
    open_network(cell, method)
    (cell / "engines" / "torch" / "model" / missing).unlink()
    with pytest.raises(ArtifactError, match="convert the model first"):
        load_engine("torch", cell / "engines" / "torch" / "model", 1)


def test_a_device_without_room_is_named(cell, method, images, monkeypatch):
    model = open_network(cell, method)

    def full(images):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(model.session, "network", full)
    with pytest.raises(DeviceMemoryError, match="end what else holds memory"):
        model.run(images)


@pytest.mark.parametrize("way", ["torch_compiled", "torch_graph"])
def test_ways_of_a_gpu_share_the_files_and_are_refused_without_one(cell, method, way, monkeypatch):
    assert Form(way).model == Form("torch").model
    assert Form(way).conversion == Form("torch").conversion
    with pytest.raises(ConfigError, match=f"{way} runs the files of torch"):
        convert_model(cell / "model.onnx", Form(way), cell / "x", method)
    from defectbench.deploy import engines

    monkeypatch.setattr(engines, "find_gpu", lambda: None)
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        load_engine(way, cell / "engines" / "torch" / "model", 1)


class Cuda:
    """What a capture asks of ``torch.cuda``; a graph replays what was recorded, as CUDA does."""

    def __init__(self):
        self.recorded, self.calls = None, []

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: self.calls.append("aside waits"))

    def current_stream(self):
        return SimpleNamespace(wait_stream=lambda other: self.calls.append("main waits"))

    @contextmanager
    def stream(self, stream):
        self.calls.append("aside")
        yield

    def CUDAGraph(self):
        return SimpleNamespace()

    @contextmanager
    def graph(self, graph):
        self.calls.append("capture")
        yield
        graph.replay = self.recorded


def test_a_captured_network_reads_new_images_from_the_place_of_the_first(monkeypatch):
    cuda, runs = Cuda(), []
    monkeypatch.setattr(captured.torch, "cuda", cuda)

    def network(images):
        runs.append(images)
        out = images.sum((1, 2, 3))
        cuda.recorded = lambda: out.copy_(images.sum((1, 2, 3)))
        return out

    graphs = captured.CapturedNetwork(network)
    for batch, value in ((1, 1.0), (1, 2.0), (2, 3.0), (1, 4.0)):
        out = graphs(torch.full((batch, 3, 2, 2), value))
        assert out.tolist() == [12 * value] * batch
    # for each of two batches: a warm-up aside, then one capture; afterwards nothing is run but replays
    assert len(runs) == 2 * (captured.WARM_UP + 1)
    assert cuda.calls == ["aside waits", "aside", "main waits", "capture"] * 2
