"""A tiny deployed module: real convolutions, artifact signature, milliseconds to run."""

import torch
from torch import nn

torch.set_num_threads(1)

PROVENANCE = {
    "method": "tiny",
    "dataset": "demo-steel",
    "protocol": "clean",
    "seed": 0,
    "weights_sha256": "0" * 64,
}


class TinyDeployed(nn.Module):
    """Two strided convolutions; a grid of boxes around the cells."""

    def __init__(self, size=32, nc=2):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 4 + nc, 3, 2, 1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        side = torch.arange(size // 4) * 4.0 + 2
        grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)
        self.register_buffer("grid", grid.reshape(1, -1, 2))

    def forward(self, images):
        raw = self.second(torch.relu(self.first(images))).flatten(2).transpose(1, 2)
        sides = raw[..., :4].sigmoid() * 16
        boxes = torch.cat([self.grid - sides[..., :2], self.grid + sides[..., 2:]], -1)
        return boxes, raw[..., 4:].sigmoid()
