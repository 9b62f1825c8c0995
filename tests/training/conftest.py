"""A tiny part and a tiny method, so that whole runs take seconds."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from defectbench.base.methods import Augmentation, Method, Optimizer, Recipe, load_card
from defectbench.base.tiling import Tiling
from defectbench.data.mapped import write_streamed
from defectbench.data.pack import load_arrays, write_pack
from defectbench.nn.detector import Detector

SIZE = 32


class TinyDetector(Detector):
    """One convolution and one loss: enough for the engine's promises, not for detection."""

    strides = (8,)

    def __init__(self, nc):
        super().__init__()
        self.nc = nc
        self.conv = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.out = nn.Linear(4, 4)

    def forward(self, images):
        return self.out(self.conv(images).mean((2, 3)))

    def loss(self, images, targets, epoch):
        mean = (targets.boxes * targets.valid.unsqueeze(-1)).sum(1) / SIZE
        box = (self(images) - mean).square().mean()
        return {"loss": box, "box": box}


def tiny_method(epochs=4, network=TinyDetector, **recipe):
    settings = {
        "epochs": epochs,
        "batch": 4,
        "size": SIZE,
        "optimizer": Optimizer(lr=0.01, weight_decay=0.05),
        "augmentation": Augmentation(
            scale=(0.6, 1.4), translate=0.2, flip_lr=0.5, brightness=0.2, noise_std=0.02
        ),
        **recipe,
    }
    card = load_card("models/lidd_net")
    module = SimpleNamespace(build=lambda nc: network(nc))
    return Method(card, Recipe(**settings), module, Path("models/lidd_net").resolve())


@pytest.fixture
def method(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    return tiny_method()


@pytest.fixture
def pack_path(tmp_path):
    return write_tiny_pack(tmp_path / "train@32.safetensors")


def write_tiny_pack(path, protocol="clean", shared="0", count=14, size=SIZE):
    g = torch.Generator().manual_seed(3)
    low = torch.rand(count, 2, 2, generator=g) * 16
    tensors = {
        "images": torch.randint(0, 256, (count, 3, size, size), generator=g).to(torch.uint8),
        "boxes": torch.cat((low, low + 8), -1),
        "labels": torch.randint(0, 2, (count, 2), generator=g),
        "image_ids": torch.arange(1, count + 1),
        "scale": torch.ones(count),
        "pad": torch.zeros(count, 2),
        "original_size": torch.full((count, 2), size),
    }
    metadata = {
        "dataset": "tiny",
        "protocol": protocol,
        "part": "train",
        "size": str(size),
        "classes": json.dumps(["a", "b"]),
        "certificate_sha256": "0" * 64,
    }
    if shared is not None:
        metadata["shared_pixels"] = shared
    write_pack(path, tensors, metadata)
    return path


TILING = Tiling(side=SIZE, overlap=8)


def write_tiled_pack(path, **settings):
    """The same part as seven images of two tiles each, to be mapped from disk."""
    whole = load_arrays(write_tiny_pack(path.with_suffix(".whole"), **settings), verify=False)
    tensors = {
        "boxes": whole.boxes,
        "labels": whole.labels,
        "image_ids": np.repeat(np.arange(1, 8), 2),
        "scale": whole.scale,
        "pad": whole.pad,
        "original_size": whole.original_size,
        "windows": np.array([[0, 0, 32, 32], [24, 0, 56, 32]] * 7),
        "whole_ids": np.arange(1, 8),
        "whole_size": np.array([[56, 32]] * 7),
        "whole_boxes": np.tile([8.0, 8.0, 40.0, 24.0], (7, 1, 1)),
        "whole_labels": np.zeros((7, 1), np.int64),
    }
    metadata = {key: value for key, value in whole.metadata.items() if key != "sha256"}
    metadata["tiles"] = TILING.model_dump_json()
    write_streamed(path, tensors, "images", whole.images.shape, whole.images, metadata)
    return path
