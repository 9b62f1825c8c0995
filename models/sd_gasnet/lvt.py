"""Lite Vision Transformer (Yang et al., CVPR 2022) with a convolutional stem, as GASNet uses it: e-LVT-DS.

Inside a stage maps are [B, H, W, C], so that linear layers and layer norms act on the last dimension;
between stages they are [B, C, H, W]. The recursive atrous part of the third and fourth stage is not run in
the public GASNet and is left out here; so is the random dropping of paths, whose rate is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import DepthwiseConv2d, outputs_of
from defectbench.nn.yolo import conv_silu

WINDOW, CELLS = 3, 9  # side of the windows of convolutional self-attention, and cells in one


def channels_first(x: Tensor) -> Tensor:
    """[B, H, W, C] as [B, C, H, W], without a copy."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """[B, C, H, W] as [B, H, W, C], without a copy."""
    return x.permute(0, 2, 3, 1)


class Stem(nn.Module):
    """To a quarter of the size: a strided 3x3, then a strided 3x3 beside pooling, joined by a 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.first = conv_silu(3, half, 3, 2)
        self.strided = nn.Sequential(conv_silu(half, half), conv_silu(half, half, 3, 2))
        self.last = conv_silu(width, width)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images)
        return self.last(torch.cat((self.strided(x), F.avg_pool2d(x, 2)), 1))


class WindowAttention(nn.Module):
    """Convolutional self-attention (CSA): every 3x3 window mixes its own cells, windows overlap and add up.

    Windows lie at stride 2. The weights of a window come from the mean of the 2x2 cells beside its centre;
    each cell of a window has a value matrix of its own.

    Args:
        width: Channels.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.weigh = nn.Linear(width, heads * CELLS * CELLS)
        self.values = nn.Parameter(
            nn.init.trunc_normal_(torch.empty(CELLS, width, width), std=0.02)
        )
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, H, W, C] of the same; H and W even."""
        height, width = x.shape[1] // 2, x.shape[2] // 2
        spots = channels_last(F.avg_pool2d(channels_first(x), 2))  # one for each window
        weights = self.weigh(spots).flatten(1, 2).unflatten(-1, (self.heads, CELLS, CELLS))
        weights = (self.scale * weights).softmax(-1)  # [B, L, heads, 9, 9]
        values = (windows(x).flatten(2, 3) @ self.values).unflatten(-1, (self.heads, -1))
        mixed = weights @ values.permute(0, 2, 3, 1, 4)  # [B, L, heads, 9, C / heads]
        cells = mixed.permute(0, 3, 1, 2, 4).flatten(3)
        return self.project(added_up(cells.unflatten(2, (height, width))))


def windows(x: Tensor) -> Tensor:
    """The 3x3 windows at stride 2 of a map [B, H, W, C]: [B, 9, H / 2, W / 2, C], cells row by row.

    The first window is centred on the first cell; beyond the border are zeros.
    """
    height, width = x.shape[1], x.shape[2]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    steps = [(row, column) for row in range(WINDOW) for column in range(WINDOW)]
    return torch.stack([padded[:, r : r + height : 2, c : c + width : 2] for r, c in steps], 1)


def added_up(cells: Tensor) -> Tensor:
    """Windows laid back on their places and added up, [B, H, W, C]: the adjoint of ``windows``."""
    rows = _joined(cells.unflatten(1, (WINDOW, WINDOW)).transpose(2, 3))  # [B, H, 3, W / 2, C]
    return _joined(rows.permute(0, 2, 3, 1, 4)).transpose(1, 2)


def _joined(cells: Tensor) -> Tensor:
    """[B, 3, N, ...] as [B, 2 N, ...]: windows share their first and last cell with their neighbours."""
    first, middle, last = cells.unbind(1)
    following = F.pad(first[:, 1:], (0, 0) * (first.ndim - 2) + (0, 1))
    return torch.stack((middle, last + following), 2).flatten(1, 2)


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values are taken from a map of fewer cells (Wang et al., ICCV 2021).

    Args:
        width: Channels.
        heads: Number of heads.
        reduction: Factor by which the side of the map of keys and values is less.
    """

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.project = nn.Linear(width, width)
        self.reduce: nn.Conv2d | None = None
        self.norm = nn.Identity()
        if reduction > 1:
            self.reduce = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, H, W, C] of the same."""
        seen = x
        if self.reduce is not None:
            seen = self.norm(channels_last(self.reduce(channels_first(x))))
        key, value = self.key_value(seen).chunk(2, -1)
        query, key, value = (self._split(part) for part in (self.query(x), key, value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.project(mixed.transpose(1, 2).flatten(2).view(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        """[B, H, W, C] as [B, heads, H W, C / heads]."""
        return x.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Perceptron(nn.Module):
    """1x1, perhaps a depthwise 3x3, GELU, 1x1; with biases.

    Args:
        width: Channels in and out.
        ratio: Channels between, in ``width``.
        depthwise: Whether there is a 3x3.
    """

    def __init__(self, width: int, ratio: int, depthwise: bool) -> None:
        super().__init__()
        wide = ratio * width
        self.widen = nn.Linear(width, wide)
        self.mix = DepthwiseConv2d(wide, 3, bias=True) if depthwise else nn.Identity()
        self.narrow = nn.Linear(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        y = channels_last(self.mix(channels_first(self.widen(x))))
        return self.narrow(F.gelu(y))


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x))."""

    def __init__(self, width: int, attention: nn.Module, perceptron: nn.Module) -> None:
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), attention
        self.between, self.perceptron = nn.LayerNorm(width), perceptron

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        return x + self.perceptron(self.between(x))


class Stage(nn.Module):
    """A smaller map, blocks, and a layer norm; the normed map also feeds the next stage.

    Args:
        down: Makes the map smaller, [B, C, H, W].
        norm: Of what ``down`` gives, on the last dimension.
        blocks: The blocks.
        width: Channels out.
    """

    def __init__(
        self, down: nn.Module, norm: nn.Module, blocks: Sequence[nn.Module], width: int
    ) -> None:
        super().__init__()
        self.down, self.down_norm = down, norm
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down_norm(channels_last(self.down(x)))
        return channels_first(self.norm(self.blocks(x)))


class LiteTransformer(nn.Module):
    """e-LVT-DS: four maps at strides 4, 8, 16, 32; sides of images are multiples of 32.

    Args:
        depths: Blocks of the stages.
    """

    widths = (64, 64, 160, 256)
    heads = (2, 2, 5, 8)
    reductions = (4, 2, 1)
    ratios = (8, 4, 4)

    def __init__(self, depths: Sequence[int] = (1, 1, 2, 2)) -> None:
        super().__init__()
        width = self.widths[0]
        blocks = [
            Block(
                width, WindowAttention(width, self.heads[0]), Perceptron(width, 4, depthwise=False)
            )
            for _ in range(depths[0])
        ]
        stages = [Stage(Stem(width), nn.Identity(), blocks, width)]
        rows = zip(
            self.widths[1:], self.heads[1:], self.reductions, self.ratios, depths[1:], strict=True
        )
        for wider, heads, reduction, ratio, depth in rows:
            blocks = [
                Block(
                    wider,
                    ReducedAttention(wider, heads, reduction),
                    Perceptron(wider, ratio, depthwise=True),
                )
                for _ in range(depth)
            ]
            down = nn.Conv2d(width, wider, 3, 2, 1)
            stages.append(Stage(down, nn.LayerNorm(wider), blocks, wider))
            width = wider
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, images)
