"""Small packs of what is learnt from images without a defect: soft noise, and noise with a bright square."""

import json

import torch
import torch.nn.functional as F
from torch import nn

from defectbench.data.pack import write_pack
from defectbench.deploy.export import export_onnx

CLASSES = ["square"]
PROVENANCE = {"method": "p", "dataset": "d", "protocol": "clean", "seed": 0, "weights_sha256": "0"}


class Brightest(nn.Module):
    """Ten times the brightest pixel, less an offset."""

    def __init__(self, offset=0.0):
        super().__init__()
        self.offset = offset
        self.mix = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.mix.weight, 10 / 3)

    def forward(self, images):
        return self.mix(images).amax((2, 3)) - self.offset


def write_brightest(path, side, offset=0.0):
    """Write it as an artifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(Brightest(offset), side, path, CLASSES, PROVENANCE, "anomaly")
    return path


def free_images(count, side, seed):
    """uint8 [count, 3, side, side] of soft noise."""
    noise = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return (F.avg_pool2d(noise, 5, 1, 2) * 200).to(torch.uint8)


def write_free_pack(path, side=64, free=8, defective=0, seed=0, **metadata):
    """Write such a pack; images without a defect come first."""
    count = free + defective
    images = free_images(count, side, seed)
    images[free:, :, side // 4 : side // 2, side // 4 : side // 2] = 255
    labels = torch.full((count, 1), -1)
    labels[free:] = 0
    whole = torch.tensor([0.0, 0.0, side, side]).repeat(count, 1, 1)
    tensors = {
        "images": images,
        "boxes": whole * (labels[..., None] >= 0),
        "labels": labels,
        "image_ids": torch.arange(1, count + 1),
        "scale": torch.ones(count),
        "pad": torch.zeros(count, 2),
        "original_size": torch.full((count, 2), side),
    }
    said = {
        "dataset": "squares",
        "protocol": "clean",
        "part": "train",
        "size": str(side),
        "task": "anomaly",
        "classes": json.dumps(CLASSES),
        "shared_pixels": "0",
        "certificate_sha256": "0" * 64,
        **metadata,
    }
    write_pack(path, tensors, said)
    return path
