"""A trained cell becomes a model file with its provenance."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_module import TinyDeployed

from defectbench.base.errors import ArtifactError
from defectbench.base.files import sha256_file
from defectbench.base.records import write_record
from defectbench.base.tiling import Tiling
from defectbench.data.mapped import write_streamed
from defectbench.data.pack import load_arrays, write_pack
from defectbench.deploy.artifact import validate_artifact
from defectbench.deploy.counts import torch_counts
from defectbench.deploy.export_run import export_run


class TinyDetector(TinyDeployed):
    def __init__(self, nc):
        super().__init__(nc=nc)

    def deploy(self):
        return self.eval()


METHOD = SimpleNamespace(
    card=SimpleNamespace(name="tiny", task="detection"),
    module=SimpleNamespace(build=TinyDetector),
    folder="models/tiny",
)


@pytest.fixture
def cell(tmp_path):
    tensors = {
        "images": torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        "boxes": torch.zeros(1, 1, 4),
        "labels": torch.full((1, 1), -1),
        "image_ids": torch.ones(1, dtype=torch.int64),
        "scale": torch.ones(1),
        "pad": torch.zeros(1, 2),
        "original_size": torch.full((1, 2), 32),
    }
    pack = tmp_path / "train@32.safetensors"
    metadata = {"classes": '["pit", "scratch"]', "dataset": "demo-steel", "protocol": "clean"}
    write_pack(pack, tensors, metadata)
    weights = tmp_path / "weights.safetensors"
    save_file(TinyDetector(2).state_dict(), weights)
    extra = {"seed": 3, "recipe": {"options": {}}, "weights_sha256": sha256_file(weights)}
    write_record(tmp_path / "train.json", "train", {"size_px": 32}, {"pack": pack}, extra=extra)
    return tmp_path


def test_provenance_and_counts_stand_in_the_file(cell):
    export_run(cell, METHOD)
    info = validate_artifact(cell / "model.onnx")
    assert info.classes == ["pit", "scratch"]
    expected = {"method": "tiny", "dataset": "demo-steel", "protocol": "clean", "seed": "3"}
    assert expected.items() <= info.metadata.items()
    assert info.metadata["weights_sha256"] == sha256_file(cell / "weights.safetensors")
    counts = torch_counts(TinyDetector(2), 32)
    assert info.metadata["macs_fvcore"] == str(counts["macs_fvcore"])
    assert counts == {
        "macs_fvcore": 16 * 16 * 4 * 27 + 8 * 8 * 6 * 36,
        "params_torch": 4 * 28 + 6 * 37,
    }


def test_a_file_says_how_the_images_that_it_learnt_from_were_cut(cell):
    export_run(cell, METHOD)
    assert "tiles" not in validate_artifact(cell / "model.onnx").metadata
    pack, tiling = cell / "train@32.safetensors", Tiling(side=64, overlap=16)
    whole = load_arrays(pack)
    names = ("boxes", "labels", "image_ids", "scale", "pad", "original_size")
    tensors = {name: getattr(whole, name) for name in names}
    tensors |= {"windows": np.array([[0, 0, 64, 64]]), "whole_ids": np.array([1])}
    tensors |= {"whole_size": np.array([[64, 64]]), "whole_boxes": np.zeros((1, 1, 4))}
    tensors |= {"whole_labels": np.full((1, 1), -1)}
    metadata = whole.metadata | {"tiles": tiling.model_dump_json()}
    write_streamed(pack, tensors, "images", whole.images.shape, whole.images, metadata)
    export_run(cell, METHOD)
    told = validate_artifact(cell / "model.onnx").metadata["tiles"]
    assert Tiling.model_validate_json(told) == tiling


def test_fused_attention_counts_as_its_two_products():
    class Attention(torch.nn.Module):
        def forward(self, images):
            queries, keys = images.flatten(2).mT, images[..., :4, :2].flatten(2).mT
            return torch.nn.functional.scaled_dot_product_attention(queries, keys, keys)

    assert torch_counts(Attention(), 16)["macs_fvcore"] == 2 * 256 * 8 * 3


def test_weights_of_another_run_are_refused(cell):
    other = TinyDetector(2)
    torch.nn.init.zeros_(other.first.bias)
    save_file(other.state_dict(), cell / "weights.safetensors")
    with pytest.raises(ArtifactError, match=r"train\.json is of other weights"):
        export_run(cell, METHOD)
    assert not (cell / "model.onnx").exists()


def test_a_program_exports_for_itself(cell):
    program = SimpleNamespace(card=SimpleNamespace(name="yolo", task="detection"), module=None)
    with pytest.raises(ArtifactError, match="its own program"):
        export_run(cell, program)
