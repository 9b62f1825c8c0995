"""Exports are checked, equal to torch, reproducible to the byte, and whole or absent."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from defectbench.base.errors import ArtifactError
from defectbench.deploy.artifact import read_metadata, validate_artifact
from defectbench.deploy.export import check_equal, export_onnx
from defectbench.deploy.runtime import OnnxDetector


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
