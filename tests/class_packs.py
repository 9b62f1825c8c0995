"""A small pack for classification: stripes of three directions on noise."""

import json

import torch

from defectbench.data.pack import write_pack

CLASSES = ["across", "along", "plain"]


def write_class_pack(path, side, counts=(8, 8, 8), seed=0, **metadata):
    """Write such a pack; ``counts`` says how many images a class has."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    images = torch.rand(len(labels), 3, side, side, generator=source) * 60
    wave = ((torch.arange(side) // 3) % 2) * 150.0
    for row, label in enumerate(labels.tolist()):
        phase = int(torch.randint(0, 6, (), generator=source))
        if label < 2:
            stripes = wave.roll(phase).expand(side, side)
            images[row] += stripes.T if label else stripes
    count = len(labels)
    tensors = {
        "images": images.to(torch.uint8),
        "boxes": torch.tensor([0.0, 0.0, side, side]).repeat(count, 1, 1),
        "labels": labels.view(-1, 1),
        "image_ids": torch.arange(1, count + 1),
        "scale": torch.ones(count),
        "pad": torch.zeros(count, 2),
        "original_size": torch.full((count, 2), side),
    }
    said = {
        "dataset": "stripes",
        "protocol": "clean",
        "part": "train",
        "size": str(side),
        "task": "classification",
        "classes": json.dumps(CLASSES),
        "shared_pixels": "0",
        "certificate_sha256": "0" * 64,
        **metadata,
    }
    write_pack(path, tensors, said)
    return path
