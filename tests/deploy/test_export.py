"""Exports are checked, equal to torch, reproducible to the byte, and whole or absent."""

import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from defectbench.base.errors import ArtifactError
from defectbench.deploy import export
from defectbench.deploy.artifact import read_metadata, validate_artifact
from defectbench.deploy.export import check_equal, export_onnx
from defectbench.deploy.free_batch import PRIMES, BoundBatchError, batch_to_trace, free_batch
from defectbench.deploy.runtime import OnnxDetector

BATCH = PRIMES[0]


def test_metadata_and_signature(artifact):
    info = validate_artifact(artifact)
    assert (info.classes, info.size, info.points) == (["pit", "scratch"], 32, 64)
    metadata = read_metadata(onnx.load(str(artifact)))
    assert metadata["method"] == "tiny"
    assert metadata["seed"] == "0"
    assert metadata["defectbench"]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batch_is_dynamic_and_equal_to_torch(artifact, tiny, batch):
    images = np.random.default_rng(batch).random((batch, 3, 32, 32), dtype=np.float32)
    with torch.inference_mode():
        expected = tiny(torch.from_numpy(images))
    for want, got in zip(expected, OnnxDetector(artifact)(images), strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


def test_equal_weights_give_equal_bytes(artifact, tiny, tmp_path, provenance):
    again = tmp_path / "again.onnx"
    export_onnx(tiny, 32, again, ["pit", "scratch"], provenance)
    assert again.read_bytes() == artifact.read_bytes()


def test_no_path_of_this_machine_is_left_in_the_file(artifact):
    assert b"/work" not in artifact.read_bytes()
    assert b".py" not in artifact.read_bytes()


def test_another_module_is_told_apart(artifact, tiny):
    with torch.no_grad():
        tiny.second.bias += 0.5
    with pytest.raises(ArtifactError, match="boxes difference"):
        check_equal(tiny, artifact, 32, artifact)


class Chooses(nn.Module):
    """Of 64 cells the brightest eight, in the order of the cells: on noise a matter of chance, and of rounding."""

    def forward(self, images):
        light = functional.avg_pool2d(images.mean(1, keepdim=True), 4).flatten(2)
        chosen = (light[:, 0] * self.gain).topk(8, 1).indices.sort(1).values.float().unsqueeze(-1)
        return chosen.repeat(1, 1, 4) / 2, torch.cat((chosen, chosen), -1) / 64

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = gain


def test_images_on_which_rounding_decides_tell_nothing(tmp_path, provenance, monkeypatch):
    """Noise so fine that all cells are alike to rounding, then patterns that tell the cells apart."""
    module, seen = Chooses(), []

    def patterns(random, batch, size, grain):
        seen.append(grain)
        share = 1e-6 if grain == 1 else 0.5
        coarse = random.random((batch, 3, 8, 8), dtype=np.float32)
        return 0.5 + share * coarse.repeat(4, axis=2).repeat(4, axis=3)

    monkeypatch.setattr(export, "patterns", patterns)
    path = tmp_path / "model.onnx"
    export_onnx(module, 32, path, ["pit", "scratch"], provenance)
    seen.clear()
    # a graph that computes the same otherwise: rounding decides alike nowhere
    assert check_equal(Chooses(1.0 + 1e-7), path, 32, path) < 1e-4
    assert seen[:2] == list(export.GRAINS[:2]), "the first images told nothing, others were tried"


def test_a_wrong_choice_is_told_apart(tmp_path, provenance):
    path = tmp_path / "model.onnx"
    export_onnx(Chooses(), 32, path, ["pit", "scratch"], provenance)
    with pytest.raises(ArtifactError, match="boxes difference"):
        check_equal(Chooses(-1.0), path, 32, path)


def test_steadiness_is_that_of_the_answers():
    module = Chooses()
    flat = np.full((1, 3, 32, 32), 0.5, np.float32)
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), 4, 0).repeat(4, 1)
    clear = np.broadcast_to(ramp, (1, 3, 32, 32)).copy()
    for images, steady in ((flat, False), (clear, True)):
        assert export.is_steady(module, images, export.answers(module, images), 32) == steady


class BranchesOnBatch(nn.Module):
    def forward(self, images):
        boxes = images.flatten(2)[:, :, :4]
        return (boxes, boxes.sigmoid()) if images.sum() > 0 else (boxes * 2, boxes.sigmoid())


class WrongOutputs(nn.Module):
    def forward(self, images):
        return images.flatten(2)[:, :, :5], images.flatten(2)[:, :, :2].sigmoid()


@pytest.mark.parametrize(
    ("module", "message"), [(BranchesOnBatch(), "export"), (WrongOutputs(), "boxes axis 2: got 5")]
)
def test_failed_export_leaves_nothing(module, message, tmp_path, provenance):
    with pytest.raises(ArtifactError, match=message):
        export_onnx(module, 32, tmp_path / "model.onnx", ["pit", "scratch"], provenance)
    assert list(tmp_path.iterdir()) == []


class Shuffled(nn.Module):
    """Channels in turn, a map made larger and smaller, and points of both."""

    def forward(self, images):
        size, side = len(images), images.shape[-1]
        pairs = images.repeat(1, 2, 1, 1).reshape(size, 2, 3, side, side)
        mixed = pairs.transpose(1, 2).reshape(size, 6, side, side)
        large = functional.interpolate(mixed, scale_factor=2.0, mode="nearest")
        small = functional.interpolate(large, size=(side // 2, side // 2), mode="bilinear")
        points = small.flatten(2).transpose(1, 2)
        return points[..., :4] * side, points[..., 4:].sigmoid()


class Counted(nn.Module):
    """Points behind those of each image that are the same for all of them."""

    def forward(self, images):
        points = images.repeat(1, 2, 1, 1).flatten(2).transpose(1, 2)
        points = torch.cat((points, torch.ones(images.shape[0], 2, 6)), 1)
        return points[..., :4], points[..., 4:].sigmoid()


class Cut(nn.Module):
    """Layers as wide as numbers of images that graphs are traced for; a cut network can have any width."""

    def __init__(self, widths):
        super().__init__()
        pairs = itertools.pairwise((3, *widths, 6))
        self.layers = nn.Sequential(*(nn.Conv2d(before, after, 1) for before, after in pairs))
        self.requires_grad_(False)

    def forward(self, images):
        points = self.layers(images).flatten(2).transpose(1, 2)
        return points[..., :4], points[..., 4:].sigmoid()


@pytest.mark.parametrize(
    ("module", "traces"),
    [
        (Shuffled(), [True]),
        (Counted(), [True, False]),
        (Cut((PRIMES[0], 2 * PRIMES[1])), [True]),
        (Cut(PRIMES), [False]),
    ],
)
def test_a_graph_is_traced_for_a_number_where_that_can_be_freed(
    module, traces, tmp_path, provenance, monkeypatch
):
    seen = []
    traced = export._traced

    def watched(*given):
        seen.append(given[-1])
        return traced(*given)

    monkeypatch.setattr(export, "_traced", watched)
    path = tmp_path / "model.onnx"
    export_onnx(module, 32, path, ["pit", "scratch"], provenance)
    assert [shapes is None for shapes in seen] == traces
    for batch in (1, 2, 5, BATCH):
        images = np.random.default_rng(batch).random((batch, 3, 32, 32), dtype=np.float32)
        for want, got in zip(
            module(torch.from_numpy(images)), OnnxDetector(path)(images), strict=True
        ):
            np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


def test_no_side_of_the_weights_is_a_multiple_of_the_number_of_images():
    assert batch_to_trace([(64, 3, 3, 3), (), (0,)]) == PRIMES[0]
    assert batch_to_trace([(2 * PRIMES[0], 3), (5, PRIMES[1])]) == PRIMES[2]
    assert batch_to_trace([(prime,) for prime in PRIMES]) is None


def test_a_graph_for_another_number_of_images_is_refused():
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [2, 3, 7, 7])
    with pytest.raises(BoundBatchError, match="images: its first side is 2"):
        free_batch(helper.make_model(helper.make_graph([], "g", [image], [image])))


def test_what_bears_the_number_of_images_elsewhere_is_refused():
    """A first side of 61 that is no batch, a second one, a constant for each image, and a graph inside."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [BATCH, 3, 7, 7])

    def refused(nodes, constants, message):
        out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [BATCH, 48])
        values = [numpy_helper.from_array(value, name) for name, value in constants.items()]
        model = helper.make_model(helper.make_graph(nodes, "g", [image], [out], values))
        with pytest.raises(BoundBatchError, match=message):
            free_batch(model)

    def node(kind, name, *inputs, **attributes):
        return helper.make_node(kind, ["images", *inputs], ["out"], name=name, **attributes)

    shape = np.array([4, BATCH, 12], np.int64)
    refused([node("Reshape", "second", "shape")], {"shape": shape}, "second")
    each = np.zeros((BATCH, 3, 1, 1), np.float32)
    refused([node("Add", "each", "bias")], {"bias": each}, "each: bias")
    tiled = np.array([BATCH, 1, 1, 1], np.int64)
    refused([node("Tile", "tiled", "repeats")], {"repeats": tiled}, "tiled")
    refused([node("Split", "parts", num_outputs=BATCH)], {}, "num_outputs")
    sizes = np.array([BATCH, 3, 31, 31], np.int64)  # 7 * (31 / 7) is no 31 in 32 bits
    refused([node("Resize", "odd", "", "", "sizes")], {"sizes": sizes}, "odd: from")
